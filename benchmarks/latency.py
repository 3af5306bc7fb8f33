"""How long one image takes, and how soon each command answers. `python benchmarks/latency.py`

An image: from its file to KITTI objects, and the network alone; torch against ONNX Runtime (examples/onnx_predict.py),
one and two threads. A command: `--help`, and the import of what it runs. Ways take turns within each round; medians are
printed. Weights are random: the time does not depend on them.
"""

from __future__ import annotations

import argparse
import importlib.util
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from types import ModuleType
from typing import Any

import onnxruntime
import torch
from measure import ROOT, in_turns, show

from monokd.cli import COMMANDS
from monokd.commands.export import INPUTS, OUTPUTS, export
from monokd.kitti.frames import KittiFolder
from monokd.models.checkpoint import DetectorInfo, load_detector, save_detector
from monokd.models.decode import decode
from monokd.models.detector import Detector, build_detector
from monokd.models.fold_bn import fold_bn
from monokd.models.outputs import DetectorOutput
from monokd.samples.batch import Batch, collate
from monokd.samples.dataset import Frames, InputSettings
from monokd.scenes.generate import generate_scenes
from monokd.scenes.settings import SceneSettings

SIZES = {"demo: 96×320, width 0.25": (96, 320, 0.25), "published: 384×1280, width 1": (384, 1280, 1.0)}
THRESHOLD, HELP_LIMIT_S = 0.2, 0.5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--starts", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        generate_scenes(Path(folder), SceneSettings(train_frames=1))
        for name, (height, width, factor) in SIZES.items():
            medians(f"{name}, 1242×375 image", one_image(Path(folder), height, width, factor), options.rounds)
    imports = {name: f"import monokd.commands.{path.replace('/', '.')}" for name, path in COMMANDS.items()}
    helps = {name: python("-m", "monokd.cli", name, "--help") for name in COMMANDS}
    answered = medians("help of a command", helps, options.starts)
    medians(
        "import of what a command runs", {name: python("-c", line) for name, line in imports.items()}, options.starts
    )
    slow = [name for name, seconds in answered.items() if seconds > HELP_LIMIT_S]
    print(f"help within {HELP_LIMIT_S} s: {'no: ' + ', '.join(slow) if slow else 'yes'}")


def medians(title: str, ways: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Print and return median seconds."""
    found = {name: median(times) for name, times in in_turns(ways, rounds, clock=time.perf_counter).items()}
    show(title, [{"": name, "ms": 1e3 * seconds} for name, seconds in found.items()])
    return found


def one_image(folder: Path, height: int, width: int, factor: float) -> dict[str, Callable[[], object]]:
    """The ways from one image to its objects, and those of the network alone."""
    model, exported = folder / "model.safetensors", folder / "model.onnx"
    save_detector(build_detector(factor), model, DetectorInfo(width=factor, height_px=height, width_px=width))
    export(model, exported)
    detector, files = fold_bn(load_detector(model)[0]), KittiFolder(folder)
    detector.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    frames, example = Frames(files, ["000000"], InputSettings(height, width)), load_example()
    batch = collate([frames[0, 0]])
    inputs = {name: tensor.numpy() for name, tensor in zip(INPUTS, network_inputs(batch), strict=True)}
    paths = files.image("000000"), files.calibration("000000")
    ways: dict[str, Callable[[], object]] = {"reading and warping": lambda: frames[0, 0]}
    for threads in (1, 2):
        session = session_of(exported, threads)
        ways |= {
            f"torch, {threads} threads": partial(in_torch, detector, frames, threads),
            f"ONNX, {threads} threads": partial(example.detect, session, *paths, THRESHOLD),
            f"network alone, torch, {threads} threads": partial(forward, detector, batch, threads),
            f"network alone, ONNX, {threads} threads": partial(session.run, list(OUTPUTS), inputs),
        }
    return ways


def network_inputs(batch: Batch) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    return batch.input("image"), batch.P2, batch.coord_range_px


def in_torch(detector: Detector, frames: Frames, threads: int) -> object:
    """From a file to objects, as `monokd predict` goes."""
    batch = collate([frames[0, 0]])
    output = forward(detector, batch, threads)
    return decode(detector, output, batch.P2, batch.coord_range_px, score_threshold=THRESHOLD)


def forward(detector: Detector, batch: Batch, threads: int) -> DetectorOutput:
    """The network alone."""
    torch.set_num_threads(threads)
    with torch.inference_mode():
        output: DetectorOutput = detector(*network_inputs(batch))
    return output


def session_of(exported: Path, threads: int) -> Any:
    """ONNX Runtime on so many threads."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(str(exported), options, providers=["CPUExecutionProvider"])


def load_example() -> ModuleType:
    """examples/onnx_predict.py as a module."""
    spec = importlib.util.spec_from_file_location("onnx_predict", ROOT / "examples/onnx_predict.py")
    if spec is None or spec.loader is None:
        raise FileNotFoundError("examples/onnx_predict.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def python(*arguments: str) -> Callable[[], object]:
    """A fresh Python."""
    return partial(subprocess.run, [sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    main()
