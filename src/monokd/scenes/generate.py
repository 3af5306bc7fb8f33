"""A KITTI folder of synthetic street scenes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from monokd.files import write_bytes, write_text
from monokd.kitti.calibration import Calibration, write_calibration
from monokd.kitti.frames import KittiFolder
from monokd.progress import map_frames
from monokd.scenes.exact import inverse_3x3, product
from monokd.scenes.geometry import Triangles, assemble, reflectances
from monokd.scenes.labels import label_lines
from monokd.scenes.layout import CAMERA_HEIGHT_M, Road, World, sample_objects, sample_road
from monokd.scenes.lidar import ray_tables, scan
from monokd.scenes.light import Light, noise_table, sample_light
from monokd.scenes.rasteriser import Camera, View, rasterise
from monokd.scenes.shading import shade
from monokd.scenes.surroundings import sample_clutter

Array = NDArray[np.float64]
# KITTI's camera and scanner of 26 September 2011, for an image of 1242×375.
KITTI_SIZE_PX = (1242, 375)
FOCAL_PX, CU_PX, CV_PX = 721.5377, 609.5593, 172.854
P2_SHIFT = (44.85728, 0.2163791, 0.002745884)
R0_RECT = (
    (0.9999239, 0.00983776, -0.007445048),
    (-0.009869795, 0.9999421, -0.004278459),
    (0.007402527, 0.004351614, 0.9999631),
)
TR_VELO_TO_CAM = (
    (0.007533745, -0.9999714, -0.000616602, -0.004069766),
    (0.01480249, 0.0007280733, -0.9998902, -0.07631618),
    (0.9998621, 0.00752379, 0.01480755, -0.2717806),
)
# Run-length coding of horizontal differences: the fastest of zlib's ways on such pictures, and as small.
PNG_SETTINGS = (
    cv2.IMWRITE_PNG_COMPRESSION, 1, cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE,
    cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_SUB,
)  # fmt: skip


@dataclass(frozen=True)
class SceneSettings:
    """What the scenes are like; see `generate_scenes` for the meaning of each."""

    width_px: int = 1242
    height_px: int = 375
    objects_per_frame: float = 7.0
    class_shares: tuple[float, float, float] = (0.72, 0.17, 0.11)
    min_distance_m: float = 5.0
    max_distance_m: float = 60.0
    max_hidden_share: float = 0.75
    clutter: float = 1.0
    texture: float = 1.0
    image_noise: float = 3.0
    pitch_std_rad: float = 0.0125
    yaw_std_rad: float = 0.05
    focal_std: float = 0.0
    sector_deg: float = 90.0
    azimuth_step_deg: float = 0.17
    range_noise_m: float = 0.02
    dropout: float = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One rendered frame.

    Attributes:
        world: what stands where.
        camera: the pinhole.
        calibration: what the calibration file says.
        view: the z-buffer's result.
        image: H×W×3 uint8 RGB.
        points: N×4 float32 scan.
        labels: label lines.
    """

    world: World
    camera: Camera
    calibration: Calibration
    view: View
    image: NDArray[np.uint8]
    points: NDArray[np.float32]
    labels: list[str]


def generate_scenes(
    out: Path,
    *,
    train_frames: int,
    val_frames: int,
    width_px: int = 1242,
    height_px: int = 375,
    seed: int = 0,
    workers: int = 1,
    objects_per_frame: float = SceneSettings.objects_per_frame,
    class_shares: tuple[float, float, float] = SceneSettings.class_shares,
    min_distance_m: float = SceneSettings.min_distance_m,
    max_distance_m: float = SceneSettings.max_distance_m,
    max_hidden_share: float = SceneSettings.max_hidden_share,
    clutter: float = SceneSettings.clutter,
    texture: float = SceneSettings.texture,
    image_noise: float = SceneSettings.image_noise,
    pitch_std_rad: float = SceneSettings.pitch_std_rad,
    yaw_std_rad: float = SceneSettings.yaw_std_rad,
    focal_std: float = SceneSettings.focal_std,
    sector_deg: float = SceneSettings.sector_deg,
    azimuth_step_deg: float = SceneSettings.azimuth_step_deg,
    range_noise_m: float = SceneSettings.range_noise_m,
    dropout: float = SceneSettings.dropout,
) -> None:
    """Write `out`/training/{image_2, calib, label_2, velodyne} and `out`/ImageSets/{train, val, trainval}.txt.

    Every file is whole or absent, the split files come last, and a frame depends on `seed` and its number alone. Of the
    scan only the frontal sector is written (KITTI's go all round), because nothing else is in the camera's view.
    Frames of an earlier run with higher ids are left where they are; the split files do not name them.

    Args:
        out: the folder.
        train_frames: how many; ids have six digits, training frames first.
        val_frames: how many.
        width_px: of the images; the focal length scales with it.
        height_px: of the images.
        seed: of everything.
        workers: processes; the files do not depend on it.
        objects_per_frame: mean number of objects that are placed.
        class_shares: weights of Car, Pedestrian, Cyclist.
        min_distance_m: of objects along the camera's axis, at least 4.
        max_distance_m: the same, the farthest.
        max_hidden_share: how much of an object's width others may hide.
        clutter: density of buildings, trees, poles; 1 a street, 0 an empty plain.
        texture: contrast of textures; 1 natural, 0 plain colours.
        image_noise: largest sensor noise, grey levels.
        pitch_std_rad: spread of the ground's slope ahead (a third of it sideways); KITTI's is 0.0125.
        yaw_std_rad: spread of the road's direction.
        focal_std: relative spread of the focal length; the calibration file says each frame's.
        sector_deg: the scan's width, below 170.
        azimuth_step_deg: the distance of its columns.
        range_noise_m: standard deviation of measured ranges.
        dropout: scales the share of lost returns, 0 keeps all.

    Raises:
        ValueError: a count, size or range that makes no scene.
    """
    settings = SceneSettings(
        width_px=width_px,
        height_px=height_px,
        objects_per_frame=objects_per_frame,
        class_shares=class_shares,
        min_distance_m=min_distance_m,
        max_distance_m=max_distance_m,
        max_hidden_share=max_hidden_share,
        clutter=clutter,
        texture=texture,
        image_noise=image_noise,
        pitch_std_rad=pitch_std_rad,
        yaw_std_rad=yaw_std_rad,
        focal_std=focal_std,
        sector_deg=sector_deg,
        azimuth_step_deg=azimuth_step_deg,
        range_noise_m=range_noise_m,
        dropout=dropout,
    )
    _check(settings, train_frames, val_frames)
    ids = [f"{number:06d}" for number in range(train_frames + val_frames)]
    map_frames(partial(write_frame, Path(out), seed, settings), range(len(ids)), "scenes", workers)
    for name, chosen in (("train", ids[:train_frames]), ("val", ids[train_frames:]), ("trainval", ids)):
        write_text(Path(out) / "ImageSets" / f"{name}.txt", "".join(f"{frame}\n" for frame in chosen))


def _check(settings: SceneSettings, train_frames: int, val_frames: int) -> None:
    demands = (
        (train_frames >= 0 and val_frames >= 0 and train_frames + val_frames > 0, "at least one frame"),
        (settings.width_px >= 32 and settings.height_px >= 16, "images of at least 32×16 pixels"),
        (4.0 <= settings.min_distance_m < settings.max_distance_m, "4 ≤ min_distance_m < max_distance_m"),
        (len(settings.class_shares) == 3 and min(settings.class_shares) >= 0, "three class shares, none negative"),
        (max(settings.class_shares) > 0, "a class share above zero"),
        (0 < settings.azimuth_step_deg < settings.sector_deg < 170, "0 < azimuth_step_deg < sector_deg < 170"),
        (0 <= settings.dropout <= 1 and settings.range_noise_m >= 0, "dropout in 0 to 1 and range noise ≥ 0"),
        (
            abs(settings.pitch_std_rad) <= 0.03 and abs(settings.focal_std) <= 0.1,
            "pitch_std_rad ≤ 0.03, focal_std ≤ 0.1",
        ),
    )
    for holds, text in demands:
        if not holds:
            raise ValueError(f"scenes need {text}; found {settings} with {train_frames} + {val_frames} frames")


def write_frame(out: Path, seed: int, settings: SceneSettings, number: int) -> None:
    """Render and write frame `number`; its image comes last, so that a frame with an image is complete."""
    frame = render_frame(seed, number, settings)
    files, name = KittiFolder(out), f"{number:06d}"
    write_calibration(files.calibration(name), frame.calibration)
    write_text(files.label(name), "".join(f"{line}\n" for line in frame.labels))
    write_bytes(files.velodyne(name), frame.points.astype("<f4").tobytes())
    done, data = cv2.imencode(".png", cv2.cvtColor(frame.image, cv2.COLOR_RGB2BGR), PNG_SETTINGS)
    if not done:
        raise ValueError(f"cannot encode {files.image(name)}")
    write_bytes(files.image(name), data.tobytes())


def render_frame(seed: int, number: int, settings: SceneSettings) -> Frame:
    """Frame `number` of `seed`; each aspect has its own random stream, so that changing one leaves the others."""
    streams = [np.random.default_rng(child) for child in np.random.SeedSequence([seed, number]).spawn(5)]
    road = sample_road(streams[0], pitch_std_rad=settings.pitch_std_rad, yaw_std_rad=settings.yaw_std_rad)
    objects = sample_objects(
        streams[1],
        road,
        objects_per_frame=settings.objects_per_frame,
        class_shares=settings.class_shares,
        min_distance_m=settings.min_distance_m,
        max_distance_m=settings.max_distance_m,
        max_hidden_share=settings.max_hidden_share,
    )
    world = World(road, objects, sample_clutter(streams[2], road, objects, amount=settings.clutter))
    camera, calibration = _camera(streams[3], settings)
    return render_world(
        world, camera, calibration, settings, sample_light(streams[3]), int(streams[4].integers(1 << 62))
    )


def render_world(
    world: World, camera: Camera, calibration: Calibration, settings: SceneSettings, light: Light, scan_seed: int
) -> Frame:
    """Picture, labels and scan of a given world."""
    road, triangles = world.road, assemble(world)
    view = rasterise(
        camera,
        triangles.corners_m,
        triangles.owners,
        len(world.objects),
        ground=(CAMERA_HEIGHT_M, road.bank, road.pitch),
        sun=light.sun if light.strength > 0.2 else None,
    )
    image = shade(
        camera, view, triangles, world.objects, road, light, _noise(),
        texture=settings.texture, noise_levels=settings.image_noise,
    )  # fmt: skip
    points = scan_world(triangles, road, calibration, settings, scan_seed)
    return Frame(world, camera, calibration, view, image, points, label_lines(world.objects, view, camera))


@lru_cache(maxsize=1)
def _noise() -> NDArray[np.float32]:
    return noise_table(np.random.default_rng(np.random.SeedSequence(20120616)))


def _camera(rng: np.random.Generator, settings: SceneSettings) -> tuple[Camera, Calibration]:
    scale_u, scale_v = settings.width_px / KITTI_SIZE_PX[0], settings.height_px / KITTI_SIZE_PX[1]
    zoom = 1.0 + settings.focal_std * (2.0 * float(rng.random()) - 1.0) * 1.7320508075688772
    focal = round(FOCAL_PX * scale_u * zoom, 4)
    cu, cv = round(CU_PX * scale_u, 4), round(CV_PX * scale_v, 4)
    t0, t1, t2 = round(P2_SHIFT[0] * scale_u, 6), round(P2_SHIFT[1] * scale_u, 7), P2_SHIFT[2]
    P2 = np.array([[focal, 0.0, cu, t0], [0.0, focal, cv, t1], [0.0, 0.0, 1.0, t2]])
    centre = ((cu * t2 - t0) / focal, (cv * t2 - t1) / focal, -t2)
    camera = Camera(focal, cu, cv, centre, settings.width_px, settings.height_px)
    return camera, Calibration(P2, np.array(R0_RECT), np.array(TR_VELO_TO_CAM))


def scan_world(
    triangles: Triangles, road: Road, calibration: Calibration, settings: SceneSettings, scan_seed: int
) -> NDArray[np.float32]:
    """The scan of a world from the scanner's pose."""
    rotation = product(calibration.R0_rect, calibration.Tr_velo_to_cam[:, :3])
    shift = product(calibration.R0_rect, calibration.Tr_velo_to_cam[:, 3:])[:, 0]
    back = inverse_3x3(rotation)
    centred = triangles.corners_m - shift
    corners = np.stack(
        [row[0] * centred[..., 0] + row[1] * centred[..., 1] + row[2] * centred[..., 2] for row in back], axis=-1
    )
    # the plane y − bank·x − pitch·z = h in scanner coordinates
    normal = np.array([[-road.bank, 1.0, -road.pitch]])
    plane = [float(value) for value in product(normal, rotation)[0]]
    offset = CAMERA_HEIGHT_M - float(product(normal, shift[:, None])[0, 0])
    return scan(
        corners,
        triangles.materials,
        reflectances(triangles),
        (plane[0], plane[1], plane[2], offset),
        _rays(settings.sector_deg, settings.azimuth_step_deg),
        seed=scan_seed,
        range_noise_m=settings.range_noise_m,
        dropout=settings.dropout,
    )


@lru_cache(maxsize=4)
def _rays(sector_deg: float, step_deg: float) -> tuple[Array, Array, Array]:
    return ray_tables(sector_deg, step_deg)
