"""How long one image takes, from its file to KITTI objects. `python benchmarks/latency.py`

torch against ONNX Runtime (examples/onnx_predict.py), one and two threads. Ways take turns within each round; medians
are printed. Weights are random: the time does not depend on them.
"""

import argparse
import runpy
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median

import onnxruntime
import torch
from measure import ROOT, in_turns, show

from monokd.commands.export import export
from monokd.kitti.frames import KittiFolder
from monokd.models.checkpoint import DetectorInfo, load_detector, save_detector
from monokd.models.decode import decode
from monokd.models.detector import Detector, build_detector
from monokd.models.fold_bn import fold_bn
from monokd.params import Scenes
from monokd.samples.batch import collate
from monokd.samples.dataset import Frames, InputSettings
from monokd.scenes.generate import generate_scenes

SIZES = {"demo: 96×320, width 0.25": (96, 320, 0.25), "published: 384×1280, width 1": (384, 1280, 1.0)}
THRESHOLD = 0.2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        generate_scenes(Path(folder), Scenes(train_frames=1, val_frames=1))
        for name, (height, width, factor) in SIZES.items():
            ways = one_image(Path(folder), height, width, factor)
            times = in_turns(ways, options.rounds, clock=time.perf_counter)
            rows = [{"": way, "ms": 1e3 * median(seconds)} for way, seconds in times.items()]
            show(f"{name}, 1242×375 image", rows)


def one_image(folder: Path, height: int, width: int, factor: float) -> dict[str, Callable[[], object]]:
    """The ways from one image to its objects."""
    model, exported = folder / "model.safetensors", folder / "model.onnx"
    save_detector(build_detector(factor), model, DetectorInfo(width=factor, height_px=height, width_px=width))
    export(model, exported)
    detector, files = fold_bn(load_detector(model)[0]), KittiFolder(folder)
    detector.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    frames = Frames(files, ["000000"], InputSettings(height, width))
    detect = runpy.run_path(str(ROOT / "examples/onnx_predict.py"))["detect"]
    paths = files.image("000000"), files.calibration("000000")
    ways: dict[str, Callable[[], object]] = {"reading and warping": lambda: frames[0, 0]}
    for threads in (1, 2):
        settings = onnxruntime.SessionOptions()
        settings.intra_op_num_threads = threads
        session = onnxruntime.InferenceSession(str(exported), settings, providers=["CPUExecutionProvider"])
        ways |= {
            f"torch, {threads} threads": partial(in_torch, detector, frames, threads),
            f"ONNX, {threads} threads": partial(detect, session, *paths, THRESHOLD),
        }
    return ways


def in_torch(detector: Detector, frames: Frames, threads: int) -> object:
    """From a file to objects, as `monokd predict` goes."""
    torch.set_num_threads(threads)
    batch = collate([frames[0, 0]])
    with torch.inference_mode():
        output = detector(batch.input("image"), batch.P2, batch.coord_range_px)
    return decode(detector, output, batch.P2, batch.coord_range_px, score_threshold=THRESHOLD)


if __name__ == "__main__":
    main()
