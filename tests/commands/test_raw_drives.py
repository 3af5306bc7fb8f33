"""Raw drives in the commands that work on frames."""

from pathlib import Path

import cv2
import numpy as np

from monokd.commands.densify import densify
from monokd.commands.predict import predict
from monokd.commands.show import show
from monokd.kitti.images import read_depth
from tests.conftest import write_detector
from tests.kitti.worlds import DRIVE, write_calibration, write_drive


def test_raw_drives_are_densified_predicted_and_shown(tmp_path: Path) -> None:
    root, frame = tmp_path / "raw", f"{DRIVE}_0000000003"
    write_calibration(root)
    write_drive(root, DRIVE, [3, 4])
    densify(root, tmp_path / "depth", workers=1)
    assert np.median(read_depth(tmp_path / f"depth/{frame}.png")[10:30]) > 9
    predict(write_detector(tmp_path / "model.safetensors"), root, root, tmp_path / "found", score_threshold=0.0)
    assert sorted(path.stem for path in (tmp_path / "found").iterdir()) == [frame, f"{DRIVE}_0000000004"]
    show(root, frame, [tmp_path / "found"], tmp_path / "frame.png")
    assert cv2.imread(str(tmp_path / "frame.png")) is not None
