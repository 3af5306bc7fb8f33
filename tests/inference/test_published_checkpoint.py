"""A published checkpoint, imported and used from the command line, gives the published result files."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from monokd.commands.import_checkpoint import import_checkpoint
from monokd.commands.predict import predict
from monokd.kitti.labels import read_results
from tests.models.golden import golden_weights
from tests.models.test_decode import assert_same_lines, golden_frames


@pytest.mark.parametrize("prefix", ["", "module.centernet_rgb."])
def test_import_and_predict(golden_dir: Path, kitti_dir: Path, tmp_path: Path, prefix: str) -> None:
    golden = np.load(golden_dir / "forward.npz")
    text = json.loads(str(golden["txt"]))
    tensors = {f"{prefix}{name}": tensor for name, tensor in golden_weights(golden_dir, int(golden["seed"])).items()}
    torch.save({"epoch": 1, "model_state": tensors, "optimizer_state": None}, tmp_path / "published.pth")
    classes = "Pedestrian,Car,Cyclist"
    import_checkpoint(tmp_path / "published.pth", tmp_path / "student.safetensors", classes=classes)

    frames = golden_frames(golden)[: 1 if prefix else None]
    for frame in frames:
        image, calib = (kitti_dir / "training" / name for name in (f"image_2/{frame}.png", f"calib/{frame}.txt"))
        predict(tmp_path / "student.safetensors", image, calib, tmp_path / "found", score_decimals=2)
        (tmp_path / "expected.txt").write_text("\n".join(text[f"{frame}.rgb"]) + "\n")
        assert_same_lines(read_results(tmp_path / f"found/{frame}.txt"), read_results(tmp_path / "expected.txt"))
