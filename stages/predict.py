"""Stage `predict`: KITTI result files of the validation frames. Usage: python stages/predict.py MODEL"""

import shutil
import sys
from pathlib import Path

from monokd.errors import run, say
from monokd.inference import predict
from monokd.kitti.splits import has_labels, split_files, split_frames
from monokd.models.arithmetic import set_tf32, set_threads
from monokd.models.checkpoint import load_detector
from monokd.params import load_params
from monokd.samples.dataset import Frames


def main() -> None:
    name, params = sys.argv[1], load_params()
    profile, quirks, root = params.active, params.resolved_quirks(), params.data_root
    detector, info = load_detector(Path("data/models") / f"{name}.safetensors")
    split, out = profile.data.val_split, Path("data/predictions") / name
    if predict.processes()[1] == 1:
        shutil.rmtree(out, ignore_errors=True)  # of a run without DVC, which removes it itself
    out.mkdir(parents=True, exist_ok=True)
    if info.modality != "image" and not has_labels(split):
        say(f"predict: {name} sees depth, which is made for labelled frames alone; no results for split {split}")
        return
    names, batch_size = split_frames(root, split), profile.predict.batch_size
    if quirks.drop_last_validation:
        names = predict.full_batches(names, batch_size)
    names = predict.share_of_process(names)
    if not names:
        return
    frames = Frames(split_files(root, split), names, info.input_settings(), depth_dir=Path("data/depth"))
    set_tf32(profile.machine.tf32)
    set_threads(profile.machine.threads)
    workers = -1 if profile.machine.workers == "auto" else profile.machine.workers
    found = predict.detect(
        detector, frames, modality=info.modality, score_threshold=profile.predict.score_threshold,
        batch_size=batch_size, workers=workers, device=predict.pick_device(profile.machine.accelerator),
    )  # fmt: skip
    decimals = 2 if quirks.two_decimal_scores else predict.SCORE_DECIMALS
    predict.write_predictions(out, found, classes=profile.data.classes, score_decimals=decimals)


if __name__ == "__main__":
    run(main)
