"""A published checkpoint, imported and used from the command line, gives the published result files."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from monokd.commands.import_checkpoint import import_command
from monokd.commands.predict import predict_command
from monokd.kitti.labels import read_results
from monokd.samples.targets import CLASSES
from tests.models.test_decode import assert_same_lines, golden_frames


@pytest.mark.parametrize("prefix", ["", "module.centernet_rgb."])
def test_import_and_predict(
    golden_dir: Path, kitti_dir: Path, golden_weights: Callable[[int], dict[str, Tensor]], tmp_path: Path, prefix: str
) -> None:
    golden = np.load(golden_dir / "forward.npz")
    text = json.loads(str(golden["txt"]))
    tensors = {f"{prefix}{name}": tensor for name, tensor in golden_weights(int(golden["seed"])).items()}
    torch.save({"epoch": 1, "model_state": tensors, "optimizer_state": None}, tmp_path / "published.pth")
    import_command(tmp_path / "published.pth", tmp_path / "student.safetensors", part=None, classes=CLASSES)

    frames = golden_frames(golden)[: 1 if prefix else None]
    for frame in frames:
        image, calib = (kitti_dir / "training" / name for name in (f"image_2/{frame}.png", f"calib/{frame}.txt"))
        predict_command(
            tmp_path / "student.safetensors", image, calib, tmp_path / "found",
            draw=False, score_threshold=0.2, behaviour="published",
        )  # fmt: skip
        (tmp_path / "expected.txt").write_text("\n".join(text[f"{frame}.rgb"]) + "\n")
        assert_same_lines(read_results(tmp_path / f"found/{frame}.txt"), read_results(tmp_path / "expected.txt"))
