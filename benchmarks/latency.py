"""How long one image takes, and how soon each command answers.

An image: from its file to KITTI objects, and the network alone; torch against ONNX Runtime (through
examples/onnx_predict.py), one and two threads. A command: `--help`, and the import of what it runs. The ways take turns
within each round, so that a busy machine slows all alike; medians are printed. Weights are random: the time does not
depend on them.

Usage: python benchmarks/latency.py [--rounds 15] [--starts 5]
"""

import argparse
import importlib.util
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import onnxruntime
import torch
from monokd.models.folded import folded

from monokd.commands.export import INPUTS, OUTPUTS, export
from monokd.kitti.frames import KittiFolder
from monokd.models.checkpoint import DetectorInfo, load_detector, save_detector
from monokd.models.decode import decode
from monokd.models.detector import Detector, build_detector
from monokd.models.outputs import DetectorOutput
from monokd.samples.batch import Sample, collate
from monokd.samples.dataset import Frames, InputSettings
from monokd.scenes.generate import generate_scenes
from monokd.scenes.settings import SceneSettings

ROOT = Path(__file__).resolve().parents[1]
SIZES = {"demo: 96×320, width 0.25": (96, 320, 0.25), "published: 384×1280, width 1": (384, 1280, 1.0)}
COMMANDS = {
    "check": "monokd.commands.check",
    "unpack": "monokd.commands.unpack",
    "densify": "monokd.commands.densify",
    "evaluate": "monokd.commands.evaluate",
    "summarize": "monokd.commands.summarize",
    "predict": "monokd.commands.predict",
    "submit": "monokd.commands.submit",
    "export": "monokd.commands.export",
    "import": "monokd.commands.import_checkpoint",
}
THREADS = (1, 2)
HELP_LIMIT_S = 0.5
THRESHOLD = 0.2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--starts", type=int, default=5)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        generate_scenes(Path(folder), SceneSettings(train_frames=1))
        for name, (height, width, factor) in SIZES.items():
            show(f"{name}, 1242×375 image, ms", one_image(Path(folder), height, width, factor), args.rounds, 1000)
    helps = {name: starting("-m", "monokd.cli", name, "--help") for name in COMMANDS}
    imports = {name: starting("-c", f"import {module}") for name, module in COMMANDS.items()}
    answered = show("help of a command, s", helps, args.starts, 1)
    show("import of what a command runs, s", imports, args.starts, 1)
    slow = [name for name, seconds in answered.items() if seconds > HELP_LIMIT_S]
    print(f"help within {HELP_LIMIT_S} s: {'no: ' + ', '.join(slow) if slow else 'yes'}")


def one_image(folder: Path, height: int, width: int, factor: float) -> dict[str, Callable[[], object]]:
    """The ways from one image to its objects, and those of the network alone."""
    model, exported = folder / "model.safetensors", folder / "model.onnx"
    info = DetectorInfo(width=factor, anisotropic_decode=False, height_px=height, width_px=width)
    save_detector(build_detector(factor, anisotropic_decode=False), model, info)
    export(model, exported)
    detector, files = folded(load_detector(model)[0]), KittiFolder(folder)
    detector.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    frames = Frames(files, ["000000"], InputSettings(height, width))
    sample, example = frames[0, 0], load_example()
    batch = collate([sample])
    tensors = (batch.input("image"), batch.P2, batch.coord_range_px)
    inputs = {name: tensor.numpy() for name, tensor in zip(INPUTS, tensors, strict=True)}
    ways: dict[str, Callable[[], object]] = {"reading and warping": lambda: frames[0, 0]}
    paths = files.image("000000"), files.calibration("000000")
    for threads in THREADS:
        session = session_of(exported, threads)
        ways |= {
            f"torch, {threads} threads": partial(in_torch, detector, frames, threads),
            f"ONNX, {threads} threads": partial(example.detect, session, *paths, THRESHOLD),
            f"network alone, torch, {threads} threads": partial(forward, detector, sample, threads),
            f"network alone, ONNX, {threads} threads": partial(session.run, list(OUTPUTS), inputs),
        }
    return ways


def in_torch(detector: Detector, frames: Frames, threads: int) -> object:
    """From a file to objects, as `monokd predict` goes."""
    sample = frames[0, 0]
    output = forward(detector, sample, threads)
    batch = collate([sample])
    return decode(output, batch.P2, batch.coord_range_px, anisotropic_decode=False, score_threshold=THRESHOLD)


def forward(detector: Detector, sample: Sample, threads: int) -> DetectorOutput:
    """The network alone."""
    torch.set_num_threads(threads)
    batch = collate([sample])
    with torch.inference_mode():
        output: DetectorOutput = detector(batch.input("image"), batch.P2, batch.coord_range_px)
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


def starting(*arguments: str) -> Callable[[], object]:
    """A fresh Python."""
    return partial(subprocess.run, [sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)


def show(title: str, ways: Mapping[str, Callable[[], object]], rounds: int, unit: float) -> dict[str, float]:
    """Run the ways in turn, after one round that does not count; print and return the medians in seconds."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    for round_ in range(rounds + 1):
        for name, way in ways.items():
            start = time.perf_counter()
            way()
            if round_:
                times[name].append(time.perf_counter() - start)
    medians = {name: statistics.median(values) for name, values in times.items()}
    print(f"\n{title}, medians of {rounds}:")
    for name, seconds in medians.items():
        print(f"  {name:36}{unit * seconds:9.2f}", flush=True)
    return medians


if __name__ == "__main__":
    main()
