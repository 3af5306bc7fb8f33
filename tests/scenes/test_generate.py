"""Whole frames: labels against pixels and points, and the same bytes from the same seed."""

from pathlib import Path

import numpy as np
import pytest

from monokd.kitti.boxes3d import box_coordinates, box_corners, projected_boxes
from monokd.kitti.calibration import read_calibration
from monokd.kitti.frames import KittiFolder, read_split, read_velodyne
from monokd.kitti.images import read_image
from monokd.kitti.labels import read_labels
from monokd.params import Scenes
from monokd.scenes.generate import Frame, generate_scenes, render_frame
from monokd.scenes.layout import Placed
from monokd.typing import Floats
from tests.conftest import tree

SETTINGS = Scenes(train_frames=1, val_frames=1)
NEAR = SETTINGS.model_copy(update={"width_px": 621, "height_px": 188, "min_distance_m": 4.0, "max_distance_m": 25.0})


@pytest.fixture(scope="module")
def frames() -> list[Frame]:
    return [render_frame(5, number, SETTINGS) for number in range(12)]


@pytest.fixture(scope="module")
def near_frames() -> list[Frame]:
    return [render_frame(5, number, NEAR) for number in range(12)]


def labelled(frame: Frame) -> list[tuple[int, Placed, list[float]]]:
    """Index, solid and numbers of each labelled object of a frame."""
    found = []
    for line in frame.labels:
        name, *rest = line.split()
        numbers = [float(word) for word in rest]
        for index, placed in enumerate(frame.objects):
            if name == placed.name and numbers[10:13] == [*placed.location_m]:
                found.append((index, placed, numbers))
    return found


def camera_points(frame: Frame) -> Floats:
    return frame.calibration.velodyne_to_camera(frame.points[:, :3].astype(np.float64))


def test_the_folder_reads_as_kitti(tmp_path: Path) -> None:
    settings = Scenes(train_frames=2, val_frames=1, width_px=414, height_px=125)
    generate_scenes(tmp_path, settings, seed=3)
    assert read_split(tmp_path / "ImageSets" / "train.txt") == ["000000", "000001"]
    assert read_split(tmp_path / "ImageSets" / "val.txt") == ["000002"]
    folder = KittiFolder(tmp_path)
    assert folder.frames() == read_split(tmp_path / "ImageSets" / "trainval.txt")
    assert not (tmp_path / "ImageSets" / "unlabelled.txt").exists()
    for number, frame in enumerate(folder.frames()):
        rendered = render_frame(3, number, settings)
        assert (read_image(folder.image(frame)) == rendered.image).all()
        assert (read_velodyne(folder.velodyne(frame)) == rendered.points).all()
        assert len(read_labels(folder.label(frame))) == len(rendered.labels)
        np.testing.assert_array_equal(read_calibration(folder.calibration(frame)).P2, rendered.calibration.P2)


def test_labels_of_unlabelled_frames_lie_apart(tmp_path: Path) -> None:
    """Nothing that reads label_2 meets them, not even after a run in which the same frame was labelled."""
    settings = Scenes(train_frames=3, val_frames=1, width_px=310, height_px=94)
    generate_scenes(tmp_path, settings, seed=3)
    before = (tmp_path / "training/label_2/000002.txt").read_text()
    generate_scenes(tmp_path, settings.model_copy(update={"train_frames": 1, "unlabelled_frames": 2}), seed=3)
    names = {
        name: sorted(path.stem for path in (tmp_path / "training" / name).iterdir())
        for name in ("image_2", "label_2", "label_hidden")
    }
    assert names["image_2"] == ["000000", "000001", "000002", "000003"]
    assert names["label_2"] == ["000000", "000001"]
    assert names["label_hidden"] == read_split(tmp_path / "ImageSets/unlabelled.txt") == ["000002", "000003"]
    assert (tmp_path / "training/label_hidden/000002.txt").read_text() == before
    assert read_split(tmp_path / "ImageSets/trainval.txt") == ["000000", "000001"]


def test_labels_hold_the_pixels(frames: list[Frame], near_frames: list[Frame]) -> None:
    """What shows an object lies in its 2D box and touches the box's sides where the object is not occluded."""
    checked = 0
    for frame in [*frames, *near_frames]:
        owners = frame.triangles.owners
        shown = np.where(frame.view.triangle >= 0, owners[np.maximum(frame.view.triangle, 0)], -1)
        for index, _, numbers in labelled(frame):
            rows, columns = np.nonzero(shown == index)
            left, top, right, bottom = numbers[3:7]
            margins = columns.min() - left, right - columns.max(), rows.min() - top, bottom - rows.max()
            assert min(margins) >= -0.01
            if frame.view.visible_px[index] == frame.view.silhouette_px[index] and right - left > 20:
                assert max(margins) < 2.5
                checked += 1
    assert checked > 10


def test_the_projected_3d_box_encloses_the_2d_box(frames: list[Frame], near_frames: list[Frame]) -> None:
    for frame in [*frames, *near_frames]:
        for _, placed, numbers in labelled(frame):
            pose = (np.array([value]) for value in (placed.size_m, placed.location_m, placed.rotation_y_rad))
            outer = projected_boxes(box_corners(*pose), frame.calibration)[0]
            assert (outer[:2] <= np.array(numbers[3:5]) + 0.01).all()
            assert (outer[2:] >= np.array(numbers[5:7]) - 0.01).all()


def test_points_lie_on_objects_and_ground(frames: list[Frame]) -> None:
    """An object that is well seen has points in its 3D box, give or take noise; many lie on the ground, none below."""
    seen = 0
    for frame in frames:
        points = camera_points(frame)
        for index, placed, _ in labelled(frame):
            along, down, across = box_coordinates(points, np.array(placed.location_m), placed.rotation_y_rad).T
            height, width, length = placed.size_m
            inside = (np.abs(along) <= length / 2 + 0.1) & (np.abs(across) <= width / 2 + 0.1)
            if frame.view.visible_px[index] > 2000:
                assert (inside & (down < -0.15) & (down >= -height - 0.1)).sum() > 60
                seen += 1
        below = points[:, 1] - (1.65 + frame.road.bank * points[:, 0] + frame.road.pitch * points[:, 2])
        assert below.max() < 0.1
        assert 0.2 < (np.abs(below) < 0.05).mean() < 0.95
    assert seen > 10


def test_the_scan_sees_what_the_camera_sees_as_densely_as_kitti_s(frames: list[Frame]) -> None:
    """Projected points have the z-buffer's depth, but for the parallax at edges."""
    for frame in frames:
        pixels, depth = frame.calibration.project(camera_points(frame))
        u, v = np.rint(pixels).astype(int).T
        inside = (depth > 0) & (u >= 0) & (u < 1242) & (v >= 0) & (v < 375)
        assert 13_000 < inside.sum() < 26_000
        near = inside & (depth < 40)
        agree = np.abs(frame.view.inverse_depth[v[near], u[near]] * depth[near] - 1.0) < 0.03
        assert near.sum() > 10_000
        assert agree.mean() > 0.95


def test_truncation_is_the_projected_solid_s_share_outside(near_frames: list[Frame]) -> None:
    """Near objects are cut by the image's edges; labels say by how much, from the mesh's own projection."""
    truncated = 0
    for frame in near_frames:
        for _, placed, numbers in labelled(frame):
            pixels, depth = frame.calibration.project(placed.in_world(placed.template.corners).reshape(-1, 3))
            assert depth.min() > 0.5
            low, high = pixels.min(axis=0), pixels.max(axis=0)
            inside = np.clip(high, 0, (620, 187)) - np.clip(low, 0, (620, 187))
            assert abs(numbers[0] - (1 - inside.prod() / (high - low).prod())) < 0.006
            truncated += numbers[0] > 0.2
    assert truncated > 5


def test_files_do_not_depend_on_the_workers(tmp_path: Path) -> None:
    settings = Scenes(train_frames=2, val_frames=2, unlabelled_frames=1, width_px=310, height_px=94)
    for name, workers in (("one", 1), ("two", 2), ("again", 1)):
        generate_scenes(tmp_path / name, settings, seed=8, workers=workers)
    first = tree(tmp_path / "one")
    assert len(first) == 5 * 4 + 4 == len(set(first.values())) + 4  # one camera
    assert tree(tmp_path / "two") == first == tree(tmp_path / "again")
