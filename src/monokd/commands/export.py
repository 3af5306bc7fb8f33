"""The `monokd export` command: a detector as one ONNX file, checked against torch before it is put in place."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from monokd.errors import DataError, printable
from monokd.files import replacing
from monokd.inference.predict import is_published, score_decimals
from monokd.models.checkpoint import DetectorInfo, load_detector
from monokd.models.decode import image_geometry, merged_depth
from monokd.models.detector import Detector
from monokd.models.outputs import DetectorOutput, Rois
from monokd.samples.affine import crop_affine, warp_image
from monokd.samples.augment import image_map, map_channels
from monokd.samples.constants import CLASSES, HEADING_BINS, IMAGE_MEAN, IMAGE_STD, MEAN_SIZES_M
from monokd.scenes.generate import SceneSettings, render_frame

OPSET = 17
FORMAT = "monokd onnx 1"
INPUTS = ("image", "P2", "coord_range_px")
OUTPUTS = (
    *("cells", "class_ids", "peaks", "confidences"),
    *("boxes_px", "centres_px", "depths_m", "size_residuals_m", "headings"),
)
TOLERANCE = 1e-4

Arrays = dict[str, NDArray[Any]]


class RawDetections(nn.Module):
    """A detector up to the numbers that decoding needs, for one frame: what an exported file computes.

    Args:
        detector: set to evaluation mode.
        anisotropic_decode: quirk Q7.
    """

    def __init__(self, detector: Detector, *, anisotropic_decode: bool) -> None:
        super().__init__()
        self.detector, self.anisotropic_decode = detector, anisotropic_decode
        self.eval()

    def forward(self, image: Tensor, P2: Tensor, coord_range_px: Tensor) -> tuple[Tensor, ...]:
        """The K highest peaks of a frame.

        Args:
            image: 1×3×H×W, normalised; a teacher's depth in place of the image.
            P2: 1×3×4 projection.
            coord_range_px: 1×2×2 corners of the crop in image pixels.

        Returns:
            In the order of `OUTPUTS`: peak cells y·w + x (K int64), class ids (K int64), heights of the peaks (K),
            depth confidences (K), 2D boxes (K×4) and projected 3D centres (K×2) in image pixels, depths in metres (K),
            height, width, length − class mean in metres (K×3), 12 logits and 12 residuals of the heading (K×24).
        """
        return self.numbers(self.detector(image, P2, coord_range_px), coord_range_px)

    def numbers(self, output: DetectorOutput, coord_range_px: Tensor) -> tuple[Tensor, ...]:
        """What `forward` returns, from the detector's output."""
        boxes, centres, peaks = image_geometry(output, coord_range_px, anisotropic_decode=self.anisotropic_decode)
        depth, confidence = merged_depth(output.roi)
        rois, roi = output.rois, output.roi
        return rois.cell, rois.class_ids, peaks, confidence, boxes, centres, depth, roi.size_3d, roi.heading


def export_command(model: Path, out: Path, *, behaviour: str) -> None:
    """Write a detector as ONNX and print how far its outputs are from torch's.

    Args:
        model: a safetensors file of a detector.
        out: the file to write, named *.onnx.
        behaviour: `published` or `corrected` decoding (quirks Q7 and Q13).

    Raises:
        DataError: a missing package, a missing or broken file, or outputs that differ; nothing is written then.
    """
    if out.suffix != ".onnx":
        raise DataError("expected a name that ends in .onnx", out)
    onnx, runtime = _packages()
    published = is_published(behaviour)
    detector, info = load_detector(model)
    network = RawDetections(detector, anisotropic_decode=published)
    with replacing(out, durable=True) as temporary:
        _trace(network, info, temporary)
        _describe(onnx, temporary, metadata(info, published=published))
        session = runtime.InferenceSession(str(temporary), providers=["CPUExecutionProvider"])
        deviations = [_deviation(network, session, inputs, model) for inputs in check_inputs(info)]
    size = f"{info.height_px}×{info.width_px}"
    agreement = f"{len(deviations)} inputs checked, at most {max(deviations):.1e} from torch"
    print(printable(f"{out}: {info.kind}, {size}, opset {OPSET}; {agreement}"))


def metadata(info: DetectorInfo, *, published: bool) -> dict[str, Any]:
    """What an exported file says about itself: all that a program needs to feed it and to decode its outputs."""
    return {
        "format": FORMAT,
        "version": version("monokd"),
        "kind": info.kind,
        "height_px": info.height_px,
        "width_px": info.width_px,
        "class_names": CLASSES,
        "classes": info.classes,
        "mean_sizes_m": MEAN_SIZES_M.tolist(),
        "image_mean": [float(x) for x in IMAGE_MEAN],
        "image_std": [float(x) for x in IMAGE_STD],
        "heading_bins": HEADING_BINS,
        "behaviour": "published" if published else "corrected",
        "score_decimals": score_decimals(published),
    }


def check_inputs(info: DetectorInfo) -> Iterator[Arrays]:
    """The inputs that an export is checked on: noise, and a rendered street."""
    frame = render_frame(0, 0, SceneSettings())
    height, width = frame.image.shape[:2]
    affine = crop_affine((width / 2, height / 2), (width, height), width_px=info.width_px, height_px=info.height_px)
    warped = warp_image(frame.image, affine, flip=False)
    sent, maps = torch.from_numpy(warped)[None], torch.from_numpy(image_map(warped, None))[None]
    street: NDArray[np.float32] = map_channels(sent, maps)[0].numpy()
    noise = np.random.default_rng(0).standard_normal(street.shape, dtype=np.float32)
    for image in (noise, street):
        P2 = frame.calibration.P2.astype(np.float32)
        yield dict(zip(INPUTS, (image[None], P2[None], affine.coord_range_px[None]), strict=True))


def greatest_deviation(
    expected: Arrays, found: Arrays, prominences: NDArray[Any] | float = np.inf
) -> tuple[float, str]:
    """How far outputs are from the expected ones, relative above 1 and absolute below, and which output is worst.

    Regions are matched by class and cell, because peaks of nearly equal height may change places. One that is lost
    counts as far as the heights must differ for that: it rises above the lowest that was found, and above the cells
    around it, as far as `prominences` tells. Both sides have as many regions, so a new one always replaces a lost one.

    Args:
        expected: by the names of `OUTPUTS`.
        found: the same.
        prominences: of the expected regions (`prominence`).
    """
    places, other_places = _places(expected), _places(found)
    _, mine, other = np.intersect1d(places, other_places, return_indices=True)
    worst = (0.0, "peaks")
    for name in OUTPUTS:
        one, two = expected[name][mine].astype(np.float64), found[name][other].astype(np.float64)
        worst = max(worst, (_difference(one, two), name))
    heights = np.minimum(expected["peaks"] - found["peaks"].min(), prominences)
    worst = max(worst, (float(np.max(np.delete(heights, mine), initial=0.0)), "peaks"))
    return worst


def prominence(heatmap: Tensor, rois: Rois) -> Tensor:
    """How far regions rise above the highest of the eight cells around them (M); 0 for what is no peak.

    A map with fewer peaks than regions is filled up with cells that are none, any of them.

    Args:
        heatmap: 1×C×h×w logits of one frame.
        rois: its regions.
    """
    score = heatmap.sigmoid().clamp(1e-4, 1 - 1e-4)
    around = F.unfold(F.pad(score, (1, 1, 1, 1)), 3).reshape(1, score.shape[1], 9, -1)
    around[:, :, 4] = 0.0  # the cell itself
    rises: Tensor = (score.flatten(2) - around.amax(2))[0, rois.class_ids, rois.cell]
    return rises.clamp(min=0.0)


def _difference(one: NDArray[np.float64], two: NDArray[np.float64]) -> float:
    with np.errstate(invalid="ignore"):  # of infinities, which are fine where both have them
        difference = np.abs(one - two) / np.maximum(np.abs(one), 1.0)
    alike = (one == two) | (np.isnan(one) & np.isnan(two))
    return float(np.max(np.where(alike, 0.0, np.nan_to_num(difference, nan=np.inf)), initial=0.0))


def _places(outputs: Arrays) -> NDArray[np.int64]:
    places: NDArray[np.int64] = outputs["cells"].astype(np.int64) * len(CLASSES) + outputs["class_ids"]
    return places


def _packages() -> tuple[Any, Any]:
    try:
        import onnx  # noqa: PLC0415  (an extra)
        import onnxruntime  # noqa: PLC0415
    except ImportError as error:
        raise DataError(f"export needs onnx and onnxruntime: pip install 'monokd[onnx]' ({error})") from error
    return onnx, onnxruntime


def _trace(network: RawDetections, info: DetectorInfo, path: Path) -> None:
    """Write the network for one frame of the model's size."""
    inputs = torch.zeros(1, 3, info.height_px, info.width_px), torch.eye(3, 4)[None], torch.zeros(1, 2, 2)
    with warnings.catch_warnings():
        # Of the tracer: shapes become constants, which is meant; and of its age, while the new one needs onnxscript.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network,
            inputs,
            str(path),
            dynamo=False,
            opset_version=OPSET,
            input_names=list(INPUTS),
            output_names=list(OUTPUTS),
        )


def _describe(onnx: Any, path: Path, fields: dict[str, Any]) -> None:
    """Add the metadata and check the file's form."""
    graph = onnx.load(str(path))
    onnx.helper.set_model_props(graph, {"monokd": json.dumps(fields)})
    onnx.checker.check_model(graph)
    path.write_bytes(graph.SerializeToString())


def _deviation(network: RawDetections, session: Any, inputs: Arrays, model: Path) -> float:
    with torch.inference_mode():
        image, P2, coord_range_px = (torch.from_numpy(inputs[name]) for name in INPUTS)
        output = network.detector(image, P2, coord_range_px)
        tensors = network.numbers(output, coord_range_px)
        prominences = prominence(output.heatmap, output.rois).numpy()
    expected = {name: tensor.numpy() for name, tensor in zip(OUTPUTS, tensors, strict=True)}
    found = dict(zip(OUTPUTS, session.run(list(OUTPUTS), inputs), strict=True))
    deviation, name = greatest_deviation(expected, found, prominences)
    if not deviation <= TOLERANCE:
        reason = f"expected ONNX Runtime within {TOLERANCE:g} of torch, found {deviation:.2g} in {name}"
        raise DataError(f"{reason}; the file was not written", model)
    return deviation
