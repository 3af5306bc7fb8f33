"""Cameras: read, written, inverted, refused."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monokd.errors import DataError
from monokd.kitti.calibration import Calibration, read_calibration, write_calibration

P2 = np.array([[721.5377, 0, 609.5593, 44.85728], [0, 721.5377, 172.854, 0.2163791], [0, 0, 1, 0.002745884]])
SCANNER = np.array([[0.0, -1, 0, 0.01], [0, 0, -1, -0.08], [1, 0, 0, -0.27]])
CAMERA = Calibration(P2, np.eye(3), SCANNER)


def test_written_file_reads_back(tmp_path: Path) -> None:
    write_calibration(tmp_path / "a.txt", CAMERA)
    found = read_calibration(tmp_path / "a.txt")
    for name in ("P2", "R0_rect", "Tr_velo_to_cam"):
        np.testing.assert_allclose(getattr(found, name), getattr(CAMERA, name), rtol=1e-12)
    assert (tmp_path / "a.txt").read_text().endswith("\n\n")  # as KITTI's own files


def test_scanner_to_camera_by_hand() -> None:
    """Ahead becomes z, left becomes −x, up becomes −y, then the lever arm."""
    np.testing.assert_allclose(CAMERA.velodyne_to_camera(np.array([[10.0, 2.0, 1.0]])), [[-1.99, -1.08, 9.73]])


@given(st.floats(-30, 30), st.floats(-3, 3), st.floats(1, 90))
@settings(deadline=None)
def test_unproject_inverts_project(x: float, y: float, z: float) -> None:
    point = np.array([[x, y, z]])
    pixels, depth = CAMERA.project(point)
    assert depth[0] == pytest.approx(z + P2[2, 3])
    np.testing.assert_allclose(CAMERA.unproject(pixels, point[:, 2]), point, atol=1e-8)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("P2: 7", "P9: 7"), "expected a line 'P2: …', found none"),
        (("R0_rect: 1", "R0_rect: 5"), "R0_rect: expected a rotation"),
        (("R0_rect: 1", "R0_rect: x"), r"a\.txt:5: R0_rect: expected finite numbers up to 100000, found 'x"),
        (("P2: 7", "P2: inf 7"), r"a\.txt:3: P2: expected 12 numbers, found 13"),
        (("P2: 7.2", "P2: 0.2"), "P2: expected focal lengths"),
        (("P2: 7.215377000000e+02", "P2: nan"), "expected finite numbers up to 100000, found 'nan'"),
    ],
)
def test_broken_files(tmp_path: Path, change: tuple[str, str], says: str) -> None:
    path = tmp_path / "a.txt"
    write_calibration(path, CAMERA)
    text = path.read_text()
    assert change[0] in text
    path.write_text(text.replace(*change))
    with pytest.raises(DataError, match=says):
        read_calibration(path)
    path.write_bytes(b"\xff")
    with pytest.raises(DataError, match="not ASCII"):
        read_calibration(path)
    with pytest.raises(DataError, match="no such calibration"):
        read_calibration(tmp_path / "absent.txt")
