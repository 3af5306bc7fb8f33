"""Labels, calibration, targets, regions, decoding and matching together: learn real frames by heart, find the cars.

Trains the RGB detector at reduced size on all frames of a KITTI folder, without augmentation, and counts how many of
their moderate cars it finds at 3D IoU 0.5 where at least 90 % of what it reports is right. Not a measure of quality:
the frames are the training frames. A fault in any of the parts shows, because no amount of training finds them then.

Usage: python benchmarks/overfit.py [KITTI_ROOT] [--epochs N] [--width W] [--height-px H] [--width-px W]
"""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

import yaml

from monokd.depth.folder import densify_folder
from monokd.evaluation.evaluate import evaluate_folders
from monokd.inference.predict import detect, write_predictions
from monokd.kitti.frames import KittiFolder
from monokd.models.checkpoint import load_detector
from monokd.params import Params
from monokd.samples.dataset import Frames
from monokd.training.stage import train_detector

ROOT = Path(__file__).resolve().parents[1]
PRECISION = 0.9
CELL = ("loose", "Car", "3d", "moderate")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = os.environ.get("MONOKD_KITTI", ROOT.parent / "shared" / "kitti")
    parser.add_argument("root", nargs="?", type=Path, default=default)
    parser.add_argument("--epochs", type=int, default=1200)
    parser.add_argument("--width", type=float, default=0.25)
    parser.add_argument("--height-px", type=int, default=128)
    parser.add_argument("--width-px", type=int, default=416)
    args = parser.parse_args()
    if not Path(args.root).is_dir():
        sys.exit(f"overfit: needs real KITTI frames, found none in {args.root}")
    params = reduced(args)
    root = Path(args.root).resolve()
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as name:
        os.chdir(name)
        Path("data").mkdir()
        Path("data/kitti").symlink_to(root)
        folder = KittiFolder(Path("data/kitti"))
        frames = folder.frames()
        densify_folder(folder, Path("data/depth"), frames, workers=2)
        train_detector(params, "baseline", out=Path("model.safetensors"), history=Path("history.csv"))
        found, objects, precision = score(params, folder, frames)
    print(
        f"{len(frames)} frames, {objects} moderate cars: {100 * found:.1f} % found at 3D IoU 0.5, "
        f"precision {100 * precision:.1f} %, {time.perf_counter() - began:.0f} s"
    )


def reduced(args: argparse.Namespace) -> Params:
    """The kitti profile at the reduced size, corrected, learning by heart."""
    tree = yaml.safe_load((ROOT / "params.yaml").read_text())
    kitti = tree["profiles"]["kitti"]
    kitti["data"] |= {"train_split": "trainval", "width_px": args.width_px, "height_px": args.height_px}
    kitti["model"]["width"] = args.width
    kitti["baseline"] |= {
        "epochs": args.epochs, "batch_size": 4, "learning_rate": 0.002, "schedule": "cosine", "warmup_epochs": 2,
        "gradient_clip": 10.0, "flip": 0.0, "crop": 0.0, "jitter": False, "task_weights": False,
    }  # fmt: skip
    kitti["machine"] |= {"workers": 0, "cache_images": True}
    return Params.model_validate(tree | {"profile": "kitti", "behaviour": "corrected"})


def score(params: Params, folder: KittiFolder, frames: list[str]) -> tuple[float, int, float]:
    """Recall of moderate cars where precision is high enough, their number, and that precision."""
    data = params.active.data
    detector, _ = load_detector("model.safetensors")
    inputs = Frames(folder, frames, depth_dir=None, labels=False, height_px=data.height_px, width_px=data.width_px)
    found = detect(detector, inputs, sees_depth=False, score_threshold=0.05, batch_size=2)
    write_predictions(Path("results"), found, classes=data.classes)
    curve = evaluate_folders(folder.folder / "label_2", Path("results"), frames).curves[CURVE]
    good = [(recall, precision) for _, recall, precision in curve.samples[:, :3] if precision >= PRECISION]
    recall, precision = max(good, default=(0.0, 0.0))
    return recall, cell.objects, precision


if __name__ == "__main__":
    main()
