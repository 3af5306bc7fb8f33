"""Every reader of files, with whole files for it, ways to break them, and a judge of what it gives."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import yaml

from monokd.commands.published import Imported, read_published
from monokd.errors import DataError
from monokd.kitti.calibration import Calibration, read_calibration
from monokd.kitti.frames import MAX_RANGE_M, read_depth, read_image, read_split, read_velodyne
from monokd.kitti.images import PngHeader, read_png_header
from monokd.kitti.labels import CLASSES, LabelTable, read_labels, read_results, read_table
from monokd.kitti.objects import Objects
from monokd.models.checkpoint import DetectorInfo, load_detector
from monokd.params import Params, load_params
from monokd.report import results as report
from monokd.training.state import load_state
from tests.fuzz import references, seeds
from tests.fuzz.containers import change_jpeg_size, change_png, change_safetensors, change_tree, change_zip
from tests.fuzz.mutations import BINARY, TEXT, Mutation

LARGEST = 1e6
MAX_PIXELS = 1 << 26


@dataclass(frozen=True)
class Reader:
    """One reader.

    Attributes:
        name: what it reads.
        file: the name of the file.
        read: the code under test.
        judge: raises AssertionError where what was read is not what the file says, or out of range.
        seeds: whole files.
        mutations: ways to break them.
    """

    name: str
    file: str
    read: Callable[[Path], Any]
    judge: Callable[[Any, bytes], None]
    seeds: tuple[bytes, ...]
    mutations: tuple[Mutation, ...]


def readers() -> dict[str, Reader]:
    """All readers by name."""
    png = (*BINARY, *(change_png,) * 10)
    tree = (*TEXT, *(change_tree,) * len(TEXT))
    safetensors, zipped = (*BINARY, *(change_safetensors,) * 10), (*BINARY, *(change_zip,) * 10)
    image_seeds, depth_seeds, params = seeds.images(), seeds.depth_maps(), (seeds.params(),)
    state = seeds.torch_file(seeds.STATE)
    found = (
        Reader("label", "0.txt", read_labels, _judge_labels, (seeds.LABELS,), TEXT),
        Reader("result", "0.txt", read_results, _judge_results, (seeds.RESULTS,), TEXT),
        Reader("label folder", "0.txt", _read_table, _judge_table, (seeds.LABELS,), TEXT),
        Reader("calibration", "0.txt", read_calibration, _judge_calibration, (seeds.CALIBRATION,), TEXT),
        Reader("velodyne", "0.bin", read_velodyne, _judge_scan, (seeds.scan(),), BINARY),
        Reader("image", "0.png", read_image, _judge_image, image_seeds, (*png, change_jpeg_size)),
        Reader("image header", "0.png", read_png_header, _judge_header, image_seeds[:2] + depth_seeds, png),
        Reader("depth", "0.png", read_depth, _judge_depth, depth_seeds, png),
        Reader("split", "train.txt", read_split, _judge_split, (seeds.SPLIT,), TEXT),
        Reader("params", "params.yaml", load_params, _judge_params, params, tree),
        Reader("detector", "0.safetensors", load_detector, _judge_detector, (seeds.detector(),), safetensors),
        Reader("published checkpoint", "0.pth", read_published, _judge_published, seeds.published(), zipped),
        Reader("training state", "state.pt", _read_state, _judge_state, (state,), zipped),
        Reader("table", "distance.csv", _read_bands, _judge_bands, (seeds.DISTANCES,), TEXT),
    )
    return {reader.name: reader for reader in found}


def _read_table(path: Path) -> LabelTable:
    return read_table(path.parent, ["0"], scores=False)


def _read_state(path: Path) -> dict[str, Any]:
    try:
        state = load_state(path, tell=False)
    except OSError as error:  # a disk that fails: the line with which the stage ends, and no new start
        raise DataError(f"{error.strerror}", path) from error
    if state is None:  # training starts anew
        raise DataError("damaged", path)
    return state


def _judge_labels(found: Objects, content: bytes) -> None:
    names, rows = references.label_rows(content, 15)
    assert np.isnan(found.scores).all()
    _judge_objects(found, names, rows)


def _judge_results(found: Objects, content: bytes) -> None:
    names, rows = references.label_rows(content, 16)
    assert np.array_equal(found.scores, rows[:, 14])
    _judge_objects(found, names, rows[:, :14])


def _judge_objects(found: Objects, names: list[str], rows: np.ndarray) -> None:
    read = np.column_stack(
        [
            *(found.truncation, found.occlusion, found.alpha_rad, found.boxes_px),
            *(found.sizes_m, found.locations_m, found.rotation_y_rad),
        ]
    )
    assert list(found.names) == names
    assert np.array_equal(read, rows), "other numbers than the file's"
    assert np.abs(rows).max(initial=0) <= LARGEST
    for name, sizes, location in zip(names, found.sizes_m, found.locations_m, strict=True):
        unmarked = name.lower() == "dontcare" or ((sizes == -1).all() and location[0] == location[2] == -1000)
        assert (sizes >= 0).all() or unmarked, "a negative size"


def _judge_table(found: LabelTable, content: bytes) -> None:
    names, rows = references.label_rows(content, 15)
    assert np.array_equal(found.rows[:, :14], rows)
    assert found.offsets.tolist() == [0, len(names)]
    known = [name.lower() for name in CLASSES]
    assert found.classes.tolist() == [known.index(n.lower()) if n.lower() in known else -1 for n in names]


def _judge_calibration(found: Calibration, content: bytes) -> None:
    expected = references.matrices(content)
    for name in ("P2", "R0_rect", "Tr_velo_to_cam"):
        assert np.array_equal(getattr(found, name).ravel(), expected[name]), f"{name}: other numbers than the file's"
    for rotation in (found.R0_rect, found.Tr_velo_to_cam[:, :3]):
        assert np.allclose(rotation @ rotation.T, np.eye(3), atol=0.0101)
        assert np.linalg.det(rotation) > 0
    assert found.P2[0, 0] > 0
    assert found.P2[1, 1] > 0
    assert np.allclose(found.P2[2, :3], (0, 0, 1), atol=0.01)


def _judge_scan(found: np.ndarray, content: bytes) -> None:
    assert found.dtype == np.float32
    assert [tuple(point) for point in found.tolist()] == references.points(content)
    assert np.isfinite(found).all()
    assert np.abs(found[:, :3]).max() <= MAX_RANGE_M


def _judge_image(found: np.ndarray, content: bytes) -> None:
    assert found.dtype == np.uint8
    assert found.ndim == 3
    assert found.shape[2] == 3
    if content.startswith(b"\x89PNG"):
        expected = references.png_pixels(content)
        size = int.from_bytes(content[20:24], "big"), int.from_bytes(content[16:20], "big")
        assert found.shape[:2] == size
        if expected is not None and expected.dtype == np.uint8:
            assert np.array_equal(found, expected), "other pixels than the file's"
    else:
        assert sorted(found.shape[:2]) == sorted(references.jpeg_size(content))


def _judge_header(found: PngHeader, content: bytes) -> None:
    assert content.startswith(b"\x89PNG\r\n\x1a\n")
    assert found.width_px == int.from_bytes(content[16:20], "big")
    assert found.height_px == int.from_bytes(content[20:24], "big")
    assert 0 < found.width_px * found.height_px <= MAX_PIXELS
    assert content[-8:-4] == b"IEND"


def _judge_depth(found: np.ndarray, content: bytes) -> None:
    assert found.dtype == np.float32
    assert found.ndim == 2
    assert found.min() >= 0
    assert found.max() < 256
    expected = references.png_pixels(content)
    if expected is not None:
        assert np.array_equal(found, expected.astype(np.float32) / 256), "other depths than the file's"


def _judge_split(found: list[str], content: bytes) -> None:
    assert found == references.frame_ids(content)
    assert len(set(found)) == len(found) > 0
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{1,64}", frame) for frame in found)


def _judge_params(found: Params, content: bytes) -> None:
    tree = yaml.safe_load(content)
    _judge_tree(json.loads(found.model_dump_json()), tree, "")
    assert found.profile in found.profiles
    assert found.loss in found.losses
    profile = found.active
    assert 64 <= profile.data.width_px <= 16_384
    assert profile.data.width_px % 32 == 0
    assert 0 < profile.model.width <= 4
    for training in (profile.teacher, profile.baseline, profile.student):
        assert 0 < training.epochs <= 1_000_000
        assert 0 < training.learning_rate < float("inf")


def _judge_tree(found: Any, said: Any, place: str) -> None:
    """Everything that the file says arrived; only defaults were added."""
    if isinstance(said, Mapping):
        assert said.keys() <= found.keys(), place
        for key in said:
            _judge_tree(found[key], said[key], f"{place}.{key}")
    elif isinstance(said, Sequence) and not isinstance(said, str):
        assert len(said) == len(found), place
        for a, b in zip(found, said, strict=True):
            _judge_tree(a, b, place)
    elif found is None or isinstance(found, str):
        assert str(found) == str(said), place
    else:
        word = {"true": 1, "yes": 1, "on": 1, "y": 1, "t": 1, "false": 0, "no": 0, "off": 0, "n": 0, "f": 0}
        assert float(found) == float(word.get(str(said).lower(), said)), place


def _judge_detector(found: tuple[torch.nn.Module, DetectorInfo], content: bytes) -> None:
    network, info = found
    assert info == seeds.INFO, "words of the file were changed and accepted"
    state = network.state_dict()
    assert list(state) == list(seeds.tensors())
    assert all(torch.equal(state[name], tensor) for name, tensor in seeds.tensors().items()), "weights were changed"


def _judge_published(found: Imported, content: bytes) -> None:
    assert found.kind in ("rgb", "depth", "backbone")
    assert 0 < found.width <= 4
    for name, tensor in found.tensors.items():
        assert tensor.dtype in (torch.float32, torch.int64), f"{name}: {tensor.dtype}"
        assert bool(torch.isfinite(tensor).all())
        full = name if found.kind != "backbone" else f"backbone.{name}"
        if found.width == seeds.INFO.width:
            assert tensor.shape == seeds.tensors()[full].shape
    assert len(found.keys) >= len(found.tensors)


def _judge_state(found: dict[str, Any], content: bytes) -> None:
    """Each checksum fits, so what differs was written so; `fit` refuses what is no state of its training."""
    assert isinstance(found["epoch"], int)


def _read_bands(path: Path) -> pd.DataFrame:
    return report.read_table(path, report.KEY, report.BAND_COLUMNS)


def _judge_bands(found: pd.DataFrame, content: bytes) -> None:
    assert not np.isinf(found[list(report.BAND_COLUMNS)].to_numpy(dtype=float)).any()
    for line, row in zip(content.strip().split(b"\n")[1:], found.to_dict("records"), strict=False):
        if b'"' not in content and b"\r" not in content and line.count(b",") == 9:
            assert [str(row[name]).encode() for name in report.KEY] == line.split(b",")[:4]
