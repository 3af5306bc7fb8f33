"""Train the student in the working folder as its stage does; note when epochs end, and be killed after one if wanted.

    python benchmarks/stage.py [--stop-after EPOCHS]        also by torchrun; seconds of epochs go to epochs.json

What `benchmarks/gpu.py` starts; `prepare` makes such a folder.
"""

import argparse
import os
import runpy
import signal
import time
from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
import yaml
from full_size import StepSettings
from measure import ROOT

from monokd.errors import run
from monokd.files import write_json
from monokd.models.checkpoint import DetectorInfo, save_detector
from monokd.models.detector import build_detector
from monokd.params import load_params
from monokd.training import loop
from monokd.training.history import write_history

MODELS = Path("data/models")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stop-after", type=int, default=0)
    train(parser.parse_args().stop_after)


def train(stop_after: int = 0) -> None:
    """Train in the working folder."""
    ends = [time.monotonic()]

    def noted(path: Path, rows: list[dict[str, float]]) -> None:
        write_history(path, rows)
        ends.append(time.monotonic())
        if len(rows) == stop_after:  # its state has been saved
            os.kill(os.getpid(), signal.SIGKILL)

    with patch.object(loop, "write_history", noted):
        runpy.run_path(str(ROOT / "stages/distill.py"))["main"]()
    write_json(Path("epochs.json"), [end - start for start, end in pairwise(ends[:-1])])  # the last is written twice


def prepare(
    folder: Path, frames: Path, depth: Path, settings: StepSettings, *, student: Mapping[str, Any],
    machine: Mapping[str, Any],
) -> Path:  # fmt: skip
    """Make a folder in which the student trains: the kitti profile with these settings, and fresh weights."""
    (folder / MODELS).mkdir(parents=True)
    (folder / "data/kitti").symlink_to(frames.resolve())
    (folder / "data/depth").symlink_to(depth.resolve())
    tree = yaml.safe_load((ROOT / "params.yaml").read_text()) | {"profile": "kitti", "behaviour": settings.behaviour}
    kitti = tree["profiles"]["kitti"]
    kitti["data"] |= {"height_px": settings.height_px, "width_px": settings.width_px}
    kitti["model"]["width"] = settings.width
    kitti["student"] |= {"batch_size": settings.batch, **student}
    kitti["machine"] |= {"accelerator": settings.device, "precision": settings.precision, "threads": 1, **machine}
    (folder / "params.yaml").write_text(yaml.safe_dump(tree, sort_keys=False))
    quirks = load_params(folder / "params.yaml").resolved_quirks()
    torch.manual_seed(0)
    image = DetectorInfo(width=settings.width, height_px=settings.height_px, width_px=settings.width_px)
    for name, info in {"teacher": replace(image, modality="depth"), "baseline": image}.items():
        save_detector(build_detector(settings.width, quirks=quirks), folder / MODELS / f"{name}.safetensors", info)
    return folder


if __name__ == "__main__":
    run(main)
