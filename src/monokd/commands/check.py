"""The `monokd check` command: all that is missing or broken in a KITTI folder, grouped, one line a problem."""

import shutil
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from monokd.commands.frame_check import Problem, check_frame
from monokd.errors import DataError, printable
from monokd.kitti.frames import FRAME_ID, FrameSource, KittiFolder, file_ids, read_split
from monokd.kitti.near_val import write_near_val
from monokd.kitti.raw import RawDrives, drive_date, read_mapping
from monokd.kitti.splits import official_split, split_files
from monokd.progress import map_frames, worker_count

GROUPS = ("files", "images", "calibration", "labels", "scans", "depth", "splits", "disk")
SUFFIXES = {"image_2": ".png", "calib": ".txt", "label_2": ".txt", "velodyne": ".bin"}
# What a half must hold (the testing one scans too, where it has a folder for them), and KITTI's own number of frames.
NEEDED = {"training": tuple(SUFFIXES), "testing": ("image_2", "calib")}
OFFICIAL = {"training": 7481, "testing": 7518}
# What follows: a dense depth PNG a frame, in its folder and in DVC's cache; weights and training states.
DEPTH_BYTES, MODELS_BYTES = 2 * 280_000, 2 << 30
FRAMES_WORTH_PROCESSES = 500  # which take seconds to start


def check(
    root: Annotated[Path, typer.Argument(help="A folder in KITTI's object layout, or of raw drives.")],
    depth: Annotated[Path | None, typer.Option(help="A folder of depth PNGs, to check them too.")] = None,
    near_val: Annotated[
        bool,
        typer.Option("--near-val", help="List testing frames that look like a val frame in ImageSets/near_val.txt."),
    ] = False,
) -> None:
    """Report what is missing or broken in a KITTI folder, one line each; exit status 1 if anything is."""
    for folder in (root, depth):
        if folder is not None and not folder.is_dir():
            raise DataError("expected a folder, found no such folder", folder)
    drives = RawDrives(root)
    problems, checked = check_drives(drives, depth) if drives.drives() else check_folder(root, depth)
    for group in GROUPS:
        texts = [problem.text for problem in problems if problem.group == group]
        if texts:
            typer.echo(f"{group}: {len(texts)}")
        for text in texts:
            typer.echo(f"  {printable(text)}")
    typer.echo(f"{checked}: {len(problems) or 'no'} problem{'s' * (len(problems) != 1)}")
    if near_val:
        alike = write_near_val(root, worker_count(0))
        text = "testing frames look like a val frame; split test of unlabelled frames leaves them out"
        typer.echo(f"{len(alike)} {text}")
    if problems:
        raise typer.Exit(1)


def check_folder(root: Path, depth: Path | None) -> tuple[list[Problem], str]:
    """Find the problems of a folder in the object layout, and say what was checked."""
    halves = [half for half in NEEDED if (root / half).is_dir()]
    problems: list[Problem] = []
    maps, texts, official = 0, [], []
    for half in halves:
        mine = depth if half == "training" else None
        frames, found = check_partners(root, half, mine)
        problems += [*found, *_check_frames(KittiFolder(root, half), mine, frames, f"checking {half}")]
        maps += len(frames) if half == "training" and depth is None else 0
        if frames:
            texts.append(f"{len(frames)} {half} frame{'s' * (len(frames) != 1)}")
        if 0 < len(frames) < OFFICIAL[half]:
            official.append(f"{OFFICIAL[half]:,} {half}")
    if not halves:
        problems.append(Problem("files", f"{root}: expected a folder training or testing, found neither"))
    problems += check_lists(root)
    needed, free = maps * DEPTH_BYTES + MODELS_BYTES, shutil.disk_usage(Path()).free
    if free < needed:
        text = f"depth maps and models need about {needed / 2**30:.1f} GiB here, {free / 2**30:.1f} GiB are free"
        problems.append(Problem("disk", f"{Path().resolve()}: {text}"))
    whole = f" (KITTI has {' and '.join(official)})" if official else ""
    return problems, f"{' and '.join(texts) or 'no frames'}{whole}"


def check_drives(source: RawDrives, depth: Path | None) -> tuple[list[Problem], str]:
    """Check raw drives: sensors that a drive lacks, calibration of each date, every frame with an image and a scan."""
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
    problems += _check_frames(source, depth, frames, "checking drives")
    notes = [f"{unpaired} images or scans without a partner are left out"] if unpaired else []
    try:
        read_mapping(source.root)
    except DataError as error:
        notes.append(f"splits drives and places would stop: {error}")
    text = f" ({'; '.join(notes)})" if notes else ""
    # A date's calibration is at fault once, not once a frame.
    return list(dict.fromkeys(problems)), f"{len(frames)} frames of {len(source.drives())} raw drives{text}"


def _check_frames(source: FrameSource, depth: Path | None, frames: list[str], description: str) -> list[Problem]:
    workers = worker_count(0) if len(frames) > FRAMES_WORTH_PROCESSES else 1
    found = map_frames(partial(check_frame, source, depth), frames, description, workers)
    return [problem for problems in found for problem in problems]


def check_partners(root: Path, half: str, depth: Path | None) -> tuple[list[str], list[Problem]]:
    """List the frames of a half that have any file, and what they lack; a kind without any file is named once."""
    folder = root / half
    needed = (*NEEDED[half], *(["velodyne"] if half == "testing" and (folder / "velodyne").is_dir() else []))
    present = {kind: file_ids(folder / kind, SUFFIXES[kind]) for kind in needed}
    frames = sorted(set().union(*present.values()))
    texts = [f"{folder / kind}: expected {SUFFIXES[kind]} files, found none" for kind in needed if not present[kind]]
    unlabelled: set[str] = set()
    if half == "training":
        with suppress(DataError):  # absent; a broken one is reported with the lists
            unlabelled = set(read_split(root / "ImageSets/unlabelled.txt")) - present["label_2"]
    wanted = [(folder / kind, SUFFIXES[kind], present[kind]) for kind in needed if present[kind]]
    if depth is not None:
        wanted.append((depth, ".png", file_ids(depth, ".png")))
    for frame in frames:
        if not FRAME_ID.fullmatch(frame):
            texts.append(f"{folder}: expected frame names of letters, digits, - and _, found {frame[:80]!r}")
        for place, suffix, ids in wanted:
            needless = frame in unlabelled and place in (folder / "label_2", depth)
            if frame not in ids and not needless:
                texts.append(f"{place / frame}{suffix}: missing")
    return frames, [Problem("files", text) for text in texts]


def check_lists(root: Path) -> Iterator[Problem]:
    """Find problems of ROOT/ImageSets: lists that cannot be read, frames without an image, frames in two lists."""
    lists: dict[str, list[str]] = {}
    for path in sorted(p for p in (root / "ImageSets").glob("*.txt") if p.name != "drives.txt"):
        try:
            frames = lists[path.stem] = read_split(path)
        except DataError as error:
            yield Problem("splits", str(error))
            continue
        images = file_ids(split_files(root, path.stem).folder / "image_2", ".png")
        absent = [frame for frame in frames if frame not in images]
        if absent:
            yield Problem("splits", f"{path}: {len(absent)} of {len(frames)} frames have no image, first {absent[0]}")
    train, val = (set(lists.get(name, official_split(name))) for name in ("train", "val"))
    if train & val:
        text = f"{len(train & val)} frames stand in train and in val, first {min(train & val)}"
        yield Problem("splits", f"{root / 'ImageSets'}: {text}")
