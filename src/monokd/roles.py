"""Which frames play which role in a run: labelled, held out of the teacher's training, without labels."""

from typing import cast, get_args

from monokd.errors import DataError
from monokd.kitti import splits
from monokd.kitti.frames import FrameSource
from monokd.kitti.splits import UnlabelledSplit, split_files, split_frames
from monokd.params import Params


def labelled_frames(params: Params) -> list[str]:
    """Return the frames of the train split."""
    return split_frames(params.data_root, params.active.data.train_split)


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
    if data.unlabelled_split in get_args(UnlabelledSplit):
        name = cast(UnlabelledSplit, data.unlabelled_split)
        every, apart_m = data.unlabelled_every, data.unlabelled_apart_m
        return splits.unlabelled_frames(name, root=params.data_root, raw=root, every=every, apart_m=apart_m)
    source = split_files(root, data.unlabelled_split)
    frames = split_frames(root, data.unlabelled_split) if data.unlabelled_split else []
    if frames and root == params.data_root:
        scored = set(frames) & set(split_frames(root, data.val_split))
        if scored:
            reason = f"expected frames that are not scored, {len(scored)} of them are of split {data.val_split}"
            where = f"profiles.{params.profile}.data.unlabelled_split"
            raise DataError(f"{where}: {reason}, first {min(scored)}", "params.yaml")
    return source, frames
