"""The detector against the published code's numbers, and what it promises to training and losses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from monokd.models.detector import CORRECTED, Detector, build_detector, peak_rois, rois_from_targets
from monokd.models.outputs import DetectorOutput, Rois
from monokd.quirks import Quirks
from tests.models.golden import ROI_KEYS, assert_within_range, outputs_by_key

P2 = torch.tensor([[[720.0, 0.0, 610.0, 45.0], [0.0, 720.0, 173.0, 0.2], [0.0, 0.0, 1.0, 0.003]]])
RANGE_PX = torch.tensor([[[0.0, 0.0], [1242.0, 375.0]]])


@pytest.fixture(scope="module")
def tiny() -> Detector:
    torch.manual_seed(0)
    return build_detector(0.125)


def run(detector: Detector, height: int, width: int, rois: Rois | None, frames: int = 2) -> DetectorOutput:
    torch.manual_seed(1)
    image = torch.randn(frames, 3, height, width)
    result: DetectorOutput = detector(image, P2.expand(frames, 3, 4), RANGE_PX.expand(frames, 2, 2), rois)
    return result


def some_rois(frames: int, objects: int, cells: int) -> Rois:
    indices = torch.arange(frames * 50).view(frames, 50) * 7 % cells
    mask = torch.zeros(frames, 50, dtype=torch.bool)
    mask[:, 1 : objects + 1] = True
    return rois_from_targets(indices, mask, indices % 3)


def test_state_dict_is_the_published_layout(published_layout: dict[str, list[int]]) -> None:
    """Names, shapes and order, so that checkpoints travel both ways without translation."""
    found = [(name, list(tensor.shape)) for name, tensor in build_detector().state_dict().items()]
    assert found == list(published_layout.items())


@pytest.mark.parametrize("published", [True, False])
def test_q19_how_weights_start(published: bool) -> None:
    """Standard deviations over a layer; Xavier's rules share theirs and differ in the largest value."""
    torch.manual_seed(0)
    start = {
        name: p.detach()
        for name, p in build_detector(quirks=Quirks(published_initialisation=published)).named_parameters()
    }
    fan_in, fan_out, torchs = 69 * 9, 256 * 9, (1 / (3 * 64 * 9)) ** 0.5  # of torch's own rule for the first layer
    stds = {
        "feat_up.ida_2.node_1.conv.weight": (2 / (9 * 64)) ** 0.5 if published else (1 / (3 * 128 * 9)) ** 0.5,
        "size_2d.0.weight": 0.001 if published else torchs,
        "size_2d.2.weight": 0.001,
        "offset_2d.0.weight": 0.001 if published else torchs,
        "heatmap.0.weight": torchs,
        "vis_depth.0.weight": (2 / (fan_in + fan_out)) ** 0.5,
        "heading.0.weight": (2 / (fan_in + fan_out)) ** 0.5,
    }
    for name, std in stds.items():
        assert float(start[name].std()) == pytest.approx(std, rel=0.1), name
    uniform_limit = (6 / (fan_in + fan_out)) ** 0.5
    assert (float(start["heading.0.weight"].abs().max()) <= uniform_limit) == published
    assert torch.equal(start["heatmap.2.bias"], torch.full((3,), -2.19))
    assert bool(start["size_2d.0.bias"].any()) == (not published)
    for name in ("size_2d.2.bias", "offset_2d.2.bias", "heading.0.bias", "att_depth.2.bias"):
        assert not start[name].any(), name


@pytest.mark.parametrize("mode", ["test", "train"])
def test_golden_outputs(mode: str, golden_dir: Path, golden_detector: Callable[[int], Detector]) -> None:
    """Every map and every region output of the published code, at its own peaks and at given ones."""
    golden = np.load(golden_dir / "detector.npz")
    seed = int(golden["seed"])
    noise = np.random.RandomState(seed + 1000).standard_normal((3, 8, 26))
    image = torch.from_numpy(np.kron(noise, np.ones((16, 16)))).float()[None]
    rois = None
    if mode == "train":
        indices, mask_2d, ids = (torch.from_numpy(golden[f"train.{k}"]) for k in ("indices", "mask_2d", "cls_ids"))
        rois = rois_from_targets(indices, mask_2d, ids)
    with torch.inference_mode():
        output = golden_detector(seed)(
            image, torch.from_numpy(golden["P2"]), torch.from_numpy(golden["coord_range"]), rois
        )
    found = outputs_by_key(output)
    found |= {f"fused_stride{s}": m[:, ::8] for s, m in zip((4, 8, 16, 32), output.fused, strict=True)}
    assert {f"{mode}.{key}" for key in found} <= set(golden)
    for key, value in found.items():
        assert_within_range(value, golden[f"{mode}.{key}"], key)


def test_regions_come_in_order_of_frame_and_slot() -> None:
    indices = torch.tensor([[5, 6, 7], [8, 9, 10]])
    rois = rois_from_targets(indices, torch.tensor([[True, False, True], [False, True, False]]), indices * 10)
    assert rois.frame_index.tolist() == [0, 0, 1]
    assert rois.cell.tolist() == [5, 7, 9]
    assert rois.class_ids.tolist() == [50, 70, 90]


def test_given_regions_equal_found_ones(tiny: Detector) -> None:
    """The two paths (peaks, targets) compute the same numbers for the same regions."""
    detector = tiny.eval()
    found = run(detector, 64, 96, None)
    given_ = run(detector, 64, 96, found.rois)
    assert found.rois.frame_index.tolist() == [0] * 50 + [1] * 50
    for key in ROI_KEYS.values():
        torch.testing.assert_close(getattr(found.roi, key), getattr(given_.roi, key))


def test_without_a_heatmap_the_rest_is_the_same(tiny: Detector) -> None:
    """Distillation reads no heatmap of the teacher."""
    tiny.eval()
    rois = some_rois(2, 3, 16 * 24)
    whole = run(tiny, 64, 96, rois)
    torch.manual_seed(1)
    image = torch.randn(2, 3, 64, 96)
    bare = tiny(image, P2.expand(2, 3, 4), RANGE_PX.expand(2, 2, 2), rois, heatmap=False)
    assert bare.heatmap.shape == (2, 3, 0, 0)
    assert torch.equal(bare.offset_2d, whole.offset_2d)
    assert torch.equal(bare.roi.ins_depth_m, whole.roi.ins_depth_m)


def test_boxes_at_some_cells_only(tiny: Detector) -> None:
    """The regions see the same boxes; a loss on other cells sees NaN."""
    tiny.eval()
    rois = some_rois(2, 3, 16 * 24)
    whole = run(tiny, 64, 96, rois)
    torch.manual_seed(1)
    cells = torch.unique(rois.frame_index * 16 * 24 + rois.cell)
    some = tiny(torch.randn(2, 3, 64, 96), P2.expand(2, 3, 4), RANGE_PX.expand(2, 2, 2), rois, box_cells=cells)
    torch.testing.assert_close(some.roi.ins_depth_m, whole.roi.ins_depth_m)
    assert int(some.size_2d[:, 0].isfinite().sum()) == len(cells)


def test_peaks_are_local_maxima_of_all_classes_highest_first() -> None:
    heatmap = torch.full((1, 3, 6, 8), -9.0)
    heatmap[0, 1, 2, 3] = 2.0
    heatmap[0, 1, 2, 4] = 1.5  # beside a higher one
    heatmap[0, 0, 2, 4] = 1.0  # of another class
    heatmap[0, 2, 5, 7] = 3.0
    rois = peak_rois(heatmap, 3)
    assert rois.class_ids.tolist() == [2, 1, 0]
    assert rois.cell.tolist() == [47, 19, 20]


def test_corrected_geometry_reaches_the_depth() -> None:
    """Q7 both ways: the visual depth follows the scale that the boxes are mapped with."""
    outputs = []
    for anisotropic in (True, False):
        torch.manual_seed(0)
        detector = build_detector(
            0.125, quirks=replace(CORRECTED, anisotropic_decode=anisotropic, clamped_heights=True)
        ).eval()
        with torch.no_grad():
            detector.get_submodule("size_2d.2").get_parameter("bias").fill_(9.0)
            detector.get_submodule("vis_depth.2").get_parameter("weight").zero_()
        outputs.append(run(detector, 64, 96, some_rois(2, 2, 384)).roi.vis_depth_m)
    scale_x, scale_y = 1242 / 96, 375 / 64
    ratio = (outputs[1] / outputs[0]).detach()
    torch.testing.assert_close(ratio, torch.full_like(ratio, scale_y / scale_x), rtol=1e-4, atol=0)


@pytest.mark.parametrize(("height_px", "same"), [(9.0, True), (0.01, False)])
def test_q17_scales_of_the_visual_depth(height_px: float, same: bool) -> None:
    """The ratio of heights is the crop's scale, but for boxes lower than a pixel, where published it is 1."""
    depths = []
    for clamped in (True, False):
        torch.manual_seed(0)
        detector = build_detector(
            0.125, quirks=replace(CORRECTED, anisotropic_decode=True, clamped_heights=clamped)
        ).eval()
        with torch.no_grad():
            detector.get_submodule("size_2d.2").get_parameter("bias").fill_(height_px)
            detector.get_submodule("vis_depth.2").get_parameter("weight").zero_()
        depths.append(run(detector, 64, 96, some_rois(2, 2, 384)).roi.vis_depth_m)
    torch.testing.assert_close(depths[1], torch.full_like(depths[1], 64 / 375))
    assert torch.allclose(depths[0], depths[1]) == same


@pytest.mark.parametrize("clamped", [True, False])
def test_q17_whether_depth_pushes_the_height_of_a_flat_box(clamped: bool) -> None:
    """A box 1.2 px high on the input and 0.9 in the image: published, its depth rises with its height, metre for metre.

    So do all young networks' boxes pass that zone, and some stay in it.
    """
    torch.manual_seed(0)
    detector = build_detector(0.125, quirks=replace(CORRECTED, anisotropic_decode=True, clamped_heights=clamped)).eval()
    for name in ("offset_3d", "vis_depth", "att_depth"):  # what the rays say to them counts for nothing here
        with torch.no_grad():
            detector.get_submodule(f"{name}.0").get_parameter("weight").zero_()
    height = detector.get_submodule("size_2d.2").get_parameter("bias")
    with torch.no_grad():
        height.fill_(0.3)
    range_px = torch.tensor([[[0.0, 0.0], [96 * 0.75, 64 * 0.75]]])
    output = detector(torch.randn(1, 3, 64, 96), P2, range_px, some_rois(1, 2, 384))
    torch.autograd.backward(output.roi.vis_depth_m.mean())
    assert height.grad is not None
    assert (float(height.grad[1]) > 1.0) == clamped
    assert clamped or not height.grad.any()


def test_boxes_pass_gradients_to_the_2d_heads(tiny: Detector) -> None:
    """Predicted boxes are not detached: depth trains size_2d through the boxes' heights, as published."""
    detector = tiny.train()
    detector.zero_grad()
    output = run(detector, 64, 96, some_rois(2, 3, 384))
    torch.autograd.backward(output.roi.vis_depth_m.sum())
    gradient = detector.get_submodule("size_2d.0").get_parameter("weight").grad
    assert gradient is not None
    assert gradient.any()


def test_a_step_without_objects_trains(tiny: Detector) -> None:
    detector = tiny.train()
    detector.zero_grad()
    output = run(detector, 64, 96, some_rois(2, 0, 384))
    assert output.roi.size_3d.shape == (0, 3)
    torch.autograd.backward(total(output))
    for name, parameter in detector.named_parameters():
        assert (parameter.grad is not None) == parameter.requires_grad, name


def test_training_repeats_to_the_bit() -> None:
    """The same seed gives the same weights and gradients with deterministic algorithms only."""
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True)
    try:
        runs = []
        for _ in range(2):
            torch.manual_seed(3)
            detector = build_detector(0.125)
            torch.autograd.backward(total(run(detector, 64, 96, some_rois(2, 3, 384))))
            runs.append([p.grad for p in detector.parameters() if p.grad is not None])
    finally:
        torch.use_deterministic_algorithms(before)
    assert all(torch.equal(a, b) for a, b in zip(*runs, strict=True))


def test_geometry_is_single_precision_under_autocast(tiny: Detector) -> None:
    """Boxes in bfloat16 would move by cells; every output leaves in float32 and stays near the exact one."""
    detector = tiny.eval()
    rois = some_rois(2, 3, 384)
    with torch.no_grad():
        exact = run(detector, 64, 96, rois)
        with torch.autocast("cpu", torch.bfloat16):
            rough = run(detector, 64, 96, rois)
    for key in ROI_KEYS.values():
        assert getattr(rough.roi, key).dtype == torch.float32
        torch.testing.assert_close(getattr(rough.roi, key), getattr(exact.roi, key), rtol=0.1, atol=0.1)
    assert rough.heatmap.dtype == torch.float32


def total(output: DetectorOutput) -> Tensor:
    """A sum that reaches every output."""
    maps = output.heatmap.square().mean() + output.offset_2d.sum() + output.size_2d.sum()
    return maps + torch.stack([getattr(output.roi, key).sum() for key in ROI_KEYS.values()]).sum()
