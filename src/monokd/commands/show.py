"""The `monokd show` command: one frame with everything that is known about it, as one picture."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import typer

from monokd.depth.folder import densify_frame
from monokd.errors import DataError, printable
from monokd.kitti.calibration import Calibration
from monokd.kitti.frames import FrameSource, KittiFolder, read_velodyne
from monokd.kitti.images import pad_depth, read_depth, read_image
from monokd.kitti.labels import read_labels, read_results
from monokd.kitti.raw import frame_source
from monokd.report import drawing
from monokd.report.drawing import Layer
from monokd.report.networks import TRUTH, style_of
from monokd.typing import Bytes, Floats, Floats32

WIDTH_PX = 1242  # of the picture's left part; smaller images grow to it
RANGE_M = 70.0  # of the view from above
GROUND = 24, 24, 24
OTHER_RGB = (120, 230, 170), (225, 160, 255), (255, 170, 110), (150, 230, 240)


def show(
    root: Annotated[Path, typer.Argument(help="A folder in KITTI's layout, or of raw drives.")],
    frame: Annotated[
        str, typer.Argument(help="Which frame, such as 000123, or 2011_09_26_drive_0001_sync_0000000005.")
    ],
    results: Annotated[list[Path] | None, typer.Argument(help="Folders of result files.")] = None,
    out: Annotated[Path, typer.Option(help="The PNG to write.")] = Path("frame.png"),
    depth: Annotated[Path | None, typer.Option(help="A folder of depth PNGs; default: made from the scan.")] = None,
    score_threshold: Annotated[float, typer.Option(min=0, max=1, help="Least score of a result.")] = 0.0,
) -> None:
    """Draw one frame: the image with boxes, its depth map, and the scene from above with the scan.

    Shows the labels where there are some, and each folder of results in a colour of its own.
    """
    if out.suffix != ".png":
        raise DataError("expected a name that ends in .png", out)
    files = frame_source(root)
    if not files.image(frame).is_file() and KittiFolder(root, "testing").image(frame).is_file():
        files = KittiFolder(root, "testing")
    image, calibration = read_image(files.image(frame)), files.read_calibration(frame)
    layers = read_layers(files, frame, results or [], score_threshold)
    depth_m: Floats32 | None = None
    points_m: Floats | None = None
    if depth is not None:
        path = depth / f"{frame}.png"
        depth_m = pad_depth(read_depth(path), image.shape[0], image.shape[1], path)
    if files.velodyne(frame).is_file():
        depth_m = densify_frame(files, frame) if depth_m is None else depth_m
        points_m = calibration.velodyne_to_camera(read_velodyne(files.velodyne(frame))[:, :3].astype(np.float64))
    drawing.write_picture(out, compose(image, calibration, layers, depth_m, points_m))
    names = ", ".join(f"{len(drawing.placed(layer.objects))} of {layer.style.label}" for layer in layers) or "no boxes"
    print(printable(f"{out}: {names}"))


def read_layers(files: FrameSource, frame: str, results: Sequence[Path], score_threshold: float) -> list[Layer]:
    """Read the labels, where there are some, and every folder's result file."""
    labels = files.label(frame)
    layers = [Layer(read_labels(labels), TRUTH)] if labels is not None and labels.is_file() else []
    for position, folder in enumerate(results):
        objects, name = read_results(folder / f"{frame}.txt"), folder.resolve().name
        style = style_of(name)
        if style.label == name:  # none of the pipeline's networks
            style = replace(style, rgb=OTHER_RGB[position % len(OTHER_RGB)])
        layers.append(Layer(objects.select(objects.scores >= score_threshold), style, filled=True))
    return layers


def compose(
    image: Bytes, calibration: Calibration, layers: Sequence[Layer], depth_m: Floats32 | None, points_m: Floats | None
) -> Bytes:
    """Put the views of a frame beside each other: image and depth on the left, from above on the right.

    `depth_m` is H×W metres, 0 where unknown; `points_m` N×3 in camera coordinates. Either is left out where it is None.
    """
    factor = max(WIDTH_PX / image.shape[1], 1.0)
    larger = _resized(image, factor, cv2.INTER_CUBIC)
    camera = replace(calibration, P2=np.diag([factor, factor, 1.0]) @ calibration.P2)
    boxes = drawing.draw_boxes_3d(drawing.draw_boxes_3d(larger, layers[:-1], camera), layers[-1:], camera, labels=True)
    views = [_legend(layers, larger.shape[1]), boxes]
    if depth_m is not None:
        views.append(drawing.add_colour_bar(_resized(drawing.colour_depth(depth_m), factor, cv2.INTER_NEAREST)))
    left = np.concatenate(views)
    height_px, ahead_m = left.shape[0], None if points_m is None else points_m[points_m[:, 2] > 0]
    from_above = drawing.draw_birds_eye(
        layers, calibration, image.shape[1], points_m=ahead_m, range_m=RANGE_M, pixels_per_m=height_px / (RANGE_M + 2)
    )[:height_px]
    below = np.zeros((height_px - len(from_above), *from_above.shape[1:]), dtype=np.uint8)
    return np.concatenate([left, np.concatenate([from_above, below])], axis=1)


def _resized(image: Bytes, factor: float, interpolation: int) -> Bytes:
    size = round(image.shape[1] * factor), round(image.shape[0] * factor)
    return image if factor == 1 else np.asarray(cv2.resize(image, size, interpolation=interpolation), dtype=np.uint8)


def _legend(layers: Sequence[Layer], width_px: int) -> Bytes:
    """A strip that names the layers in their colours."""
    strip, left = np.full((34, width_px, 3), GROUND, dtype=np.uint8), 10
    for layer in layers:
        text = layer.style.label.encode("ascii", "replace").decode()
        cv2.putText(strip, text, (left, 24), cv2.FONT_HERSHEY_SIMPLEX, 0.65, layer.style.rgb, 1, cv2.LINE_AA)
        left += cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, 0.65, 1)[0][0] + 26
    return strip
