"""Depth PNGs: lossless and checked."""

from pathlib import Path

import numpy as np

from monokd.depth.png import encode_depth, write_depth
from monokd.kitti.images import read_depth


def test_metres_times_256_rounded_and_clipped_read_back_as_they_were(tmp_path: Path) -> None:
    depth_m = np.array([[0, 1, 1 / 1024, 2.0 + 0.6 / 256, 300.0]], np.float32)
    assert encode_depth(depth_m).tolist() == [[0, 256, 1, 513, 65535]]
    depth_m = np.random.default_rng(0).integers(0, 65536, (37, 53)).astype(np.float32) / np.float32(256)
    write_depth(tmp_path / "a" / "000001.png", depth_m)
    np.testing.assert_array_equal(read_depth(tmp_path / "a" / "000001.png"), depth_m)
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["000001.png"]
