"""RoIAlign against onnxruntime's operator, hand-solved cases, gradients, determinism."""

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from monokd.models.roi import roi_align


def onnx_roi_align(features: Tensor, boxes: Tensor, boxes_per_frame: list[int]) -> Tensor:
    """The same operator by an independent implementation."""
    kinds = {"X": onnx.TensorProto.FLOAT, "boxes": onnx.TensorProto.FLOAT, "frame": onnx.TensorProto.INT64}
    options: Any = {"sampling_ratio": 0, "mode": "avg", "coordinate_transformation_mode": "output_half_pixel"}
    node = onnx.helper.make_node("RoiAlign", list(kinds), ["Y"], output_height=7, output_width=7, **options)
    inputs = [onnx.helper.make_tensor_value_info(name, kind, None) for name, kind in kinds.items()]
    output = onnx.helper.make_tensor_value_info("Y", onnx.TensorProto.FLOAT, None)
    model = onnx.helper.make_model(
        onnx.helper.make_graph([node], "roi", inputs, [output]), opset_imports=[onnx.helper.make_opsetid("", 16)]
    )
    model.ir_version = 8
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    frame_index = np.repeat(np.arange(len(boxes_per_frame)), boxes_per_frame)
    feeds = {"X": features.numpy(), "boxes": boxes.numpy(), "frame": frame_index}
    return torch.from_numpy(np.asarray(session.run(None, feeds)[0]))


def random_case(seed: int, count: int, reach: float) -> tuple[Tensor, Tensor, list[int]]:
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(3, 4, 11, 23, generator=generator)
    centre = torch.rand(count, 2, generator=generator) * torch.tensor([23.0, 11.0])
    half = torch.rand(count, 2, generator=generator) ** 3 * reach
    frame_index = torch.randint(0, 3, (count,), generator=generator)
    counts: list[int] = torch.bincount(frame_index, minlength=3).tolist()
    return features, torch.cat((centre - half, centre + half), 1), counts


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**31), count=st.integers(1, 20), reach=st.sampled_from([0.5, 8.0, 200.0]))
def test_equals_onnxruntime(seed: int, count: int, reach: float) -> None:
    """Boxes from a fraction of a pixel to far larger than the map, inside and across its edges."""
    case = random_case(seed, count, reach)
    torch.testing.assert_close(roi_align(*case), onnx_roi_align(*case), rtol=1e-4, atol=2e-5)


def test_gradient_reaches_the_features_alone() -> None:
    """Boxes count as constants, as in the published operator."""
    features, boxes, counts = random_case(3, 4, 4.0)
    features, boxes = features[:, :1, :6, :8].double().requires_grad_(), boxes.double().requires_grad_()
    assert torch.autograd.gradcheck(lambda f: roi_align(f, boxes.detach(), counts, cells=3), (features,))
    torch.autograd.backward(roi_align(features, boxes, counts).sum())
    assert boxes.grad is None
    assert features.grad is not None


@pytest.mark.parametrize("box", [(0.0, 0.0, float("inf"), 4.0), (9.0, 9.0, 2.0, 2.0), (-1e9, 0.0, 1e9, 5.0)])
def test_odd_boxes_stay_finite(box: tuple[float, ...]) -> None:
    """An untrained network predicts such boxes."""
    result = roi_align(torch.randn(1, 2, 8, 8), torch.tensor([box]), [1])
    assert torch.isfinite(result).all()


def test_an_undefined_box_spoils_itself_only() -> None:
    """A diverged network must show as NaN where it is, not in its neighbours."""
    boxes = torch.tensor([[1.0, 1.0, 5.0, 6.0], [float("nan")] * 4])
    result = roi_align(torch.randn(2, 2, 8, 8), boxes, [2, 0])
    assert torch.isfinite(result[0]).all()
    assert torch.isnan(result[1]).all()
