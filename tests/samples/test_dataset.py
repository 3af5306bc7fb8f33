"""Samples of files: what is read, padded, scaled, cached, and refused."""

from __future__ import annotations

import shutil
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from monokd.errors import DataError
from monokd.kitti.frames import KittiFolder
from monokd.samples.augment import Augmentation, Plan
from monokd.samples.batch import Batch, Sample, collate
from monokd.samples.dataset import Frames, InputSettings, pad_depth
from tests.samples.conftest import FRAMES

SMALL = InputSettings(96, 320)


def _frames(folder: KittiFolder, settings: InputSettings = SMALL, **options: Any) -> Frames:
    given: dict[str, Any] = {"depth_dir": folder.folder / "depth", "labels": True}
    return Frames(folder, FRAMES, settings, **(given | options))


def _applied(frames: Frames, index: int, plan: Plan) -> Batch:
    return collate([frames.apply("a", frames.read(index), plan)])


def _same(a: Sample, b: Sample) -> None:
    assert a.frame == b.frame
    assert a.targets is not None
    assert b.targets is not None
    assert list(a.inputs) == list(b.inputs) == ["image", "depth"]
    pairs = [(a.inputs[modality], b.inputs[modality]) for modality in a.inputs]
    pairs += [(a.P2, b.P2), (a.coord_range_px, b.coord_range_px)]
    pairs += [(getattr(a.targets, field.name), getattr(b.targets, field.name)) for field in fields(a.targets)]
    assert all(torch.equal(left, right) for left, right in pairs)


def test_shapes(small_kitti: KittiFolder) -> None:
    """Everything follows the size of the input; feature maps have a quarter of it."""
    batch = collate([_frames(small_kitti, InputSettings(128, 416))[0, 2]])
    assert batch.targets is not None
    assert batch.targets.heatmap.shape == (1, 3, 32, 104)
    assert batch.targets.mask_2d[0, :3].tolist() == [True, True, False]
    assert batch.image_size_px.tolist() == [[1248, 384]]
    for tensor in (batch.input("image"), batch.input("depth")):
        assert tensor.shape == (1, 3, 128, 416)
        assert tensor.dtype == batch.P2.dtype == torch.float32


def test_cache_changes_nothing(small_kitti: KittiFolder) -> None:
    fresh, kept = (_frames(small_kitti, augmentation=Augmentation(4), cache=cache) for cache in (False, True))
    for key in ((0, 0), (3, 6), (0, 0)):
        _same(fresh[key], kept[key])


def test_epochs_differ_only_when_augmented(small_kitti: KittiFolder) -> None:
    plain, moving = _frames(small_kitti), _frames(small_kitti, augmentation=Augmentation())
    _same(plain[0, 1], plain[5, 1])
    seen = [collate([moving[epoch, 1]]).input("image") for epoch in (0, 5)]
    assert not torch.equal(*seen)
    still = Augmentation(flip=0.0, crop=0.0, jitter=False)
    assert _frames(small_kitti, augmentation=still).plan(2, 3) == Plan()


def test_flip_moves_everything(small_kitti: KittiFolder) -> None:
    """Image, depth, camera and boxes of a mirrored plain frame are the mirror images of the plain ones."""
    frames = _frames(small_kitti, InputSettings(384, 1248))
    plain, flipped = (_applied(frames, 1, Plan(flip=flip)) for flip in (False, True))
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
    sizes = (InputSettings(96, 320, depth_scaled_twice=twice) for twice in (True, False))
    twice, once = (_applied(_frames(small_kitti, size), 0, Plan(scale=0.5)).input("depth") for size in sizes)
    torch.testing.assert_close(once, 256 * twice, rtol=1e-6, atol=0)
    assert float(once.max()) == pytest.approx(80 * 0.5 / 80, rel=0.05)


def test_without_labels_or_depth(small_kitti: KittiFolder, tmp_path: Path) -> None:
    """Prediction needs an image and a calibration only."""
    folder = KittiFolder(tmp_path, "testing")
    for kind in ("image_2", "calib"):
        shutil.copytree(small_kitti.folder / kind, folder.folder / kind)
    batch = collate([_frames(folder, depth_dir=None, labels=False)[0, 0]])
    assert batch.targets is None
    with pytest.raises(ValueError, match=r"sees depth, but the batch carries image$"):
        batch.input("depth")


def test_only_the_wanted_modalities_travel(small_kitti: KittiFolder) -> None:
    sample = _frames(small_kitti, InputSettings(96, 320, modalities=("image",)))[0, 0]
    assert list(sample.inputs) == list(sample.channel_maps) == ["image"]


def test_boxes_of_a_detector_and_of_nobody(small_kitti: KittiFolder, tmp_path: Path) -> None:
    """Result files in a folder of their own train as labels do; without any every cell is unknown."""
    line = small_kitti.label(FRAMES[0]).read_text().split("\n")[0]
    (tmp_path / f"{FRAMES[0]}.txt").write_text(f"{line} 0.5\n")
    found = _frames(small_kitti, labels=tmp_path)[0, 0].targets
    unknown = _frames(small_kitti, labels="unknown")[0, 0].targets
    assert found is not None
    assert unknown is not None
    assert found.weight.sum() == 0.5
    assert found.mask_2d.sum() == 1
    assert not found.ignore.any()
    assert unknown.ignore.all()
    assert not unknown.mask_2d.any()


def test_small_depth_maps_are_padded(small_kitti: KittiFolder) -> None:
    """All missing rows on top, columns half left, the rest right, by the border's values."""
    stored = np.arange(6, dtype=np.uint16).reshape(2, 3)
    expected = [[0, 0, 1, 2, 2, 2]] * 3 + [[3, 3, 4, 5, 5, 5]]
    np.testing.assert_array_equal(pad_depth(stored, 4, 6, Path("a.png")), expected)
    assert "depth" in _frames(small_kitti)[0, len(FRAMES) - 1].inputs
    with pytest.raises(DataError, match=r"a\.png: expected a depth map no larger than its image, 2×2, found 3×2"):
        pad_depth(stored, 2, 2, Path("a.png"))


def test_wrong_settings_and_files(small_kitti: KittiFolder) -> None:
    with pytest.raises(ValueError, match="multiples of 32"):
        InputSettings(100, 320)
    with pytest.raises(DataError, match="expected frames"):
        Frames(small_kitti, [], SMALL)
    with pytest.raises(DataError, match="no such image"):
        Frames(small_kitti, ["9"], SMALL)[0, 0]
