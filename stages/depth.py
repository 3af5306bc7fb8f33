"""Stages `depth`, `depth_unlabelled`: dense depth and its errors. Usage: python stages/depth.py labelled|unlabelled"""

import shutil
import sys
from pathlib import Path

from monokd.depth.folder import check_depth_files, densify_folder
from monokd.depth.held_out import measure_folder
from monokd.errors import DataError, run, say
from monokd.files import replacing, write_json
from monokd.kitti.splits import split_files
from monokd.params import load_params
from monokd.progress import track, worker_count
from monokd.roles import labelled_and_scored_frames, unlabelled_frames

LABELLED, UNLABELLED, METRICS = Path("data/depth"), Path("data/depth_unlabelled"), Path("metrics/depth.json")
MEASURED_FRAMES = 200
HELD_OUT_SEED = 0


def main() -> None:
    params, workers = load_params(), worker_count(0)
    if sys.argv[1] == "unlabelled":  # from their scans; an empty folder where there are none
        UNLABELLED.mkdir(parents=True, exist_ok=True)
        source, unlabelled = unlabelled_frames(params)
        if unlabelled:
            stop_at_first(densify_folder(source, UNLABELLED, unlabelled, workers=workers).errors)
        return
    data, settings = params.active.data, params.active.depth
    files = split_files(params.data_root, data.train_split)
    frames = labelled_and_scored_frames(params)
    if settings.source == "files":
        own = Path(settings.files)  # the user's own depth maps, checked and copied
        stop_at_first(tuple(check_depth_files(files, own, frames)))
        for frame in track(frames, "copy depth", len(frames)):
            with replacing(LABELLED / f"{frame}.png") as temporary:
                shutil.copyfile(own / f"{frame}.png", temporary)
        write_json(METRICS, {"frames": len(frames), "source": "files"})
        return
    stop_at_first(densify_folder(files, LABELLED, frames, workers=workers).errors)
    measured = frames[:: max(1, len(frames) // MEASURED_FRAMES)]
    write_json(METRICS, measure_folder(files, measured, seed=HELD_OUT_SEED, workers=workers))


def stop_at_first(errors: tuple[DataError, ...]) -> None:
    """Print one line for each broken frame, then stop."""
    for error in errors[1:]:
        say(error)
    if errors:
        raise errors[0]


if __name__ == "__main__":
    run(main)
