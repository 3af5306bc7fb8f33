"""The detector against the published code's numbers, and what it promises to training and losses."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
from torch import Tensor

from monokd.models.detector import ARCHITECTURES, CORRECTED, Detector, build_detector, peak_rois, rois_from_targets
from monokd.models.geometry import points_to_image, ray_cells
from monokd.models.outputs import DetectorOutput, Rois
from monokd.quirks import Quirks
from monokd.typing import Architecture
from tests.models.golden import ROI_KEYS, assert_within_range, outputs_by_key, published_layout

P2 = torch.tensor([[[720.0, 0.0, 610.0, 45.0], [0.0, 720.0, 173.0, 0.2], [0.0, 0.0, 1.0, 0.003]]])
RANGE_PX = torch.tensor([[[0.0, 0.0], [1242.0, 375.0]]])
CELLS = 16 * 24


@pytest.fixture(scope="module")
def tiny() -> Detector:
    torch.manual_seed(0)
    return build_detector(0.125)


def run(detector: Detector, rois: Rois | None, range_px: Tensor = RANGE_PX, **options: Any) -> DetectorOutput:
    """Two frames of 64×96 noise."""
    torch.manual_seed(1)
    image = torch.randn(2, 3, 64, 96)
    result: DetectorOutput = detector(image, P2.expand(2, 3, 4), range_px.expand(2, 2, 2), rois, **options)
    return result


def some_rois(frames: int, objects: int, cells: int = CELLS) -> Rois:
    indices = torch.arange(frames * 50).view(frames, 50) * 7 % cells
    mask = torch.zeros(frames, 50, dtype=torch.bool)
    mask[:, 1 : objects + 1] = True
    return rois_from_targets(indices, mask, indices % 3)


def flat_depth(height_px: float, **quirks: bool) -> Detector:
    """Boxes of about one height, a visual depth that is 1 m before it is scaled."""
    torch.manual_seed(0)
    detector = build_detector(0.125, quirks=replace(CORRECTED, **quirks)).eval()
    with torch.no_grad():
        detector.get_parameter("size_2d.2.bias").fill_(height_px)
        detector.get_parameter("vis_depth.2.weight").zero_()
    return detector


def test_state_dict_is_the_published_layout(golden_dir: Path) -> None:
    """Names, shapes and order, so that checkpoints travel both ways without translation."""
    found = [(name, list(tensor.shape)) for name, tensor in build_detector().state_dict().items()]
    assert found == list(published_layout(golden_dir).items())


@pytest.mark.parametrize("published", [True, False])
def test_q19_how_weights_start(published: bool) -> None:
    """Standard deviations over a layer; Xavier's rules share theirs and differ in the largest value."""
    torch.manual_seed(0)
    detector = build_detector(quirks=Quirks(published_initialisation=published))
    start = {name: p.detach() for name, p in detector.named_parameters()}
    fan_in, fan_out, torchs = 69 * 9, 256 * 9, (1 / (3 * 64 * 9)) ** 0.5  # of torch's own rule for the first layer
    stds = {
        "backbone.level5.tree2.conv1.weight": (2 / (9 * 512)) ** 0.5,
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
    camera = torch.from_numpy(golden["P2"]), torch.from_numpy(golden["coord_range"])
    with torch.inference_mode():
        output = golden_detector(seed)(image, *camera, rois)
    found = outputs_by_key(output)
    found |= {f"fused_stride{s}": m[:, ::8] for s, m in zip((4, 8, 16, 32), output.fused, strict=True)}
    assert {f"{mode}.{key}" for key in found} <= set(golden)
    for key, value in found.items():
        assert_within_range(value, golden[f"{mode}.{key}"], key)


def test_every_architecture_that_files_and_parameters_may_name_has_a_builder() -> None:
    assert set(get_args(Architecture)) == set(ARCHITECTURES)


def test_what_a_step_does_not_ask_for_changes_nothing_else(tiny: Detector) -> None:
    """Distillation reads no heatmap of the teacher; losses read boxes in some cells, and NaN in all others."""
    rois = some_rois(2, 3)
    whole = run(tiny.eval(), rois)
    cells = torch.unique(rois.frame_index * CELLS + rois.cell)
    some = run(tiny, rois, box_cells=cells, heatmap=False)
    assert some.heatmap.shape == (2, 3, 0, 0)
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


def test_q7_reaches_the_depth() -> None:
    """The visual depth follows the scale that the boxes are mapped with."""
    depths = [
        run(flat_depth(9.0, anisotropic_decode=anisotropic, clamped_heights=True), some_rois(2, 2)).roi.vis_depth_m
        for anisotropic in (True, False)
    ]
    ratio = (depths[1] / depths[0]).detach()
    torch.testing.assert_close(ratio, torch.full_like(ratio, (375 / 64) / (1242 / 96)), rtol=1e-4, atol=0)


def test_published_boxes_scale_each_axis_by_the_crop() -> None:
    boxes = torch.tensor([[0.0, 0.0, 80.0, 24.0], [40.0, 12.0, 20.0, 6.0]])
    ranges = torch.tensor([[[10.0, 20.0], [810.0, 140.0]]]).expand(2, 2, 2)
    mapped = points_to_image(boxes, ranges, (24, 80), anisotropic_decode=True)
    assert mapped.tolist() == [[10.0, 20.0, 810.0, 140.0], [410.0, 80.0, 210.0, 50.0]]


def test_rays_run_from_corner_to_corner() -> None:
    """Hand-solved: x = (u − cu)/f − tx/f at z = 1, equal steps over the seven cells."""
    rays = ray_cells(torch.tensor([[610.0, 173.0, 1330.0, 245.0]]), P2)
    x = torch.arange(7) / 6 - 45 / 720
    y = torch.arange(7) / 60 - 0.2 / 720
    torch.testing.assert_close(rays[0, 0], x.expand(7, 7), rtol=0, atol=1e-6)
    torch.testing.assert_close(rays[0, 1], y[:, None].expand(7, 7), rtol=0, atol=1e-6)


@pytest.mark.parametrize(("height_px", "same"), [(9.0, True), (0.01, False)])
def test_q17_scales_of_the_visual_depth(height_px: float, same: bool) -> None:
    """The ratio of heights is the crop's scale, but for boxes lower than a pixel, where published it is 1."""
    published, corrected = (
        run(flat_depth(height_px, anisotropic_decode=True, clamped_heights=clamped), some_rois(2, 2)).roi.vis_depth_m
        for clamped in (True, False)
    )
    torch.testing.assert_close(corrected, torch.full_like(corrected, 64 / 375))
    assert torch.allclose(published, corrected) == same


@pytest.mark.parametrize("clamped", [True, False])
def test_q17_whether_depth_pushes_the_height_of_a_flat_box(clamped: bool) -> None:
    """A box 1.2 px high on the input and 0.9 in the image: published, its depth rises with its height, metre for metre.

    So do all young networks' boxes pass that zone, and some stay in it.
    """
    detector = flat_depth(0.3, anisotropic_decode=True, clamped_heights=clamped)
    output = run(detector, some_rois(2, 2), torch.tensor([[[0.0, 0.0], [96 * 0.75, 64 * 0.75]]]))
    torch.autograd.backward(output.roi.vis_depth_m.mean())
    gradient = detector.get_parameter("size_2d.2.bias").grad
    assert gradient is not None
    assert (float(gradient[1]) > 1.0) == clamped
    assert clamped or not gradient.any()


def test_a_step_without_objects_trains(tiny: Detector) -> None:
    """Every parameter gets a gradient, and the region heads' running statistics stay."""
    tiny.train().zero_grad()
    before = {name: b.clone() for name, b in tiny.heading.named_buffers()}
    output = run(tiny, some_rois(2, 0), box_cells=torch.zeros(0, dtype=torch.int64))
    assert output.roi.size_3d.shape == (0, 3)
    rois = output.rois
    boxes = torch.cat((output.offset_2d, output.size_2d), 1).flatten(2)[rois.frame_index, :, rois.cell]
    torch.autograd.backward(output.heatmap.square().mean() + boxes.sum() + total(output))
    for name, parameter in tiny.named_parameters():
        assert (parameter.grad is not None) == parameter.requires_grad, name
    assert all(torch.equal(b, before[name]) for name, b in tiny.heading.named_buffers())


def total(output: DetectorOutput) -> Tensor:
    """A sum that reaches every region output."""
    return torch.stack([getattr(output.roi, key).sum() for key in ROI_KEYS.values()]).sum()
