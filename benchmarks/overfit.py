"""Labels, calibration, targets, regions, decoding and matching together: learn real frames by heart, find the cars.

    python benchmarks/overfit.py [KITTI_ROOT] [--epochs N] [--width W] [--height-px H] [--width-px W]

Trains the detector of images at reduced size on all frames of a KITTI folder, without augmentation, and counts how many
of their moderate cars it finds at 3D IoU 0.5 where at least 90 % of what it reports is right. Not a measure of quality:
the frames are the training frames. A fault in any of the parts shows, because no amount of training finds them then.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

import yaml
from measure import ROOT, kitti_folder

from monokd.depth.folder import densify_folder
from monokd.evaluation.evaluate import evaluate_folders
from monokd.inference.predict import detect_images, write_predictions
from monokd.kitti.frames import KittiFolder
from monokd.models.checkpoint import load_detector
from monokd.params import Params
from monokd.training.stage import train_detector

PRECISION = 0.9
CURVE = ("loose", "Car", "3d", "moderate")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", nargs="?", type=Path, default=kitti_folder())
    parser.add_argument("--epochs", type=int, default=1200)
    parser.add_argument("--width", type=float, default=0.25)
    parser.add_argument("--height-px", type=int, default=128)
    parser.add_argument("--width-px", type=int, default=416)
    options = parser.parse_args()
    if not options.root.is_dir():
        sys.exit(f"overfit: needs real KITTI frames, found none in {options.root}")
    params, root = reduced(options), options.root.resolve()
    with tempfile.TemporaryDirectory() as name:
        os.chdir(name)
        Path("data").mkdir()
        Path("data/kitti").symlink_to(root)
        folder = KittiFolder(Path("data/kitti"))
        frames = folder.frames()
        densify_folder(folder, Path("data/depth"), frames, workers=2)
        train_detector(params, "baseline", out=Path("model.safetensors"), history=Path("history.csv"))
        detector, info = load_detector("model.safetensors")
        found = detect_images(detector, info, folder, frames, score_threshold=0.05, batch_size=2)
        write_predictions(Path("results"), found, classes=("Car",))
        curve = evaluate_folders(folder.folder / "label_2", Path("results"), frames).curves[CURVE]
    good = [(recall, precision) for _, recall, precision in curve.samples[:, :3] if precision >= PRECISION]
    recall, precision = max(good, default=(0.0, 0.0))
    print(
        f"{len(frames)} frames, {curve.objects} moderate cars: {100 * recall:.1f} % found at 3D IoU 0.5, "
        f"precision {100 * precision:.1f} %"
    )


def reduced(options: argparse.Namespace) -> Params:
    """The kitti profile at the reduced size, corrected, learning by heart."""
    tree = yaml.safe_load((ROOT / "params.yaml").read_text())
    kitti = tree["profiles"]["kitti"]
    kitti["data"] |= {"train_split": "trainval", "width_px": options.width_px, "height_px": options.height_px}
    kitti["model"]["width"] = options.width
    kitti["baseline"] |= {
        "epochs": options.epochs, "batch_size": 4, "learning_rate": 0.002, "schedule": "cosine", "warmup_epochs": 2,
        "gradient_clip": 10.0, "flip": 0.0, "crop": 0.0, "jitter": False, "task_weights": False,
    }  # fmt: skip
    kitti["machine"] |= {"workers": 0, "cache_images": True}
    return Params.model_validate(tree | {"profile": "kitti", "behaviour": "corrected"})


if __name__ == "__main__":
    main()
