"""Inputs and targets of real frames against the published code's."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from monokd.kitti.frames import KittiFolder
from monokd.samples.augment import Plan
from monokd.samples.batch import Batch, collate
from monokd.samples.dataset import Frames, InputSettings

PLANS = {
    "plain": Plan(),
    "flip": Plan(flip=True),
    "crop": Plan(scale=0.8, shift=(0.03, -0.04)),
    "flip_crop": Plan(flip=True, scale=1.18, shift=(-0.06, 0.035)),
}
SAME = ("heatmap", "indices", "mask_2d", "size_2d", "offset_2d", "offset_3d", "size_3d", "heading_bin")
TARGETS = {name: name for name in SAME} | {
    "cls_ids": "class_ids",
    "box2d_gt": "boxes_px",
    "heading_res": "heading_residual_rad",
    "depth": "depth_m",
    "vis_depth": "vis_depth_m",
    "obj_num": "object_count",
}
TOLERANCE = 1e-5
CELL_TOLERANCE_M = 1e-3


@pytest.fixture(scope="module")
def golden(golden_dir: Path) -> dict[str, NDArray]:
    with np.load(golden_dir / "targets.npz") as stored:
        return dict(stored)


@pytest.fixture(scope="module")
def frames(golden: dict[str, NDArray], kitti_dir: Path) -> Frames:
    ids = sorted({key.split(".")[0] for key in golden if key.count(".") == 2})
    folder = KittiFolder(kitti_dir)
    settings = InputSettings(384, 1280)
    return Frames(folder, ids, settings, depth_dir=folder.folder / "depth_dense", labels=True, cache=True)


def _batch(frames: Frames, index: int, mode: str) -> Batch:
    return collate([frames.apply(index, PLANS[mode])])


@pytest.mark.parametrize("mode", PLANS)
def test_inputs(frames: Frames, golden: dict[str, NDArray], mode: str) -> None:
    """RGB to the bit of the 8-bit resampling, teacher depth, camera and crop, for every frame."""
    for index, frame in enumerate(frames.frames):
        batch, key = _batch(frames, index, mode), f"{frame}.{mode}."
        image, depth = (batch.input(modality)[0, :, ::16, ::16] for modality in ("image", "depth"))
        expected = golden[key + "input_depth"][0]
        np.testing.assert_allclose(image, golden[key + "input_rgb"], atol=TOLERANCE, rtol=0)
        np.testing.assert_allclose(depth[0] / expected.max(), expected / expected.max(), atol=TOLERANCE, rtol=0)
        expected = golden[key + "P2"].copy()
        expected[2, 2] = 1  # the published mirrored matrix leaves this unused element 0
        np.testing.assert_allclose(batch.P2[0], expected, atol=TOLERANCE, rtol=TOLERANCE)
        np.testing.assert_allclose(batch.coord_range_px[0], golden[key + "coord_range"], rtol=TOLERANCE)


@pytest.mark.parametrize("mode", PLANS)
def test_targets(frames: Frames, golden: dict[str, NDArray], mode: str) -> None:
    """Every target of every frame; box corners relative to their size of up to 1,000 pixels."""
    for name in ("mask_2d", "depth_mask"):
        assert any(golden[f"{frame}.{mode}.{name}"].any() for frame in frames.frames)
    for index, frame in enumerate(frames.frames):
        targets = _batch(frames, index, mode).targets
        assert targets is not None
        for published, ours in TARGETS.items():
            expected, found = golden[f"{frame}.{mode}.{published}"], getattr(targets, ours)
            atol = CELL_TOLERANCE_M if published == "vis_depth" else TOLERANCE
            np.testing.assert_allclose(
                found.double().numpy().reshape(expected.shape),
                expected.astype(np.float64),
                atol=atol,
                rtol=TOLERANCE if published.startswith("box2d") else 0,
                err_msg=f"{frame} {mode} {published}",
            )
        measured = golden[f"{frame}.{mode}.depth_mask"]
        np.testing.assert_array_equal(targets.vis_depth_m.numpy().reshape(measured.shape) > 0, measured)
