"""A few training steps of every method at the published size: 384×1280, DLA-34, on real frames.

Prints the total loss of each step on the same two frames (it must fall), the time of a step and the peak memory.

Usage: python benchmarks/full_size.py [KITTI_ROOT] [--steps N] [--behaviour published|corrected]
"""

import argparse
import math
import os
import resource
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path

import torch
import yaml

from monokd.depth.folder import densify_folder
from monokd.distill.methods import build_distillation
from monokd.kitti.frames import KittiFolder
from monokd.losses.replicas import Replicas
from monokd.models.detector import build_detector, feature_channels
from monokd.params import Params
from monokd.samples.batch import Batch, collate
from monokd.samples.dataset import Frames
from monokd.training.schedule import build_optimiser
from monokd.training.student import DistillationStep

ROOT = Path(__file__).resolve().parents[1]
METHODS = ("monodistill", "monoskd", "monoasd")
LEARNING_RATE = 1e-4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = os.environ.get("MONOKD_KITTI", ROOT.parent / "shared" / "kitti")
    parser.add_argument("root", nargs="?", type=Path, default=default)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--behaviour", choices=("published", "corrected"), default="published")
    args = parser.parse_args()
    if not Path(args.root).is_dir():
        sys.exit(f"full_size: needs real KITTI frames, found none in {args.root}")
    batch = two_frames(KittiFolder(args.root))
    for method in METHODS:
        totals, seconds = train(method, batch, args.steps, args.behaviour)
        falling = all(later < earlier for earlier, later in pairwise(totals))
        finite = all(math.isfinite(total) for total in totals)
        peak_gib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        print(
            f"{method:12} {' '.join(f'{total:8.2f}' for total in totals)}  finite {finite}  falling {falling}  "
            f"{seconds:.1f} s a step, peak {peak_gib:.1f} GiB",
            flush=True,
        )


def two_frames(root: KittiFolder) -> Batch:
    """The first two frames that have a car to train on, with depth made here."""
    with tempfile.TemporaryDirectory() as name:
        chosen = [frame for frame in root.frames() if "Car" in root.label(frame).read_text()][:2]
        densify_folder(root, Path(name), chosen, workers=1)
        frames = Frames(root, chosen, depth_dir=Path(name), labels=True, height_px=384, width_px=1280)
        return collate([frames[0, index] for index in range(2)])


def train(method: str, batch: Batch, steps: int, behaviour: str) -> tuple[list[float], float]:
    """Totals of every step and the median seconds of one."""
    tree = yaml.safe_load((ROOT / "params.yaml").read_text()) | {"behaviour": behaviour}
    quirks = Params.model_validate(tree).resolved_quirks()
    torch.manual_seed(0)
    channels = feature_channels()
    step = DistillationStep(
        build_detector(anisotropic_decode=quirks.anisotropic_decode),
        build_detector(anisotropic_decode=quirks.anisotropic_decode),
        build_distillation(
            method,
            student_channels=channels,
            backbone_channels=channels,
            rank="teacher" if quirks.rank_teacher_only else "both",
            unclipped_masks=quirks.unclipped_masks,
            running_level_sums=quirks.running_level_sums,
            trainable_teacher_side=quirks.trainable_teacher_side,
        ),
        teacher_train_mode=quirks.teacher_train_mode,
        nan_without_depth=quirks.nan_without_depth,
        replicas=Replicas(),
    ).train()
    optimiser = build_optimiser(step, kind="adam", learning_rate=LEARNING_RATE, weight_decay=1e-5)
    totals, times = [], []
    for _ in range(steps):
        began = time.perf_counter()
        terms = step(batch)
        total = torch.stack([step.distillation.weights.get(name, 1.0) * term for name, term in terms.items()]).sum()
        torch.autograd.backward(total)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        totals.append(float(total.detach()))
        times.append(time.perf_counter() - began)
    return totals, sorted(times)[len(times) // 2]


if __name__ == "__main__":
    main()
