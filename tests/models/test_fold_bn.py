"""A detector whose normalisation is folded into its convolutions detects the same."""

import torch
from torch import Tensor, nn

from monokd.models.detector import Detector, build_detector
from monokd.models.fold_bn import fold_bn
from tests.models.test_detector import run, some_rois


def lively_detector() -> Detector:
    """Statistics, weights and biases of normalisation that are none of the neutral ones."""
    torch.manual_seed(0)
    detector = build_detector(0.125)
    for module in detector.modules():
        if isinstance(module, nn.BatchNorm2d):
            for name, values in module.state_dict().items():
                if name in ("running_var", "weight"):
                    values.uniform_(0.5, 1.5)
                elif name in ("running_mean", "bias"):
                    values.uniform_(-0.3, 0.3)
    return detector.eval()


@torch.no_grad()
def outputs(detector: Detector) -> list[Tensor]:
    found = run(detector, some_rois(2, 3))
    return [found.heatmap, found.size_2d, found.roi.ins_depth_m, found.roi.heading, *found.backbone, *found.fused]


def test_the_numbers_stay() -> None:
    detector = lively_detector()
    before = {name: value.clone() for name, value in detector.state_dict().items()}
    copied = fold_bn(detector)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in copied.modules())
    for found, expected in zip(outputs(copied), outputs(detector), strict=True):
        assert (found - expected).norm() <= 1e-5 * expected.norm()
    assert all(torch.equal(value, before[name]) for name, value in detector.state_dict().items())
