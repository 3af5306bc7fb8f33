"""The `monokd check` command: all that is missing or broken in a KITTI folder, grouped, one line a problem."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from string import whitespace
from typing import Annotated

import typer

from monokd.commands.frame_check import GROUPS, Problem, check_frame
from monokd.errors import DataError, printable
from monokd.files import read_bytes
from monokd.kitti.frames import FRAME_ID, KittiFolder, file_ids
from monokd.kitti.raw import RawDrives, drive_date
from monokd.progress import map_frames, worker_count

HALVES = ("training", "testing")
SUFFIXES = {"image_2": ".png", "calib": ".txt", "label_2": ".txt", "velodyne": ".bin"}
# What a half must hold; scans of the testing half are never read.
NEEDED = {"training": tuple(SUFFIXES), "testing": ("image_2", "calib")}
OFFICIAL = {"training": 7481, "testing": 7518}
APART = ("train", "val"), ("trainval", "test")
# What follows: a dense depth PNG, in its folder and in DVC's cache, and weights and training states.
DEPTH_BYTES_A_PIXEL = 2 * 0.6
MODELS_BYTES = 2 << 30
FRAMES_WORTH_PROCESSES = 500


def check(
    root: Annotated[Path, typer.Argument(help="A folder in KITTI's object layout, or of raw drives.")],
    depth: Annotated[Path | None, typer.Option(help="A folder of depth PNGs, to check them too.")] = None,
) -> None:
    """Report what is missing or broken in a KITTI folder, one line each; exit status 1 if anything is.

    Raises:
        DataError: no such folder.
        typer.Exit: status 1, there are problems.
    """
    for folder in (root, depth):
        if folder is not None and not folder.is_dir():
            raise DataError("expected a folder, found no such folder", folder)
    if RawDrives(root).drives():
        check_raw(RawDrives(root), depth)
        return
    problems: list[Problem] = []
    counts, pixels = dict.fromkeys(HALVES, 0), dict.fromkeys(HALVES, 0)
    for half in HALVES:
        if (root / half).is_dir():
            counts[half], pixels[half], found = check_half(root, half, depth if half == "training" else None)
            problems += found
    if not any((root / half).is_dir() for half in HALVES):
        problems.append(Problem("files", f"{root}: expected a folder training or testing, found neither"))
    problems += check_lists(root)
    problems += check_disk(Path(), 0 if depth is not None else pixels["training"])
    print_problems(problems, _counted(counts))


def print_problems(problems: list[Problem], checked: str) -> None:
    """Print the problems by group, one line each, then a verdict on what was `checked`.

    Raises:
        typer.Exit: status 1, there are problems.
    """
    for group in GROUPS:
        mine = [problem for problem in problems if problem.group == group]
        if mine:
            typer.echo(f"{group}: {len(mine)}")
        for problem in mine:
            typer.echo(f"  {printable(problem.text)}")
    found = "no problems" if not problems else "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
    typer.echo(f"{checked}: {found}")
    if problems:
        raise typer.Exit(1)


def check_half(root: Path, half: str, depth: Path | None) -> tuple[int, int, list[Problem]]:
    """Count the frames of a half that have any file and the pixels of all its images, and find its problems."""
    present = {kind: file_ids(root / half / kind, suffix) for kind, suffix in SUFFIXES.items()}
    frames = sorted(set().union(*(present[kind] for kind in NEEDED[half])))
    unlabelled = _unlabelled(root) - present["label_2"]
    problems = [Problem("files", text) for text in _missing(root / half, present, frames, depth, unlabelled)]
    task = partial(check_frame, KittiFolder(root, half), depth)
    # Depth maps take long to decode, all else does not, and processes take seconds to start.
    workers = worker_count(0) if depth is not None and len(frames) > FRAMES_WORTH_PROCESSES else 1
    reports = map_frames(task, frames, f"checking {half}", workers)
    problems += [problem for report in reports for problem in report.problems]
    return len(frames), sum(report.pixels for report in reports), problems


def check_raw(source: RawDrives, depth: Path | None) -> None:
    """Check raw drives: sensors that a drive lacks, calibration of each date, every frame with an image and a scan.

    Raises:
        typer.Exit: status 1, there are problems.
    """
    problems: list[Problem] = []
    frames: list[str] = []
    unpaired = 0
    for drive in source.drives():
        folder = source.root / drive_date(drive) / drive
        images, scans = folder / "image_02/data", folder / "velodyne_points/data"
        present = {images: file_ids(images, ".png"), scans: file_ids(scans, ".bin")}
        problems += [Problem("files", f"{path}: expected files, found none") for path in present if not present[path]]
        unpaired += len(present[images] ^ present[scans])
        frames += source.frames_of(drive)
    for path in sorted({source.calibration(frame) for frame in frames}):
        files = path, path.with_name("calib_velo_to_cam.txt")
        problems += [Problem("calibration", f"{file}: missing") for file in files if not file.exists()]
    for report in map_frames(partial(check_frame, source, depth), frames, "checking drives", 1):
        problems += report.problems
    text = f"{len(frames)} frames of {len(source.drives())} raw drives"
    if unpaired:
        text += f" ({unpaired} images or scans without a partner are left out)"
    print_problems(list(dict.fromkeys(problems)), text)


def check_lists(root: Path) -> Iterator[Problem]:
    """Find problems of ROOT/ImageSets: broken lists, ids twice, frames without an image, frames in two lists."""
    images = {half: file_ids(root / half / "image_2", ".png") for half in HALVES}
    listed: dict[str, set[str]] = {}
    for path in sorted(p for p in (root / "ImageSets").glob("*.txt") if p.name != "drives.txt"):
        try:
            words = read_bytes(path, "split").decode("utf-8").split("\n")
        except (DataError, UnicodeDecodeError) as error:
            reason = str(error) if isinstance(error, DataError) else f"{path}: expected UTF-8 text"
            yield Problem("splits", reason)
            continue
        ids = [(i, word.strip(whitespace)) for i, word in enumerate(words, start=1) if word.strip(whitespace)]
        listed[path.stem] = {frame for _, frame in ids}
        present = images["testing" if path.stem == "test" else "training"]
        yield from (Problem("splits", f"{path}{text}") for text in _list_problems(ids, present))
    for one, other in APART:
        both = listed.get(one, set()) & listed.get(other, set())
        if both:
            text = f"{len(both)} frames stand in {one} and in {other}, first {min(both)}"
            yield Problem("splits", f"{root / 'ImageSets'}: {text}")


def check_disk(folder: Path, pixels: int) -> Iterator[Problem]:
    """Find out whether depth maps for so many pixels, and models, have room where the pipeline runs."""
    needed, free = int(pixels * DEPTH_BYTES_A_PIXEL) + MODELS_BYTES, shutil.disk_usage(folder).free
    if free < needed:
        text = f"depth maps and models need about {needed / 2**30:.1f} GiB here, {free / 2**30:.1f} GiB are free"
        yield Problem("disk", f"{folder.resolve()}: {text}")


def _list_problems(ids: list[tuple[int, str]], images: set[str]) -> Iterator[str]:
    """What is wrong with one list, after its path."""
    seen: dict[str, int] = {}
    for number, frame in ids:
        if not FRAME_ID.fullmatch(frame):
            yield f":{number}: expected a frame id of letters, digits, - and _, found {frame[:40]!r}"
        elif frame in seen:
            yield f":{number}: frame {frame} stands in line {seen[frame]} already"
        seen.setdefault(frame, number)
    absent = [frame for frame in seen if frame not in images and FRAME_ID.fullmatch(frame)]
    if absent:
        yield f": {len(absent)} of {len(seen)} frames have no image, first {absent[0]}"
    if not seen:
        yield ": expected frame ids, found none"


def _unlabelled(root: Path) -> set[str]:
    """Frames that ROOT/ImageSets/unlabelled.txt lists, as the synthetic frames for the student: they need no label."""
    try:
        return set(read_bytes(root / "ImageSets/unlabelled.txt", "split").decode("utf-8").split())
    except (DataError, UnicodeDecodeError):  # absent; a broken one is reported with the lists
        return set()


def _missing(
    folder: Path, present: dict[str, set[str]], frames: list[str], depth: Path | None, unlabelled: set[str]
) -> Iterator[str]:
    """Partners that are not there, a kind without any file once; and names that cannot name a frame."""
    needed = NEEDED[folder.name]
    for kind in needed:
        if not present[kind]:
            yield f"{folder / kind}: expected {SUFFIXES[kind]} files, found none"
    maps = None if depth is None else file_ids(depth, ".png")
    for frame in frames:
        if not FRAME_ID.fullmatch(frame):
            yield f"{folder}: expected frame names of letters, digits, - and _, found {frame[:80]!r}"
        for kind in needed:
            if present[kind] and frame not in present[kind] and not (kind == "label_2" and frame in unlabelled):
                yield f"{folder / kind / frame}{SUFFIXES[kind]}: missing"
        if maps is not None and frame not in maps and frame not in unlabelled:
            yield f"{depth}/{frame}.png: missing"


def _counted(counts: dict[str, int]) -> str:
    texts = [f"{count} {half} frame{'s' * (count != 1)}" for half, count in counts.items() if count]
    short = [f"{OFFICIAL[half]:,} {half}" for half, count in counts.items() if 0 < count < OFFICIAL[half]]
    return (" and ".join(texts) or "no frames") + (f" (KITTI has {' and '.join(short)})" if short else "")
