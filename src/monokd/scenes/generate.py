"""A KITTI folder of synthetic street scenes."""

from functools import partial
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from monokd.files import write_bytes, write_text
from monokd.kitti.calibration import Calibration, write_calibration
from monokd.kitti.frames import KittiFolder
from monokd.params import Scenes
from monokd.progress import map_frames
from monokd.scenes.labels import label_lines
from monokd.scenes.layout import Placed, Road, Triangles, assemble, sample_objects, sample_road
from monokd.scenes.lidar import scan_world
from monokd.scenes.rasteriser import Camera, View, rasterise
from monokd.scenes.shading import sample_light, shade
from monokd.scenes.surroundings import sample_clutter
from monokd.typing import Bytes, Floats32

# KITTI's camera and scanner of 26 September 2011, for an image of 1242×375.
KITTI_SIZE_PX = (1242, 375)
FOCAL_PX, CU_PX, CV_PX = 721.5377, 609.5593, 172.854
P2_SHIFT = (44.85728, 0.2163791, 0.002745884)
R0_RECT = np.array(
    [0.9999239, 0.00983776, -0.007445048, -0.009869795, 0.9999421, -0.004278459, 0.007402527, 0.004351614, 0.9999631]
).reshape(3, 3)
TR_VELO_TO_CAM = np.array([
    (0.007533745, -0.9999714, -0.000616602, -0.004069766), (0.01480249, 0.0007280733, -0.9998902, -0.07631618),
    (0.9998621, 0.00752379, 0.01480755, -0.2717806),
])  # fmt: skip
# Run-length coding of horizontal differences: the fastest of zlib's ways on such pictures, and as small.
PNG_SETTINGS = (
    cv2.IMWRITE_PNG_COMPRESSION, 1, cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE,
    cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_SUB,
)  # fmt: skip


class Frame(NamedTuple):
    """One rendered frame: its world, what the camera sees, and what its files hold (image H×W×3 RGB, scan N×4)."""

    road: Road
    objects: list[Placed]
    triangles: Triangles
    view: View
    calibration: Calibration
    image: Bytes
    points: Floats32
    labels: list[str]


def generate_scenes(out: Path, settings: Scenes, *, seed: int = 0, workers: int = 1) -> None:
    """Write `out`/training/{image_2, calib, label_2, velodyne} and `out`/ImageSets/{train, val, trainval}.txt.

    With unlabelled frames also ImageSets/unlabelled.txt; their labels go to training/label_hidden, where no reader
    of a KITTI folder looks. Every file is whole or absent, the split files come last, and a frame depends on `seed`
    and its number alone, whatever the number of `workers`. Of the scan only the frontal sector is written (KITTI's go
    all round), because nothing else is in the camera's view. Frames of an earlier run with higher ids are left where
    they are; the split files do not name them.
    """
    first, labelled = settings.train_frames, settings.train_frames + settings.val_frames
    ids = [f"{number:06d}" for number in range(labelled + settings.unlabelled_frames)]
    map_frames(partial(write_frame, out, seed, settings), range(len(ids)), "scenes", workers)
    splits = {"train": ids[:first], "val": ids[first:labelled], "trainval": ids[:labelled]}
    (out / "ImageSets/unlabelled.txt").unlink(missing_ok=True)
    if ids[labelled:]:
        splits["unlabelled"] = ids[labelled:]
    for name, frames in splits.items():
        write_text(out / "ImageSets" / f"{name}.txt", "".join(f"{frame}\n" for frame in frames))


def write_frame(out: Path, seed: int, settings: Scenes, number: int) -> None:
    """Render and write frame `number`; its image comes last, so that a frame with an image is complete."""
    frame, files, name = render_frame(seed, number, settings), KittiFolder(out), f"{number:06d}"
    label, stale = files.label(name), files.hidden_label(name)
    if number >= settings.train_frames + settings.val_frames:
        label, stale = stale, label
    stale.unlink(missing_ok=True)  # of an earlier run with other counts
    write_text(label, "".join(f"{line}\n" for line in frame.labels))
    write_calibration(files.calibration(name), frame.calibration)
    write_bytes(files.velodyne(name), frame.points.astype("<f4").tobytes())
    _, data = cv2.imencode(".png", cv2.cvtColor(frame.image, cv2.COLOR_RGB2BGR), PNG_SETTINGS)
    write_bytes(files.image(name), data.tobytes())


def render_frame(seed: int, number: int, settings: Scenes) -> Frame:
    """Frame `number` of `seed`; each aspect has its own random stream, so that changing one leaves the others."""
    streams = np.random.SeedSequence([seed, number]).spawn(5)
    road_rng, object_rng, clutter_rng, light_rng, scan_rng = (np.random.default_rng(stream) for stream in streams)
    road = sample_road(road_rng, settings)
    objects = sample_objects(object_rng, road, settings)
    triangles = assemble(objects, sample_clutter(clutter_rng, road, objects))
    camera, calibration = scaled_camera(settings)
    light = sample_light(light_rng)
    view = rasterise(camera, triangles, len(objects), road, light.sun if light.strength > 0.2 else None)
    image = shade(camera, road, light, triangles, view, objects)
    points = scan_world(triangles, road, calibration, scan_rng)
    labels = label_lines(objects, view, camera)
    return Frame(road, objects, triangles, view, calibration, image, points, labels)


def scaled_camera(settings: Scenes) -> tuple[Camera, Calibration]:
    """KITTI's camera at the settings' size."""
    scale_u, scale_v = settings.width_px / KITTI_SIZE_PX[0], settings.height_px / KITTI_SIZE_PX[1]
    focal = round(FOCAL_PX * scale_u, 4)
    cu, cv = round(CU_PX * scale_u, 4), round(CV_PX * scale_v, 4)
    t0, t1, t2 = round(P2_SHIFT[0] * scale_u, 6), round(P2_SHIFT[1] * scale_u, 7), P2_SHIFT[2]
    P2 = np.array([[focal, 0.0, cu, t0], [0.0, focal, cv, t1], [0.0, 0.0, 1.0, t2]])
    centre = (cu * t2 - t0) / focal, (cv * t2 - t1) / focal, -t2
    camera = Camera(focal, cu, cv, centre, settings.width_px, settings.height_px)
    return camera, Calibration(P2, R0_RECT, TR_VELO_TO_CAM)
