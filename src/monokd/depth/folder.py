"""Dense depth for every frame of a source, restartable; and a check of depth files made elsewhere."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from monokd.depth.completion import dense_depth
from monokd.depth.png import check_depth, write_depth
from monokd.errors import DataError
from monokd.kitti.frames import FrameSource, read_velodyne
from monokd.kitti.images import read_depth, read_image, read_png_header
from monokd.progress import map_frames
from monokd.typing import Floats32


class Densified(NamedTuple):
    """What a run over a folder did."""

    made: int
    kept: int  # frames whose valid PNG was there
    errors: tuple[DataError, ...]  # one for every broken frame, in order of the frames


def densify_folder(source: FrameSource, out: Path, frames: Sequence[str], *, workers: int) -> Densified:
    """Write OUT/FRAME.png (uint16, metres × 256, 0 = none) for every frame.

    A valid PNG of the image's size that is there already is kept, so an ended run can be taken up again. Broken frames
    do not stop the others.

    Raises:
        OSError: `out` cannot be made or written.
    """
    out.mkdir(parents=True, exist_ok=True)
    results = map_frames(partial(_densify_or_explain, source, out), frames, "densify", workers)
    errors = tuple(result for result in results if isinstance(result, DataError))
    return Densified(results.count("made"), results.count("kept"), errors)


def densify_frame(source: FrameSource, frame: str) -> Floats32:
    """Compute the dense depth of one frame, H×W metres, 0 = none.

    Raises:
        DataError: the image, calibration or scan is missing or broken.
    """
    image = read_image(source.image(frame))
    calibration = source.read_calibration(frame)
    scan = read_velodyne(source.velodyne(frame))
    try:
        return dense_depth(scan, calibration, image)
    except DataError as error:
        raise DataError(error.reason, source.velodyne(frame)) from error


def check_depth_files(source: FrameSource, depth: Path, frames: Sequence[str]) -> list[DataError]:
    """Check the user's own depth PNGs FRAME.png in `depth` as `monokd check` does; one error a broken file."""
    errors = []
    for frame in frames:
        try:
            header, path = read_png_header(source.image(frame)), depth / f"{frame}.png"
            if not path.exists():
                raise DataError(f"expected a depth PNG for frame {frame}, found none", path)
            check_depth(path, (header.width_px, header.height_px))
        except DataError as error:
            errors.append(error)
    return errors


def _densify_or_explain(source: FrameSource, out: Path, frame: str) -> str | DataError:
    path = out / f"{frame}.png"
    try:
        if path.exists() and _is_whole(path, source.image(frame)):
            return "kept"
        write_depth(path, densify_frame(source, frame))
    except DataError as error:
        return error
    return "made"


def _is_whole(path: Path, image: Path) -> bool:
    header = read_png_header(image)
    try:
        depth_m = read_depth(path)
    except DataError:
        return False
    return depth_m.shape == (header.height_px, header.width_px) and bool(depth_m.any())
