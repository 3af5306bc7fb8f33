"""Stage `predict`: KITTI result files of the validation frames. Usage: python stages/predict.py MODEL"""

import sys
from pathlib import Path

from monokd.errors import run, say
from monokd.inference.predict import detect, pick_device, write_predictions
from monokd.kitti.frames import KittiFolder
from monokd.kitti.splits import has_labels, split_frames, split_half
from monokd.models.checkpoint import load_detector
from monokd.params import load_params
from monokd.samples.dataset import Frames, InputSettings


def main() -> None:
    name, params = sys.argv[1], load_params()
    profile, quirks, root = params.active, params.resolved_quirks(), params.data_root
    detector, info = load_detector(Path("data/models") / f"{name}.safetensors")
    split, out = profile.data.val_split, Path("data/predictions") / name
    sees_depth = info.kind == "depth"
    if sees_depth and not has_labels(split):
        say(f"predict: {name} sees depth, which is made for labelled frames alone; no results for split {split}")
        write_predictions(out, iter(()), classes=(), two_decimal_scores=False)
        return
    frames = Frames(
        KittiFolder(root, split_half(split)),
        split_frames(root, split),
        InputSettings(info.height_px, info.width_px, profile.data.classes, quirks.depth_scaled_twice),
        depth_dir=Path("data/depth") if sees_depth else None,
    )
    found = detect(
        detector,
        frames,
        sees_depth=sees_depth,
        anisotropic_decode=quirks.anisotropic_decode,
        score_threshold=profile.predict.score_threshold,
        batch_size=profile.predict.batch_size,
        drop_last=quirks.drop_last_validation,
        workers=profile.machine.workers,
        device=pick_device(profile.machine.accelerator),
    )
    write_predictions(out, found, classes=profile.data.classes, two_decimal_scores=quirks.two_decimal_scores)


if __name__ == "__main__":
    run(main)
