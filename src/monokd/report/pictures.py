"""The picture files of one frame."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from monokd.files import write_bytes
from monokd.kitti.calibration import Calibration, read_calibration
from monokd.kitti.frames import read_depth, read_image
from monokd.kitti.objects import Objects
from monokd.report.birds_eye import draw_birds_eye
from monokd.report.drawing import Layer, add_colour_bar, colour_depth, draw_boxes_3d, draw_heat_map, placed
from monokd.report.inputs import FramePicture, Heat
from monokd.report.styles import style_of

Image = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Picture:
    """A written picture: its file's name, size in pixels, text for those who cannot see it, and caption."""

    file: str
    width_px: int
    height_px: int
    alt: str
    caption: str


@dataclass(frozen=True, slots=True)
class FrameSet:
    """The pictures of one frame: a photograph a network, heat maps, depth (or None), and the view from above."""

    photographs: tuple[Picture, ...]
    heat_maps: tuple[Picture, ...]
    depth: Picture | None
    above: Picture


def write_frame(
    folder: Path,
    files: FramePicture,
    truth: Sequence[Layer],
    results: Mapping[str, Objects],
    counts: Mapping[str, str],
    heat: Mapping[str, Heat],
) -> FrameSet:
    """Draw a frame and write its pictures into `folder`.

    Args:
        folder: where to write.
        files: the frame's files.
        truth: layers of its labels.
        results: network name → the boxes to show.
        counts: network name → how many it found, in words.
        heat: network name → its heat map over the whole image, where there is one.
    """
    image, calibration = read_image(files.image), read_calibration(files.calibration)
    under = [replace(layer, filled=False) for layer in truth]
    photographs, heat_maps = [], []
    for position, (name, objects) in enumerate(results.items()):
        style = style_of(name, position)
        drawn = draw_boxes_3d(image, [*under, Layer(objects, style, filled=True)], calibration)
        alt = f"Camera image of frame {files.frame} with ground truth and {_boxes(objects, style.label)}"
        caption = f"{style.label}: {counts[name]}"
        photographs.append(_save(folder, f"{files.frame}-{_slug(name)}.jpg", drawn, alt, caption))
        if name in heat:
            warm = draw_heat_map(_halved(image), heat[name])
            alt = f"Heat map of {style.label} over frame {files.frame}: bright where it expects an object's centre"
            heat_maps.append(
                _save(folder, f"{files.frame}-{_slug(name)}-heat.jpg", warm, alt, f"{style.label}: heat map")
            )
    above = _above(folder, files, calibration, image.shape[1], truth, results)
    return FrameSet(tuple(photographs), tuple(heat_maps), _depth(folder, files), above)


def _depth(folder: Path, files: FramePicture) -> Picture | None:
    if files.depth is None:
        return None
    drawn = add_colour_bar(colour_depth(read_depth(files.depth)))
    alt = f"Dense depth of frame {files.frame}: yellow is near, dark blue far; a scale from 2 to 80 m runs below"
    return _save(folder, f"{files.frame}-depth.jpg", drawn, alt, "Dense depth, which only the teacher sees")


def _above(
    folder: Path,
    files: FramePicture,
    calibration: Calibration,
    width_px: int,
    truth: Sequence[Layer],
    results: Mapping[str, Objects],
) -> Picture:
    layers = [*truth, *(Layer(objects, style_of(name, i)) for i, (name, objects) in enumerate(results.items()))]
    range_m = _reach_m(layers)
    drawn = draw_birds_eye(layers, calibration=calibration, image_width_px=width_px, range_m=range_m)
    alt = f"Frame {files.frame} seen from above, camera at the bottom, ground truth and all networks, rings every 10 m"
    return _save(folder, f"{files.frame}-above.png", drawn, alt, "Seen from above")


def _reach_m(layers: Sequence[Layer]) -> float:
    """40 to 80 m, in tens, a little beyond the farthest box."""
    farthest = max((placed(layer.objects).locations_m[:, 2].max(initial=0.0) for layer in layers), default=0.0)
    return float(np.clip(10 * np.ceil((farthest + 5) / 10), 40, 80))


def _boxes(objects: Objects, label: str) -> str:
    return f"{len(objects)} {'box' if len(objects) == 1 else 'boxes'} of {label}"


def _halved(image: Image) -> Image:
    """Half the size: a heat map has no detail that would be lost."""
    size = max(image.shape[1] // 2, 1), max(image.shape[0] // 2, 1)
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _save(folder: Path, name: str, image: Image, alt: str, caption: str) -> Picture:
    options = [cv2.IMWRITE_PNG_COMPRESSION, 9]
    if name.endswith(".jpg"):  # thin coloured lines blur when colour is stored at half the resolution
        options = [cv2.IMWRITE_JPEG_QUALITY, 82, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
    # Not imwrite: it does not say when the disk is full.
    done, data = cv2.imencode(Path(name).suffix, cv2.cvtColor(image, cv2.COLOR_RGB2BGR), options)
    if not done:
        raise ValueError(f"cannot encode {name}")
    write_bytes(folder / name, data.tobytes())
    return Picture(name, image.shape[1], image.shape[0], alt, caption)


def _slug(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]", "_", name) or "_"
