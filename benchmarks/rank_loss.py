"""How well each estimator of the rank correlation teaches, on the features of two trained detectors.

    python benchmarks/rank_loss.py [DATA] [--steps 100]

Correlations by strength against scipy's, and descent on the features themselves by every estimator's gradient, for
baseline and teacher of the demo. Times and memory: benchmarks/kernels.py.
"""

import argparse
from pathlib import Path

import torch
from kernels import Loss, correlation_of, pearson, sorted_rank, true_rank
from measure import ROOT, show
from scipy.stats import spearmanr
from torch import Tensor

from monokd.distill.maps import to_coarsest
from monokd.kitti.frames import KittiFolder
from monokd.models.checkpoint import load_detector
from monokd.samples.batch import collate
from monokd.samples.dataset import Frames, InputSettings

STRENGTHS = (1.0, 1 / 4, 1 / 16, 1 / 64, 1 / 256)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="?", type=Path, default=ROOT / "data", help="the pipeline's, of the demo")
    parser.add_argument("--steps", type=int, default=100, help="of the descent")
    options = parser.parse_args()
    models = [options.data / f"models/{name}.safetensors" for name in ("baseline", "teacher")]
    if not all(model.exists() for model in models):
        print("rank_loss: needs two trained detectors; `make repro` makes the demo's")
        return
    student, teacher = (resized_maps(model, options.data) for model in models)
    correlations_by_strength(student, teacher)
    descent(student, teacher, options.steps)


def resized_maps(model: Path, data: Path) -> list[Tensor]:
    """Fused maps of a detector on a frame that has depth, resized as the loss does: 1×N each level."""
    detector, info = load_detector(model)
    name = min(path.stem for path in (data / "depth").glob("*.png"))
    inputs = InputSettings(info.height_px, info.width_px, depth_scaled_twice=info.depth_scaled_twice)
    batch = collate([Frames(KittiFolder(data / "demo"), [name], inputs, depth_dir=data / "depth")[0, 0]])
    with torch.no_grad():
        output = detector.eval()(batch.input(info.modality), batch.P2, batch.coord_range_px)
    return [level.flatten(1) for level in to_coarsest(output.fused)]


def correlations_by_strength(student: list[Tensor], teacher: list[Tensor]) -> None:
    rows = []
    for a, b in zip(student, teacher, strict=True):
        row: dict[str, object] = {"values": a.numel(), "spread": float(b.std())}
        row |= {"scipy": float(spearmanr(a[0], b[0]).statistic), "Pearson": 1 - float(correlation_of(a, b))}
        row |= {f"ours 1/{1 / s:.0f}": 1 - float(true_rank(s)(a, b)) for s in STRENGTHS}
        rows.append(row | {"torchsort 1/16": 1 - float(sorted_rank(1 / 16)(a.double(), b.double()))})
    show("correlation of student's and teacher's features, one frame, by level (stride 4 first)", rows)


def descent(student: list[Tensor], teacher: list[Tensor], steps: int) -> None:
    """Rank correlation (scipy) after Adam on the features themselves by each estimator's gradient."""
    estimators: dict[str, Loss] = {"Pearson (published)": pearson, "hard rank × density": density}
    estimators |= {f"ours, 1/{1 / s:.0f}": true_rank(s) for s in STRENGTHS[1:]}
    estimators |= {f"torchsort, {s:g}": sorted_rank(s) for s in (1 / 64, 1.0, 16.0, 256.0)}
    a, b, rows = student[0], teacher[0], []
    for name, loss in estimators.items():
        moved = a.clone().requires_grad_()
        optimiser = torch.optim.Adam([moved], lr=0.02 * float(a.std()))
        row: dict[str, object] = {"estimator": name}
        for step in range(steps + 1):
            if step in (0, steps // 4, steps):
                row[f"step {step}"] = float(spearmanr(moved.detach()[0], b[0]).statistic)
            optimiser.zero_grad()
            torch.autograd.backward(loss(moved, b))
            if step == 0 and moved.grad is not None:
                row["gradients of 0 at first"] = float((moved.grad == 0).float().mean())
            optimiser.step()
        rows.append(row)
    show(f"scipy's rank correlation over Adam's steps on {a.numel():,} features", rows)


def density(a: Tensor, b: Tensor) -> Tensor:
    """True ranks by sorting; the gradient of a rank is the density at the value alone, other ranks held fixed."""

    def hard(x: Tensor) -> Tensor:
        return (x.argsort(1).argsort(1) + 0.5) / x.shape[1]

    ordered, size = a.detach().sort(1).values, a.shape[1]
    half, place = max(1, size // 200), a.detach().argsort(1).argsort(1)
    above, below = (ordered.gather(1, (place + d).clamp(0, size - 1)) for d in (half, -half))
    slope = 2 * half / size / (above - below).clamp(min=1e-6)
    return correlation_of(hard(a.detach()) + slope * (a - a.detach()), hard(b))


if __name__ == "__main__":
    main()
