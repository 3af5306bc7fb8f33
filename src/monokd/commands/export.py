"""The `monokd export` command: a detector as one ONNX file, checked against torch before it is put in place."""

import json
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import torch.nn.functional as F
import typer
from numpy.typing import NDArray
from torch import Tensor, nn

from monokd import __version__
from monokd.classes import CLASSES
from monokd.commands.options import Model, ScoreDecimals
from monokd.errors import DataError, printable
from monokd.files import replacing
from monokd.inference.predict import SCORE_DECIMALS
from monokd.models.checkpoint import DetectorInfo, load_detector
from monokd.models.decode import image_geometry, merged_depth
from monokd.models.detector import Detector
from monokd.models.outputs import Rois
from monokd.samples.constants import HEADING_BINS, IMAGE_MEAN, IMAGE_STD, MEAN_SIZES_M

OPSET = 17
FORMAT = "monokd onnx 2"
INPUTS = ("image", "P2", "coord_range_px")
OUTPUTS = (
    *("cells", "class_ids", "peaks", "confidences"),
    *("boxes_px", "centres_px", "depths_m", "size_residuals_m", "headings"),
)
TOLERANCE = 1e-4
KITTI_SIZE_PX = 1242, 375
KITTI_P2 = ((721.5377, 0, 609.5593, 44.85728), (0, 721.5377, 172.854, 0.2163791), (0, 0, 1, 0.002745884))

Arrays = dict[str, NDArray[Any]]


def export(
    model: Model,
    out: Annotated[Path, typer.Argument(help="The ONNX file to write.")],
    score_decimals: ScoreDecimals = SCORE_DECIMALS,
) -> None:
    """Write a model as ONNX, checked against torch; examples/onnx_predict.py runs it without torch."""
    if out.suffix != ".onnx":
        raise DataError("expected a name that ends in .onnx", out)
    try:
        import onnx  # noqa: PLC0415  (an extra)
        import onnxruntime  # noqa: PLC0415
    except ImportError as error:
        raise DataError(f"export needs onnx and onnxruntime: pip install 'monokd[onnx]' ({error})") from error
    detector, info = load_detector(model)
    network = RawDetections(detector)
    with replacing(out, durable=True) as temporary:
        _trace(network, info, temporary)
        graph = onnx.load(str(temporary))
        onnx.helper.set_model_props(graph, {"monokd": json.dumps(metadata(info, score_decimals))})
        onnx.checker.check_model(graph)
        temporary.write_bytes(graph.SerializeToString())
        session = onnxruntime.InferenceSession(str(temporary), providers=["CPUExecutionProvider"])
        deviations = [_deviation(network, session, inputs, model) for inputs in check_inputs(info)]
    size = f"{info.height_px}×{info.width_px}"
    agreement = f"{len(deviations)} inputs checked, at most {max(deviations):.1e} from torch"
    print(printable(f"{out}: {info.modality}, {size}, opset {OPSET}; {agreement}"))


class RawDetections(nn.Module):
    """A detector up to the numbers that decoding needs, for one frame: what an exported file computes."""

    def __init__(self, detector: Detector) -> None:
        super().__init__()
        self.detector = detector
        self.eval()

    def forward(
        self, image: Tensor, P2: Tensor, coord_range_px: Tensor, rois: Rois | None = None
    ) -> tuple[Tensor, ...]:
        """Compute what is known about the K highest peaks of a frame.

        `image` is 1×3×H×W, normalised (for a teacher its depth), `P2` 1×3×4, `coord_range_px` the 1×2×2 corners of the
        crop in image pixels; `rois` are regions to look at in place of the peaks. Returns, in the order of `OUTPUTS`,
        peak cells y·w + x (K int64), class ids (K int64), heights of the peaks (K), depth confidences (K), 2D boxes
        (K×4) and projected 3D centres (K×2) in image pixels, depths in metres (K), height, width, length − class mean
        in metres (K×3), 12 logits and 12 residuals of the heading (K×24).
        """
        output = self.detector(image, P2, coord_range_px, rois)
        boxes, centres, peaks = image_geometry(self.detector, output, coord_range_px)
        depth, confidence = merged_depth(output.roi)
        rois, roi = output.rois, output.roi
        return rois.cell, rois.class_ids, peaks, confidence, boxes, centres, depth, roi.size_3d, roi.heading


def metadata(info: DetectorInfo, score_decimals: int) -> dict[str, Any]:
    """What an exported file says about itself: all that a program needs to feed it and to decode its outputs."""
    return {
        "format": FORMAT,
        "version": __version__,
        "modality": info.modality,
        "height_px": info.height_px,
        "width_px": info.width_px,
        "class_names": CLASSES,
        "classes": info.classes,
        "mean_sizes_m": MEAN_SIZES_M.tolist(),
        "image_mean": [float(x) for x in IMAGE_MEAN],
        "image_std": [float(x) for x in IMAGE_STD],
        "heading_bins": HEADING_BINS,
        "score_decimals": score_decimals,
    }


def check_inputs(info: DetectorInfo) -> Iterator[Arrays]:
    """The inputs that an export is checked on: noise of single pixels, and of 32×32 pixels, seen by KITTI's camera."""
    random = torch.Generator().manual_seed(0)
    fine = torch.randn(1, 3, info.height_px, info.width_px, generator=random)
    coarse = F.interpolate(fine[:, :, ::32, ::32], size=fine.shape[2:], mode="bilinear")
    P2, corners = np.array([KITTI_P2], dtype=np.float32), np.array([[(0, 0), KITTI_SIZE_PX]], dtype=np.float32)
    for image in (fine, coarse):
        yield dict(zip(INPUTS, (image.numpy(), P2, corners), strict=True))


def greatest_deviation(expected: Arrays, found: Arrays) -> tuple[float, str]:
    """How far outputs are from the expected ones of the same regions (relative above 1), and which is worst."""
    return max((_difference(expected[name], found[name]), name) for name in OUTPUTS)


def _difference(expected: NDArray[Any], found: NDArray[Any]) -> float:
    one, two = expected.astype(np.float64), found.astype(np.float64)
    with np.errstate(invalid="ignore"):  # of infinities, which are fine where both have them
        difference = np.abs(one - two) / np.maximum(np.abs(one), 1.0)
    alike = (one == two) | (np.isnan(one) & np.isnan(two))
    return float(np.max(np.where(alike, 0.0, np.nan_to_num(difference, nan=np.inf)), initial=0.0))


def _trace(network: RawDetections, info: DetectorInfo, path: Path) -> None:
    """Write the network for one frame of the model's size."""
    inputs = torch.zeros(1, 3, info.height_px, info.width_px), torch.eye(3, 4)[None], torch.zeros(1, 2, 2)
    with warnings.catch_warnings():
        # Of the tracer: shapes become constants, which is meant; and of its age, while the new one needs onnxscript.
        warnings.simplefilter("ignore")
        names: dict[str, Any] = {"input_names": list(INPUTS), "output_names": list(OUTPUTS)}
        torch.onnx.export(network, inputs, str(path), dynamo=False, opset_version=OPSET, **names)


def _deviation(network: RawDetections, session: Any, inputs: Arrays, model: Path) -> float:
    """How far ONNX Runtime is from torch at the regions that ONNX Runtime chose, and in the highest peak (DataError).

    The choice itself may differ: rounding decides between peaks of nearly equal height.
    """
    found = dict(zip(OUTPUTS, session.run(list(OUTPUTS), inputs), strict=True))
    cells, class_ids = torch.from_numpy(found["cells"]), torch.from_numpy(found["class_ids"])
    with torch.inference_mode():
        tensors = [torch.from_numpy(inputs[name]) for name in INPUTS]
        own_peaks = network(*tensors)[OUTPUTS.index("peaks")]
        outputs = network(*tensors, Rois(torch.zeros_like(cells), cells, class_ids))
    expected = {name: tensor.numpy() for name, tensor in zip(OUTPUTS, outputs, strict=True)}
    highest = _difference(own_peaks.max().numpy(), found["peaks"].max())
    deviation, name = max(greatest_deviation(expected, found), (highest, "peaks"))
    if not deviation <= TOLERANCE:
        reason = f"expected ONNX Runtime within {TOLERANCE:g} of torch, found {deviation:.2g} in {name}"
        raise DataError(f"{reason}; the file was not written", model)
    return deviation
