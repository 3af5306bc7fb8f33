"""Samples of files: what is read, padded, scaled, cached, and refused."""

from pathlib import Path
from typing import Any

import pytest
import torch

from monokd.kitti.frames import KittiFolder
from monokd.samples.augment import Augmentation, Plan
from monokd.samples.batch import collate
from monokd.samples.dataset import Frames, InputSettings
from tests.samples.conftest import FRAMES, same

SMALL = InputSettings(96, 320)


def _frames(folder: KittiFolder, settings: InputSettings = SMALL, **options: Any) -> Frames:
    given: dict[str, Any] = {"depth_dir": folder.folder / "depth", "labels": True}
    return Frames(folder, FRAMES, settings, **(given | options))


def test_cache_changes_nothing(small_kitti: KittiFolder) -> None:
    fresh, kept = (_frames(small_kitti, augmentation=Augmentation(4), cache=cache) for cache in (False, True))
    assert all(same(fresh[key], kept[key]) for key in ((0, 0), (3, 6), (0, 0)))


def test_epochs_differ_only_when_augmented(small_kitti: KittiFolder) -> None:
    still = Augmentation(flip=0.0, crop=0.0, jitter=False)
    for augmentation, equal in ((None, True), (still, True), (Augmentation(), False)):
        frames = _frames(small_kitti, augmentation=augmentation)
        assert same(frames[0, 1], frames[5, 1]) == equal


def test_flip_moves_everything(small_kitti: KittiFolder) -> None:
    """Image, depth, camera and boxes of a mirrored plain frame are the mirror images of the plain ones."""
    frames = _frames(small_kitti, InputSettings(384, 1248))
    plain, flipped = (collate([frames.apply(1, Plan(flip=flip))]) for flip in (False, True))
    assert plain.targets is not None
    assert flipped.targets is not None
    assert torch.equal(flipped.input("image"), plain.input("image").flip(3))
    assert torch.equal(flipped.input("depth"), plain.input("depth").flip(3))
    assert flipped.P2[0, 0, 2] == 1248 - plain.P2[0, 0, 2]
    assert flipped.P2[0, 0, 3] == -plain.P2[0, 0, 3]
    left, right = flipped.targets.boxes_px[0, :2, 0], plain.targets.boxes_px[0, :2, 2]
    torch.testing.assert_close(left, 1248 - right, atol=1e-3, rtol=0)
    assert torch.equal(flipped.targets.depth_m, plain.targets.depth_m)


def test_depth_scaled_once_or_twice(small_kitti: KittiFolder) -> None:
    """Quirk Q8: metres / 256 · scale / 80 as published; metres · scale / 80 corrected."""
    frames = (_frames(small_kitti, InputSettings(96, 320, depth_scaled_twice=twice)) for twice in (True, False))
    twice, once = (collate([one.apply(0, Plan(scale=0.5))]).input("depth") for one in frames)
    torch.testing.assert_close(once, 256 * twice, rtol=1e-6, atol=0)
    assert float(once.max()) == pytest.approx(80 * 0.5 / 80, rel=0.05)


def test_prediction_needs_an_image_and_a_calibration_only(small_kitti: KittiFolder, tmp_path: Path) -> None:
    folder = KittiFolder(tmp_path, "testing")
    folder.folder.mkdir()
    for kind in ("image_2", "calib"):
        (folder.folder / kind).symlink_to(small_kitti.folder / kind)
    batch = collate([_frames(folder, depth_dir=None, labels=False)[0, 0]])
    assert batch.targets is None
    with pytest.raises(ValueError, match=r"sees depth, but the batch carries image$"):
        batch.input("depth")


@pytest.mark.parametrize("modality", ["image", "depth"])
def test_only_the_wanted_modality_travels(small_kitti: KittiFolder, modality: Any) -> None:
    """And nothing else changes: a depth network's frames take the image's size from its header."""
    both = _frames(small_kitti, augmentation=Augmentation(1))
    one = _frames(small_kitti, InputSettings(96, 320, modalities=(modality,)), augmentation=Augmentation(1))
    for index in range(len(FRAMES)):
        expected = both[0, index]
        expected.inputs, expected.channel_maps = (
            {modality: kept[modality]} for kept in (expected.inputs, expected.channel_maps)
        )
        assert same(one[0, index], expected)


def test_boxes_of_a_detector(small_kitti: KittiFolder, tmp_path: Path) -> None:
    """Result files in a folder of their own train as labels do, by their score."""
    line = small_kitti.label(FRAMES[0]).read_text().split("\n")[0]
    (tmp_path / f"{FRAMES[0]}.txt").write_text(f"{line} 0.5\n")
    found = _frames(small_kitti, labels=tmp_path)[0, 0].targets
    assert found is not None
    assert found.weight.sum() == 0.5
    assert found.mask_2d.sum() == 1
