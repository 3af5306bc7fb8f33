"""Run an exported detector without torch: an image and its calibration in, KITTI text out.

Needs numpy, opencv-python and onnxruntime, and nothing of monokd; the text is that of `monokd predict`.

Usage: python examples/onnx_predict.py MODEL.onnx IMAGE CALIB [--out FILE.txt] [--score-threshold 0.2]
"""

import argparse
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnxruntime
from numpy.typing import NDArray

Array = NDArray[np.float64]


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("image", type=Path)
    parser.add_argument("calib", type=Path)
    parser.add_argument("--out", type=Path, help="default: print")
    parser.add_argument("--score-threshold", type=float, default=0.2)
    args = parser.parse_args()
    session = onnxruntime.InferenceSession(str(args.model), providers=["CPUExecutionProvider"])
    text = detect(session, args.image, args.calib, args.score_threshold)
    if args.out:
        args.out.write_text(text)
    else:
        print(text, end="")


def detect(session: Any, image: Path, calib: Path, score_threshold: float) -> str:
    """The objects in an image, one KITTI line each, surest peak first."""
    about = json.loads(session.get_modelmeta().custom_metadata_map["monokd"])
    if about["modality"] != "image":
        raise SystemExit("expected a model that sees images, found one that sees depth")
    bgr = cv2.imread(str(image), cv2.IMREAD_COLOR)
    if bgr is None:
        raise SystemExit(f"{image}: expected an image")
    P2 = read_P2(calib).astype(np.float32)
    pixels, coord_range_px = network_input(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), about["width_px"], about["height_px"])
    mean, std = (np.array(about[name], dtype=np.float32)[:, None, None] for name in ("image_mean", "image_std"))
    inputs = {
        "image": ((pixels.astype(np.float32) / np.float32(255) - mean) / std)[None],
        "P2": P2[None],
        "coord_range_px": coord_range_px[None],
    }
    names = [output.name for output in session.get_outputs()]
    raw = dict(zip(names, session.run(names, inputs), strict=True))
    return "".join(f"{line}\n" for line in decode(raw, P2.astype(np.float64), about, score_threshold))


def read_P2(calib: Path) -> Array:
    """The 3×4 projection of the left colour camera."""
    for line in calib.read_text().splitlines():
        if line.startswith("P2:"):
            return np.array([float(word) for word in line.split()[1:]]).reshape(3, 4)
    raise SystemExit(f"{calib}: expected a line 'P2: …'")


def network_input(rgb: NDArray[Any], width: int, height: int) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """The whole image brought to the network's width, bilinear, and the range of image pixels that it shows.

    Both axes take the width's scale about the centre; rows beyond the image are black. Where an input pixel steps over
    two image pixels or more, the image is averaged over that many first.
    """
    rows, columns = rgb.shape[:2]
    inverse = input_to_image(columns, rows, width, height)
    factor = max(1, min(int(inverse[0, 0] + 1e-6), rows, columns))
    if factor > 1:
        whole = rgb[: rows // factor * factor, : columns // factor * factor]
        rgb = np.asarray(cv2.resize(whole, (columns // factor, rows // factor), interpolation=cv2.INTER_AREA))
    x = inverse[0, 0] * (np.arange(width) + 0.5) + inverse[0, 2]
    y = inverse[1, 0] * (np.arange(width) + 0.5) + inverse[1, 1] * (np.arange(height)[:, None] + 0.5) + inverse[1, 2]
    seen = ((x >= 0) & (x < columns)) & ((y >= 0) & (y < rows)).all(axis=1)[:, None]
    left, right, across = neighbours(x / factor - 0.5, rgb.shape[1])
    above, below, down = neighbours(y / factor - 0.5, rgb.shape[0])
    source = rgb.astype(np.float64)
    across, down = across[None, :, None], down[:, :, None]
    top = source[above, left] + (source[above, right] - source[above, left]) * across
    bottom = source[below, left] + (source[below, right] - source[below, left]) * across
    blended = (top + (bottom - top) * down).astype(np.uint8)
    pixels = np.where(seen[:, :, None], blended, np.uint8(0)).transpose(2, 0, 1)
    return pixels, np.array([[0, 0], [columns, rows]], dtype=np.float32)


def input_to_image(columns: int, rows: int, width: int, height: int) -> Array:
    """2×3 similarity from input to image pixels, from three points as OpenCV solves it."""
    corners = []
    for centre_x, centre_y, size in ((width / 2, height / 2, width), (columns / 2, rows / 2, columns)):
        half = size / 2
        points = [[centre_x, centre_y], [centre_x, centre_y - half], [centre_x - half, centre_y - half]]
        corners.append(np.array(points, dtype=np.float32))
    return np.asarray(cv2.getAffineTransform(*corners), dtype=np.float64)


def neighbours(at: Array, size: int) -> tuple[NDArray[np.intp], NDArray[np.intp], Array]:
    """The two pixels about each position, and the weight of the second."""
    low = np.floor(at)
    first, second = (np.clip(low + step, 0, size - 1).astype(np.intp) for step in (0, 1))
    return first, second, at - low


def decode(raw: dict[str, NDArray[Any]], P2: Array, about: dict[str, Any], score_threshold: float) -> list[str]:
    """KITTI lines of the peaks that reach the threshold: a box in the image, a box in the world, a score."""
    out = {name: values.astype(np.float64) for name, values in raw.items() if values.dtype == np.float32}
    boxes_px, centres_px, depths_m = out["boxes_px"], out["centres_px"], out["depths_m"]
    sizes_m = out["size_residuals_m"] + np.array(about["mean_sizes_m"])[raw["class_ids"]]
    focal_px, centre_px, shift = P2[[0, 1], [0, 1]], P2[:2, 2], P2[:2, 3]
    lateral_m = ((centres_px - centre_px) * depths_m[:, None] - shift) / focal_px
    bottoms_m = np.column_stack((lateral_m, depths_m)) + sizes_m[:, :1] / 2 * [0.0, 1.0, 0.0]
    bins = about["heading_bins"]
    chosen = out["headings"][:, :bins].argmax(axis=1)
    alpha_rad = wrap(chosen * (2 * np.pi / bins) + out["headings"][np.arange(len(chosen)), bins + chosen])
    ray_rad = np.arctan2((boxes_px[:, 0] + boxes_px[:, 2]) / 2 - P2[0, 2], P2[0, 0])
    numbers = np.column_stack((alpha_rad, boxes_px, sizes_m, bottoms_m, wrap(alpha_rad + ray_rad)))
    scores = out["peaks"] * out["confidences"]
    names = [about["class_names"][i] for i in raw["class_ids"]]
    kept = (out["peaks"] >= score_threshold) & (sizes_m >= 0).all(axis=1) & np.isfinite(numbers).all(axis=1)
    return [
        f"{names[i]} 0.00 0 {' '.join(f'{x:.2f}' for x in numbers[i])} {scores[i]:.{about['score_decimals']}f}"
        for i in np.flatnonzero(kept & np.isfinite(scores))
        if names[i] in about["classes"]
    ]


def wrap(angle_rad: Array) -> Array:
    """The same angles in [−π, π)."""
    return np.asarray((angle_rad + np.pi) % (2 * np.pi) - np.pi)


if __name__ == "__main__":
    main()
