"""Which frames play which role in a run: labelled, held out of the teacher's training, without labels."""

from collections.abc import Iterable
from typing import cast, get_args

from monokd.errors import DataError, say
from monokd.kitti import splits
from monokd.kitti.frames import FrameSource, KittiFolder
from monokd.kitti.splits import NEAR_VAL, UnlabelledSplit, has_labels, split_files, split_frames
from monokd.params import Params


def labelled_frames(params: Params) -> list[str]:
    """Return the frames of the train split."""
    return split_frames(params.data_root, params.active.data.train_split)


def labelled_and_scored_frames(params: Params) -> list[str]:
    """Return the frames of the train split and of the val split, the latter where it has labels, ascending.

    DataError where two different splits share frames.
    """
    data, train = params.active.data, labelled_frames(params)
    if not has_labels(data.val_split):
        return sorted(train)
    val = split_frames(params.data_root, data.val_split)
    if data.train_split != data.val_split:
        where = f"profiles.{params.profile}.data.train_split: expected frames that are not scored"
        refuse_shared(train, val, where, data.val_split)
    return sorted({*train, *val})


def teacher_frames(params: Params) -> list[str]:
    """Return the frames of the train split that the teacher sees, all but the last `data.held_out` of them."""
    frames = labelled_frames(params)
    return frames[: len(frames) - round(params.active.data.held_out * len(frames))]


def held_out_frames(params: Params) -> list[str]:
    """Return the labelled frames that the teacher does not see, on which the scores of its boxes are judged."""
    return labelled_frames(params)[len(teacher_frames(params)) :]


def unlabelled_frames(params: Params) -> tuple[FrameSource, list[str]]:
    """Return where the frames without labels are, and their ids: none where no split is named.

    DataError where there are no such frames, or one of them is scored: val must teach nothing.
    """
    data, root = params.active.data, params.unlabelled_root
    name, where = data.unlabelled_split, f"profiles.{params.profile}.data.unlabelled_split"
    if not name:
        return split_files(root, name), []
    if name == NEAR_VAL:
        raise DataError(f"{where}: expected frames that do not look like one of val, found {name}", "params.yaml")
    val = split_frames(params.data_root, data.val_split)
    if name in get_args(UnlabelledSplit):
        source, frames = splits.unlabelled_frames(
            cast(UnlabelledSplit, name),
            root=params.data_root,
            raw=root,
            every=data.unlabelled_every,
            apart_m=data.unlabelled_apart_m,
            scored=val if has_labels(data.val_split) else (),
        )
    else:
        source, frames = split_files(root, name), split_frames(root, name)
    if name == "test" and not (params.data_root / "ImageSets" / f"{NEAR_VAL}.txt").exists():
        say(f"{where}: frames that look like one of val may be among them; `monokd check --near-val` lists these")
    val_folder = split_files(params.data_root, data.val_split).folder
    if isinstance(source, KittiFolder) and source.folder.resolve() == val_folder.resolve():
        refuse_shared(frames, val, f"{where}: expected frames that are not scored", data.val_split)
    return source, frames


def refuse_shared(frames: Iterable[str], scored: Iterable[str], expected: str, val_split: str) -> None:
    """Raise a DataError where frames are scored too."""
    shared = set(frames) & set(scored)
    if shared:
        found = f"{len(shared)} of them are of split {val_split}, first {min(shared)}"
        raise DataError(f"{expected}, {found}", "params.yaml")
