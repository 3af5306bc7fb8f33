"""Whole frames: labels against pixels and points, and the same bytes from the same seed."""

from __future__ import annotations

import hashlib
import importlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from monokd.kitti.calibration import read_calibration
from monokd.kitti.frames import KittiFolder, read_image, read_split, read_velodyne
from monokd.kitti.labels import read_labels
from monokd.scenes import generate
from monokd.scenes.exact import inverse_3x3
from monokd.scenes.generate import Frame, SceneSettings, generate_scenes, render_frame
from monokd.scenes.geometry import assemble, box_corners
from monokd.scenes.layout import Placed

Array = NDArray[np.float64]
SETTINGS = SceneSettings()
# Every knob in full, so that new defaults do not move the hash below.
FIXED = SceneSettings(
    width_px=621,
    height_px=187,
    objects_per_frame=7.0,
    class_shares=(0.6, 0.2, 0.2),
    min_distance_m=5.0,
    max_distance_m=60.0,
    max_hidden_share=0.75,
    clutter=1.0,
    texture=1.0,
    image_noise=3.0,
    pitch_std_rad=0.0125,
    yaw_std_rad=0.05,
    focal_std=0.02,
    sector_deg=120.0,
    azimuth_step_deg=0.36,
    range_noise_m=0.02,
    dropout=1.0,
)
FIXED_DIGEST = "c51695d749bb075b33d66ba2a08a4565e8cb7fe000ff5554ca39844f3a3bcefa"


@pytest.fixture(scope="module")
def frames() -> list[Frame]:
    return [render_frame(5, number, SETTINGS) for number in range(12)]


def digest(settings: SceneSettings) -> str:
    """Hash of everything that three frames write."""
    total = hashlib.sha256()
    for number in range(3):
        frame = render_frame(11, number, settings)
        png = cv2.imencode(".png", cv2.cvtColor(frame.image, cv2.COLOR_RGB2BGR), generate.PNG_SETTINGS)[1]
        np.testing.assert_array_equal(cv2.imdecode(png, cv2.IMREAD_COLOR_RGB), frame.image)
        for part in (frame.image, frame.points, frame.calibration.P2):
            total.update(part.tobytes())
        total.update("\n".join(frame.labels).encode())
    return total.hexdigest()


def contents(folder: Path) -> dict[str, str]:
    """Hash of every file below a folder."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def labelled(frame: Frame) -> list[tuple[int, Placed, list[float]]]:
    """Index, solid and numbers of each labelled object of a frame."""
    found = []
    for line in frame.labels:
        words = line.split()
        numbers = [float(word) for word in words[1:]]
        for index, placed in enumerate(frame.world.objects):
            if words[0] == placed.name and numbers[10:13] == [*placed.location_m]:
                found.append((index, placed, numbers))
    return found


def camera_points(frame: Frame) -> Array:
    return frame.calibration.velodyne_to_camera(frame.points[:, :3].astype(np.float64))


def local(placed: Placed, points: Array) -> Array:
    """Camera points in an object's own axes: along, up, across."""
    shifted = points - np.array(placed.location_m)
    sine, cosine = np.sin(placed.rotation_y_rad), np.cos(placed.rotation_y_rad)
    along = cosine * shifted[:, 0] - sine * shifted[:, 2]
    return np.stack([along, -shifted[:, 1], sine * shifted[:, 0] + cosine * shifted[:, 2]], axis=1)


def test_the_folder_reads_as_kitti(tmp_path: Path) -> None:
    generate_scenes(tmp_path, train_frames=2, val_frames=1, width_px=414, height_px=125, seed=3, workers=1)
    assert read_split(tmp_path / "ImageSets" / "train.txt") == ["000000", "000001"]
    assert read_split(tmp_path / "ImageSets" / "val.txt") == ["000002"]
    folder = KittiFolder(tmp_path)
    assert folder.frames() == read_split(tmp_path / "ImageSets" / "trainval.txt")
    for number, frame in enumerate(folder.frames()):
        rendered = render_frame(3, number, SceneSettings(width_px=414, height_px=125))
        assert (read_image(folder.image(frame)) == rendered.image).all()
        assert (read_velodyne(folder.velodyne(frame)) == rendered.points).all()
        assert len(read_labels(folder.label(frame))) == len(rendered.labels)
        np.testing.assert_array_equal(read_calibration(folder.calibration(frame)).P2, rendered.calibration.P2)


def test_labels_hold_the_pixels(frames: list[Frame]) -> None:
    """What shows an object lies in its 2D box and touches the box's sides where the object is not occluded."""
    checked = 0
    for frame in frames:
        owners = assemble(frame.world).owners
        shown = np.where(frame.view.triangle >= 0, owners[np.maximum(frame.view.triangle, 0)], -1)
        for index, _, numbers in labelled(frame):
            rows, columns = np.nonzero(shown == index)
            left, top, right, bottom = numbers[3:7]
            assert left - 0.01 <= columns.min()
            assert columns.max() <= right + 0.01
            assert top - 0.01 <= rows.min()
            assert rows.max() <= bottom + 0.01
            if frame.view.visible_px[index] == frame.view.silhouette_px[index] and right - left > 20:
                assert max(columns.min() - left, right - columns.max(), rows.min() - top, bottom - rows.max()) < 2.5
                checked += 1
    assert checked > 10


def test_the_projected_3d_box_encloses_the_2d_box(frames: list[Frame]) -> None:
    for frame in frames:
        for _, placed, numbers in labelled(frame):
            pixels, _ = frame.calibration.project(box_corners(placed))
            left, top, right, bottom = numbers[3:7]
            assert (pixels.min(axis=0) <= np.array([left, top]) + 0.01).all()
            inside = np.array([right, bottom]) - 0.01
            assert (pixels.max(axis=0) >= inside).all()


def test_points_lie_on_objects_and_ground(frames: list[Frame]) -> None:
    """A point whose pixel shows an object (well inside its silhouette) lies in its 3D box, give or take noise."""
    seen = hits = 0
    for frame in frames:
        points = camera_points(frame)
        for index, placed, _ in labelled(frame):
            inside = local(placed, points)
            height, width, length = placed.size_m
            low = np.abs(inside) <= np.array([length / 2, height, width / 2]) + 0.1
            count = int((low.all(axis=1) & (inside[:, 1] > 0.15)).sum())
            if frame.view.visible_px[index] > 2000:
                seen, hits = seen + 1, hits + (count > 60)
        road = frame.world.road
        below = points[:, 1] - (1.65 + road.bank * points[:, 0] + road.pitch * points[:, 2])
        assert below.max() < 0.1
        assert 0.2 < (np.abs(below) < 0.05).mean() < 0.95
    assert seen > 10
    assert hits == seen


def test_the_scan_sees_what_the_camera_sees(frames: list[Frame]) -> None:
    """Projected points have the z-buffer's depth, but for the parallax at edges."""
    for frame in frames:
        points = camera_points(frame)
        pixels, depth = frame.calibration.project(points)
        u, v = np.rint(pixels).astype(int).T
        keep = (u >= 0) & (u < 1242) & (v >= 0) & (v < 375) & (depth < 40)
        inverse = frame.view.inverse_depth[v[keep], u[keep]]
        agree = np.abs(inverse * depth[keep] - 1.0) < 0.03
        assert keep.sum() > 10_000
        assert agree.mean() > 0.95


def test_density_is_kitti_s(frames: list[Frame]) -> None:
    for frame in frames:
        pixels, depth = frame.calibration.project(camera_points(frame))
        inside = (depth > 0) & (pixels >= 0).all(axis=1) & (pixels < np.array([1242, 375])).all(axis=1)
        assert 13_000 < inside.sum() < 26_000


def test_the_scanner_s_pose_is_a_rotation_and_inverts() -> None:
    rotation = np.array(generate.R0_RECT) @ np.array(generate.TR_VELO_TO_CAM)[:, :3]
    np.testing.assert_allclose(inverse_3x3(rotation), rotation.T, atol=2e-6)


def test_every_frame_differs_and_every_seed_too() -> None:
    small = SceneSettings(width_px=310, height_px=94)
    images = [render_frame(seed, number, small).image.tobytes() for seed in (0, 1) for number in range(3)]
    assert len(set(images)) == 6


def test_files_do_not_depend_on_the_workers(tmp_path: Path) -> None:
    for name, workers in (("one", 1), ("two", 2), ("again", 1)):
        generate_scenes(
            tmp_path / name, train_frames=3, val_frames=2, width_px=310, height_px=94, seed=8, workers=workers
        )
    first = contents(tmp_path / "one")
    assert len(first) == 5 * 4 + 3
    assert contents(tmp_path / "two") == first == contents(tmp_path / "again")


def test_bytes_are_those_of_every_machine() -> None:
    """Change the digest only when the scenes are meant to change; a mismatch without that is a machine's fault."""
    assert digest(FIXED) == FIXED_DIGEST


def test_bytes_do_not_depend_on_the_processor() -> None:
    """The same frames with the plainest x86-64 code: numba, numpy, OpenCV and the C library held back."""
    held_back = {
        "NUMBA_CPU_NAME": "generic",
        "NUMBA_CPU_FEATURES": "",
        "NPY_DISABLE_CPU_FEATURES": " ".join(_optional_features()),
        "OPENCV_CPU_DISABLE": "AVX2,AVX,FP16",
        "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX2,-AVX,-FMA,-AVX512F",
    }
    code = "from tests.scenes.test_generate import FIXED, digest; print(digest(FIXED))"
    root = Path(__file__).resolve().parents[2]
    path = os.pathsep.join([str(root), str(root / "src"), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | held_back | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == FIXED_DIGEST


def _optional_features() -> list[str]:
    """What numpy would use on this processor beyond its baseline."""
    inner: Any = importlib.import_module("numpy._core._multiarray_umath")
    return [name for name in inner.__cpu_dispatch__ if inner.__cpu_features__.get(name)]


def test_a_failure_leaves_no_half_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = Path.write_bytes

    def fail(path: Path, content: bytes) -> int:
        if path.suffix != ".png":
            return write(path, content)
        write(path, content[: len(content) // 2])
        raise RuntimeError("disk is on fire")

    monkeypatch.setattr(Path, "write_bytes", fail)
    with pytest.raises(RuntimeError, match="fire"):
        generate_scenes(tmp_path, train_frames=1, val_frames=1, width_px=310, height_px=94, seed=8, workers=1)
    assert list((tmp_path / "training" / "image_2").iterdir()) == []
    assert not (tmp_path / "ImageSets").exists()


@pytest.mark.parametrize(
    "wrong",
    [
        {"train_frames": 0, "val_frames": 0},
        {"train_frames": -1},
        {"width_px": 8},
        {"min_distance_m": 1.0},
        {"max_distance_m": 4.5},
        {"class_shares": (0.0, 0.0, 0.0)},
        {"class_shares": (1.0, -0.5, 0.0)},
        {"sector_deg": 200.0},
        {"dropout": 1.5},
        {"pitch_std_rad": 0.5},
    ],
)
def test_senseless_settings_are_refused(tmp_path: Path, wrong: dict) -> None:
    arguments = {"train_frames": 1, "val_frames": 1, "seed": 0, "workers": 1} | wrong
    with pytest.raises(ValueError, match="scenes need"):
        generate_scenes(tmp_path, **arguments)
    assert list(tmp_path.iterdir()) == []
