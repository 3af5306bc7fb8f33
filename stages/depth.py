"""Stage `depth`: dense depth maps and their errors. Usage: python stages/depth.py ROOT OUT METRICS.json"""

import shutil
import sys
from pathlib import Path

from monokd.depth.folder import check_depth_files, densify_folder
from monokd.depth.held_out import measure_folder
from monokd.errors import DataError, run, say
from monokd.files import replacing, write_json
from monokd.kitti.frames import KittiFolder
from monokd.params import load_params
from monokd.progress import track, worker_count

MEASURED_FRAMES = 200
HELD_OUT_SEED = 0


def main() -> None:
    root, out, metrics = KittiFolder(Path(sys.argv[1])), Path(sys.argv[2]), Path(sys.argv[3])
    settings, frames, workers = load_params().active.depth, root.frames(), worker_count(0)
    if settings.source == "files":
        use_files(root, Path(settings.files), out, frames)
        write_json(metrics, {"frames": len(frames), "source": "files"})
        return
    result = densify_folder(root, out, frames, workers=workers)
    stop_at_first(result.errors)
    measured = frames[:: max(1, len(frames) // MEASURED_FRAMES)]
    write_json(metrics, measure_folder(root, measured, seed=HELD_OUT_SEED, workers=workers))


def use_files(root: KittiFolder, depth: Path, out: Path, frames: list[str]) -> None:
    """Check the user's own depth maps, then copy them."""
    stop_at_first(tuple(check_depth_files(root, depth, frames)))
    for frame in track(frames, "copy depth", len(frames)):
        with replacing(out / f"{frame}.png") as temporary:
            shutil.copyfile(depth / f"{frame}.png", temporary)


def stop_at_first(errors: tuple[DataError, ...]) -> None:
    """One line for each broken frame, then stop."""
    for error in errors[1:]:
        say(error)
    if errors:
        raise errors[0]


if __name__ == "__main__":
    run(main)
