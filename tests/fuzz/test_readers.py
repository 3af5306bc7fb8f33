"""Files that others wrote, broken in any way: what they say is read, or one line names the file."""

import io
import warnings
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monokd.errors import DataError
from monokd.kitti.calibration import read_calibration
from monokd.kitti.frames import MAX_RANGE_M, read_velodyne
from monokd.kitti.images import read_depth, read_image, read_png_header
from monokd.kitti.labels import LARGEST, read_labels, read_results
from monokd.kitti.objects import Objects
from monokd.models.checkpoint import load_detector
from monokd.models.torch_file import read_torch_file
from monokd.params import load_params
from tests.conftest import ROOT, write_detector

BROKEN = 150  # files a reader
WORDS = (b"nan", b"-inf", b"1e999", b"1_0", b"0x1p3", b"-1", b"", b"\0", b"\xff", b"\n", b" ", b":", b"[", "٣".encode())

LABELS = b"""\
Car 0.00 1 -1.57 100.00 120.50 300.25 220.75 1.50 1.60 3.90 -2.00 1.65 15.00 -1.70
Pedestrian 0.20 0 0.21 712.40 143.00 810.73 307.92 1.89 0.48 1.20 1.84 1.47 8.41 0.01
DontCare -1 -1 -10 503.89 169.71 590.61 190.13 -1 -1 -1 -1000 -1000 -1000 -10
"""
RESULTS = b"""\
Car -1 -1 -1.57 100.00 120.50 300.25 220.75 1.50 1.60 3.90 -2.00 1.65 15.00 -1.70 0.987654
Cyclist -1 -1 0.21 712.40 143.00 810.73 307.92 1.89 0.48 1.20 1.84 1.47 8.41 0.01 -3.5e-2
"""
CALIBRATION = b"""\
P0: 7.2e+02 0 6.1e+02 0 0 7.2e+02 1.8e+02 0 0 0 1 0
P2: 7.215377e+02 0.0e+00 6.095593e+02 4.485728e+01 0 7.215377e+02 1.72854e+02 2.163791e-01 0 0 1 2.745884e-03
R0_rect: 1 0 0 0 1 0 0 0 1
Tr_velo_to_cam: 0 -1 0 0.01 0 0 -1 -0.08 1 0 0 -0.27

"""
RANDOM = np.random.default_rng(0)
SCAN = RANDOM.uniform(-60, 60, (12, 4)).astype("<f4").tobytes()
PIXELS = RANDOM.integers(0, 255, (5, 9, 3), dtype=np.uint8)
PNG, JPEG = (cv2.imencode(suffix, PIXELS)[1].tobytes() for suffix in (".png", ".jpg"))
DEPTH_MAP = cv2.imencode(".png", RANDOM.integers(0, 65535, (5, 9), dtype=np.uint16))[1].tobytes()
PARAMS = (ROOT / "params.yaml").read_bytes()


def detector(folder: Path) -> bytes:
    """A model file."""
    return write_detector(folder / "seed.safetensors", width=1 / 64).read_bytes()


def checkpoint(*, new: bool = True) -> bytes:
    """A training checkpoint as new and as old torch writes it."""
    stream = io.BytesIO()
    content = {"epoch": 149, "model_state": {"heatmap.2.bias": torch.ones(3), "backbone.x": torch.ones(2, 3)}}
    torch.save(content, stream, _use_new_zipfile_serialization=new)
    return stream.getvalue()


shares = st.floats(0, 1)
changes = st.one_of(  # bytes from one share of the file to another become new ones
    st.tuples(shares, st.just(1.0), st.just(b"")),  # cut short
    st.builds(lambda at, new: (at, at, new), shares, st.binary(max_size=8)),  # something inserted
    st.builds(lambda at, length, new: (at, at + length, new), shares, st.floats(0, 0.02), st.sampled_from(WORDS)),
    st.tuples(shares, shares, st.binary(max_size=64)),
)


def changed(content: bytes, start: float, end: float, new: bytes) -> bytes:
    first, last = sorted((int(start * len(content)), int(end * len(content))))
    return content[:first] + new + content[last:]


def check_labels(found: Objects, content: bytes) -> None:
    """Against an independent reading."""
    rows = [line.split() for line in content.decode("ascii").split("\n") if line.strip()]
    assert found.names == tuple(row[0] for row in rows)
    assert found.boxes_px.tolist() == [[float(word) for word in row[4:8]] for row in rows]
    assert found.locations_m.tolist() == [[float(word) for word in row[11:14]] for row in rows]
    numbers = np.column_stack([found.sizes_m, found.locations_m, found.boxes_px, found.alpha_rad, found.rotation_y_rad])
    assert (np.abs(numbers) <= LARGEST).all()


def check_scan(found: np.ndarray, content: bytes) -> None:
    assert found.tobytes() == content
    assert (np.abs(found[:, :3]) <= MAX_RANGE_M).all()


def check_image(found: np.ndarray, _: bytes) -> None:
    assert found.dtype == np.uint8
    assert found.ndim == 3


def refusal(read: Callable[[], object]) -> str | None:
    """The line that refuses a file, None where it is read."""
    try:
        read()
    except DataError as error:
        return str(error)
    return None


def no_check(_: object, __: bytes) -> None:
    """What was read has checks of its own."""


READERS: dict[str, tuple[str, Callable[[Path], object], Callable[..., None], Callable[[Path], bytes]]] = {
    "labels": ("0.txt", read_labels, check_labels, lambda _: LABELS),
    "results": ("0.txt", read_results, check_labels, lambda _: RESULTS),
    "calibration": ("0.txt", read_calibration, no_check, lambda _: CALIBRATION),
    "scan": ("0.bin", read_velodyne, check_scan, lambda _: SCAN),
    "png": ("0.png", read_image, check_image, lambda _: PNG),
    "png header": ("0.png", read_png_header, no_check, lambda _: PNG),
    "jpeg": ("0.jpg", read_image, check_image, lambda _: JPEG),
    "depth map": ("0.png", read_depth, no_check, lambda _: DEPTH_MAP),
    "params": ("params.yaml", load_params, no_check, lambda _: PARAMS),
    "detector": ("0.safetensors", load_detector, no_check, detector),
    "checkpoint": ("0.pth", read_torch_file, no_check, lambda _: checkpoint()),
    "old checkpoint": ("0.pth", read_torch_file, no_check, lambda _: checkpoint(new=False)),
}


@pytest.mark.parametrize("name", READERS)
def test_a_broken_file_is_read_as_it_says_or_refused_in_one_line(
    name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file, read, check, seed = READERS[name]
    path, whole = tmp_path / file, seed(tmp_path)
    path.write_bytes(whole)
    check(read(path), whole)

    @given(st.lists(changes, min_size=1, max_size=3))
    @settings(max_examples=BROKEN, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    def run(found: list[tuple[float, float, bytes]]) -> None:
        content = whole
        for change in found:
            content = changed(content, *change)
        path.write_bytes(content)
        line = refusal(lambda: check(read(path), content))
        assert line is None or (line.startswith(str(path)) and line.isprintable())

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run()
    assert capfd.readouterr().out == ""


values = st.recursive(st.none() | st.booleans() | st.floats() | st.text(max_size=5), lambda x: st.lists(x, max_size=3))


@given(values, st.integers(0, 2), st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_any_value_of_any_type_in_params(
    tmp_path_factory: pytest.TempPathFactory, value: object, level: int, place: int
) -> None:
    tree = yaml.safe_load(PARAMS)
    section = (tree, tree["profiles"]["demo"], tree["profiles"]["demo"]["teacher"])[level]
    section[list(section)[place % len(section)]] = value
    path = tmp_path_factory.getbasetemp() / "params.yaml"
    path.write_text(yaml.safe_dump(tree))
    line = refusal(lambda: load_params(path))
    assert line is None or line.startswith(str(path))
