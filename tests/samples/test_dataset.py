"""Samples of files: what is read, padded, scaled, cached, and refused."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from monokd.errors import DataError
from monokd.kitti.frames import KittiFolder
from monokd.samples.augment import Plan
from monokd.samples.dataset import Frames, Sample, pad_depth
from tests.samples.conftest import FRAMES


def _frames(folder: KittiFolder, **options: Any) -> Frames:
    settings: dict[str, Any] = {"depth_dir": folder.folder / "depth", "labels": True, "height_px": 96, "width_px": 320}
    return Frames(folder, FRAMES, **(settings | options))


def _same(a: Sample, b: Sample) -> None:
    assert a.frame == b.frame
    assert a.depth is not None
    assert b.depth is not None
    assert a.targets is not None
    assert b.targets is not None
    for left, right in ((a.image, b.image), (a.depth, b.depth), (a.P2, b.P2), (a.coord_range_px, b.coord_range_px)):
        np.testing.assert_array_equal(left, right)
    for field in type(a.targets).__slots__:
        np.testing.assert_array_equal(getattr(a.targets, field), getattr(b.targets, field))


def test_shapes(small_kitti: KittiFolder) -> None:
    """Everything follows the size of the input; feature maps have a quarter of it."""
    sample = _frames(small_kitti, height_px=128, width_px=416)[0, 2]
    assert sample.image.shape == (3, 128, 416)
    assert sample.depth is not None
    assert sample.depth.shape == (128, 416)
    assert sample.targets is not None
    assert sample.targets.heatmap.shape == (3, 32, 104)
    assert sample.targets.mask_2d[:3].tolist() == [True, True, False]
    assert sample.image_size_px.tolist() == [1248, 384]
    assert sample.image.dtype == sample.depth.dtype == sample.P2.dtype == np.float32


def test_cache_changes_nothing(small_kitti: KittiFolder) -> None:
    fresh, kept = (_frames(small_kitti, augment=True, seed=4, cache=cache) for cache in (False, True))
    for key in ((0, 0), (3, 6), (0, 0)):
        _same(fresh[key], kept[key])


def test_epochs_differ_only_when_augmented(small_kitti: KittiFolder) -> None:
    plain, moving = _frames(small_kitti), _frames(small_kitti, augment=True)
    _same(plain[0, 1], plain[5, 1])
    assert not np.array_equal(moving[0, 1].image, moving[5, 1].image)
    assert _frames(small_kitti, augment=True, flip=0.0, crop=0.0, jitter=False).plan(2, 3) == Plan()


def test_flip_moves_everything(small_kitti: KittiFolder) -> None:
    """Image, teacher depth, camera and boxes of a mirrored plain frame are the mirror images of the plain ones."""
    frames = _frames(small_kitti, height_px=384, width_px=1248)
    plain, flipped = (frames.apply("a", frames._read(FRAMES[1]), Plan(flip=flip)) for flip in (False, True))
    assert plain.depth is not None
    assert flipped.depth is not None
    assert plain.targets is not None
    assert flipped.targets is not None
    np.testing.assert_array_equal(flipped.image, plain.image[:, :, ::-1])
    np.testing.assert_array_equal(flipped.depth, plain.depth[:, ::-1])
    assert flipped.P2[0, 2] == 1248 - plain.P2[0, 2]
    assert flipped.P2[0, 3] == -plain.P2[0, 3]
    np.testing.assert_allclose(flipped.targets.boxes_px[:2, 0], 1248 - plain.targets.boxes_px[:2, 2], atol=1e-3)
    np.testing.assert_array_equal(flipped.targets.depth_m, plain.targets.depth_m)


def test_teacher_depth_once_or_twice(small_kitti: KittiFolder) -> None:
    """Quirk Q8: metres / 256 · scale / 80 as published; metres · scale / 80 corrected."""
    published, corrected = (_frames(small_kitti, depth_scaled_twice=twice) for twice in (True, False))
    plan = Plan(scale=0.5)
    twice = published.apply("a", published._read(FRAMES[0]), plan).depth
    once = corrected.apply("a", corrected._read(FRAMES[0]), plan).depth
    assert twice is not None
    assert once is not None
    np.testing.assert_allclose(once, 256 * twice, rtol=1e-6)
    assert once.max() == pytest.approx(80 * 0.5 / 80, rel=0.05)


def test_without_labels_or_depth(small_kitti: KittiFolder, tmp_path: Path) -> None:
    """Prediction needs an image and a calibration only."""
    folder = KittiFolder(tmp_path, "testing")
    for kind in ("image_2", "calib"):
        shutil.copytree(small_kitti.folder / kind, folder.folder / kind)
    sample = _frames(folder, depth_dir=None, labels=False)[0, 0]
    assert sample.depth is None
    assert sample.targets is None


def test_small_depth_maps_are_padded(small_kitti: KittiFolder) -> None:
    """All missing rows on top, columns half left, the rest right, by the border's values."""
    stored = np.arange(6, dtype=np.uint16).reshape(2, 3)
    expected = [[0, 0, 1, 2, 2, 2]] * 3 + [[3, 3, 4, 5, 5, 5]]
    np.testing.assert_array_equal(pad_depth(stored, 4, 6, Path("a.png")), expected)
    assert _frames(small_kitti)[0, len(FRAMES) - 1].depth is not None
    with pytest.raises(DataError, match=r"a\.png: expected a depth map no larger than its image, 2×2, found 3×2"):
        pad_depth(stored, 2, 2, Path("a.png"))


def test_wrong_settings_and_files(small_kitti: KittiFolder) -> None:
    with pytest.raises(ValueError, match="multiples of 32"):
        _frames(small_kitti, height_px=100)
    with pytest.raises(DataError, match="expected frames"):
        Frames(small_kitti, [], depth_dir=None, labels=False, height_px=96, width_px=320)
    with pytest.raises(DataError, match="no such image"):
        Frames(small_kitti, ["9"], depth_dir=None, labels=False, height_px=96, width_px=320)[0, 0]
