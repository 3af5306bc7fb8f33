"""A detector whose normalisation is folded into its convolutions detects the same."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from monokd.models.detector import Detector, build_detector
from monokd.models.fold_bn import fold_bn
from tests.models.test_detector import P2, RANGE_PX, some_rois


def outputs(detector: Detector) -> list[Tensor]:
    torch.manual_seed(2)
    image = torch.randn(2, 3, 64, 96)
    with torch.no_grad():
        found = detector(image, P2.expand(2, 3, 4), RANGE_PX.expand(2, 2, 2), some_rois(2, 3, 16 * 24))
    return [found.heatmap, found.size_2d, found.roi.ins_depth_m, found.roi.heading, *found.backbone, *found.fused]


def lively_detector() -> Detector:
    """Statistics, weights and biases of normalisation that are none of the neutral ones."""
    torch.manual_seed(0)
    detector = build_detector(0.125)
    for module in detector.modules():
        if isinstance(module, nn.BatchNorm2d):
            for values in (module.running_var, module.weight):
                assert values is not None
                nn.init.uniform_(values, 0.5, 1.5)
            for values in (module.running_mean, module.bias):
                assert values is not None
                nn.init.uniform_(values, -0.3, 0.3)
    return detector.eval()


def test_the_numbers_stay() -> None:
    detector = lively_detector()
    before = {name: value.clone() for name, value in detector.state_dict().items()}
    copied = fold_bn(detector)
    for found, expected in zip(outputs(copied), outputs(detector), strict=True):
        assert (found - expected).norm() <= 1e-5 * expected.norm()
    assert all(torch.equal(value, before[name]) for name, value in detector.state_dict().items())


def test_no_normalisation_is_left() -> None:
    assert not any(isinstance(module, nn.BatchNorm2d) for module in fold_bn(build_detector(0.125)).modules())
