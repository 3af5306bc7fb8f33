"""Reference data (tests that need it skip in one line where it is absent), and what many tests write."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from monokd.kitti.labels import write_results
from monokd.kitti.objects import Objects
from monokd.models.checkpoint import DetectorInfo, save_detector
from monokd.models.detector import build_detector

ROOT = Path(__file__).resolve().parents[1]


def write_detector(path: Path, seed: int = 0, biases: Mapping[str, float] | None = None, **settings: Any) -> Path:
    """A narrow network for images of 128×64 pixels, untrained but for the biases of some layers."""
    info = DetectorInfo(**({"width": 0.125, "height_px": 64, "width_px": 128} | settings))
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(seed)
        detector = build_detector(info.width)
        for name, value in (biases or {}).items():
            detector.get_parameter(name).fill_(value)
        save_detector(detector, path, info)
    return path


def set_params(folder: Path, **values: Any) -> None:
    """Set dotted keys, written with __, in the folder's params.yaml; mappings are merged into those there."""
    path = folder / "params.yaml"
    tree = yaml.safe_load(path.read_text())
    for dotted, value in values.items():
        *parents, last = dotted.split("__")
        node = tree
        for parent in parents:
            node = node[parent]
        node[last] = node[last] | value if isinstance(value, dict) and last in node else value
    path.write_text(yaml.safe_dump(tree, sort_keys=False))


def tree(folder: Path) -> dict[str, bytes]:
    """Every file under a folder by name, left-overs included."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def write_labels(path: Path, objects: Objects) -> None:
    """A label file: the lines of a result file without their score."""
    write_results(path, replace(objects, scores=np.zeros(len(objects))))
    path.write_text("".join(f"{line.rpartition(' ')[0]}\n" for line in path.read_text().splitlines()))


def write_labels_as_results(labels: Path, folder: Path, class_name: str = "") -> Path:
    """Result files of score 0.9 that repeat the labels of a class, or of all but DontCare."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in labels.iterdir():
        lines = [line for line in path.read_text().splitlines() if line.startswith(class_name)]
        objects = [f"{line} 0.9\n" for line in lines if not line.startswith("DontCare")]
        (folder / path.name).write_text("".join(objects))
    return folder


def _folder(variable: str, name: str) -> Path:
    folder = Path(os.environ.get(variable, ROOT.parent / "shared" / name))
    if not folder.is_dir():
        pytest.skip(f"needs reference data: set {variable} to its folder")
    return folder


@pytest.fixture(scope="session")
def golden_dir() -> Path:
    """Numbers that the published code produced."""
    return _folder("MONOKD_GOLDEN", "golden")


@pytest.fixture(scope="session")
def kitti_dir() -> Path:
    """Real KITTI frames in KITTI's layout."""
    return _folder("MONOKD_KITTI", "kitti")


@pytest.fixture(scope="session")
def kitti_raw_dir() -> Path:
    """Twelve real raw frames, and the development kit's mapping in devkit_mapping."""
    return _folder("MONOKD_KITTI_RAW", "kitti_raw")


@pytest.fixture(scope="session")
def kitti_eval_dir() -> Path:
    """All KITTI labels, a published result set and the official tool's output for it."""
    return _folder("MONOKD_KITTI_EVAL", "kitti_eval")


@pytest.fixture
def settings_restored() -> Iterator[None]:
    """Training makes torch deterministic for the whole process."""
    threads, deterministic = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    yield
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(deterministic)


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Labels and results of 45 small frames."""
    from tests.evaluation.cases import small_result_set

    return small_result_set(tmp_path)


@pytest.fixture(scope="session")
def tiny_workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working folder of the pipeline: small synthetic frames, ten labelled and four not, depth, params.yaml."""
    from monokd.depth.folder import densify_folder
    from monokd.kitti.splits import split_files, split_frames
    from monokd.params import Scenes
    from monokd.scenes.generate import generate_scenes

    folder = tmp_path_factory.mktemp("workspace")
    settings = Scenes(
        train_frames=6, val_frames=4, unlabelled_frames=4, width_px=416, height_px=128, objects_per_frame=9.0
    )
    root = folder / "data/demo"
    generate_scenes(root, settings, seed=3)
    for splits, depth in ((("train", "val"), "depth"), (("unlabelled",), "depth_unlabelled")):
        frames = [frame for split in splits for frame in split_frames(root, split)]
        result = densify_folder(split_files(root, splits[0]), folder / "data" / depth, frames, workers=1)
        assert not result.errors
    tree = yaml.safe_load((ROOT / "params.yaml").read_text())
    tree["launch"] = "python"
    demo = tree["profiles"]["demo"]
    demo["data"] |= {"width_px": 128, "height_px": 64}
    demo["model"]["width"] = 0.125
    demo["machine"] |= {"precision": "32", "channels_last": False}
    demo["unlabelled"]["share"] = 0.5
    for stage in ("teacher", "baseline", "student"):
        demo[stage] |= {"epochs": 3, "epoch_steps": 0, "batch_size": 2}
    (folder / "params.yaml").write_text(yaml.safe_dump(tree, sort_keys=False))
    return folder


@pytest.fixture
def workspace(tiny_workspace: Path, tmp_path: Path) -> Path:
    """A folder of one's own over the frames of `tiny_workspace`."""
    (tmp_path / "data").mkdir()
    for name in ("demo", "depth", "depth_unlabelled"):
        (tmp_path / "data" / name).symlink_to(tiny_workspace / "data" / name)
    (tmp_path / "params.yaml").write_bytes((tiny_workspace / "params.yaml").read_bytes())
    return tmp_path
