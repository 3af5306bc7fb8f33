"""Small whole files of every kind, from which the broken ones are made."""

from __future__ import annotations

import io
import json
from dataclasses import asdict
from functools import cache

import cv2
import numpy as np
import torch
import yaml
from safetensors.torch import save
from torch import Tensor

from monokd.models.checkpoint import FORMAT, DetectorInfo, checksum
from monokd.models.detector import build_detector

LABELS = b"""\
Car 0.00 1 -1.57 100.00 120.50 300.25 220.75 1.50 1.60 3.90 -2.00 1.65 15.00 -1.70
Pedestrian 0.20 0 0.21 712.40 143.00 810.73 307.92 1.89 0.48 1.20 1.84 1.47 8.41 0.01
DontCare -1 -1 -10 503.89 169.71 590.61 190.13 -1 -1 -1 -1000 -1000 -1000 -10
"""
RESULTS = b"""\
Car -1 -1 -1.57 100.00 120.50 300.25 220.75 1.50 1.60 3.90 -2.00 1.65 15.00 -1.70 0.987654
Cyclist -1 -1 0.21 712.40 143.00 810.73 307.92 1.89 0.48 1.20 1.84 1.47 8.41 0.01 -3.5e-2
"""
CALIBRATION = b"""\
P0: 7.2e+02 0 6.1e+02 0 0 7.2e+02 1.8e+02 0 0 0 1 0
P2: 7.215377e+02 0.0e+00 6.095593e+02 4.485728e+01 0 7.215377e+02 1.72854e+02 2.163791e-01 0 0 1 2.745884e-03
R0_rect: 1 0 0 0 1 0 0 0 1
Tr_velo_to_cam: 0 -1 0 0.01 0 0 -1 -0.08 1 0 0 -0.27
Tr_imu_to_velo: 1 0 0 0 0 1 0 0 0 0 1 0

"""
SPLIT = b"000000\n000003\n000007\n001234\nframe_5\n"
DISTANCES = b"""\
iou,class,metric,difficulty,from_m,to_m,objects,ap,low,high
strict,Car,3d,hard,0,10,12,31.25,20.5,40.75
strict,Car,3d,hard,10,20,3,,,
"""
TRAINING = {
    "epochs": 3, "batch_size": 2, "optimiser": "adam", "learning_rate": 0.001, "weight_decay": 0.0, "schedule": "steps",
    "warmup_epochs": 0, "decay_epochs": [2], "gradient_clip": 0.0, "accumulate": 1, "flip": 0.5, "crop": 0.5,
    "jitter": True, "task_weights": False,
}  # fmt: skip
PROFILE = {
    "behaviour": "corrected",
    "depth": {"source": "lidar", "files": ""},
    "data": {"train_split": "train", "val_split": "val", "classes": ["Car"], "width_px": 320, "height_px": 96},
    "model": {"width": 0.25},
    **dict.fromkeys(("teacher", "baseline", "student"), TRAINING),
    "distillation": {"spearman": 1.0},
    "machine": {
        "accelerator": "cpu", "precision": "32", "channels_last": False, "compile": False, "sync_batch_norm": False,
        "workers": 0, "cache_images": False,
    },
    "predict": {"score_threshold": 0.2, "batch_size": 4},
    "evaluate": {"rule": "le", "bootstrap": 0},
}  # fmt: skip
PARAMS = {
    "profile": "demo", "loss": "monoskd", "seed": 7, "behaviour": "profile", "quirks": {"rank_teacher_only": True},
    "losses": {"monoskd": {"spearman": 1.0, "affinity": 2.5}}, "profiles": {"demo": PROFILE},
}  # fmt: skip
INFO = DetectorInfo(width=1 / 64, height_px=96, width_px=320)
STATE = {
    "epoch": 2,
    "step": {"weight": torch.arange(6.0).reshape(2, 3), "count": torch.tensor(3)},
    "optimiser": {"state": {0: {"step": 5, "mean": torch.ones(4)}}, "param_groups": [{"lr": 0.1, "params": [0]}]},
    "weights": {"tasks": {"history": [[1.0, 2.0]], "first_trend": None}, "means": {"heatmap": 1.5}},
    "rows": [{"epoch": 1.0, "lr": 0.1}],
    "random": torch.arange(64, dtype=torch.uint8),
}


def params() -> bytes:
    """params.yaml with one profile."""
    return yaml.dump(PARAMS, sort_keys=False, Dumper=_WithoutAliases).encode()


def scan() -> bytes:
    """A dozen points."""
    return np.random.default_rng(0).uniform(-60, 60, (12, 4)).astype("<f4").tobytes()


def images() -> tuple[bytes, ...]:
    """Two PNGs and a JPEG."""
    pixels = np.random.default_rng(0).integers(0, 255, (5, 9, 3), dtype=np.uint8)
    smooth = np.add.outer(np.arange(6), np.arange(7))[:, :, None].repeat(3, 2).astype(np.uint8)
    return tuple(cv2.imencode(suffix, image)[1].tobytes() for suffix, image in _pictures(pixels, smooth))


def depth_maps() -> tuple[bytes, ...]:
    """Two 16-bit PNGs."""
    noise = np.random.default_rng(1).integers(0, 65535, (5, 9), dtype=np.uint16)
    slope = np.add.outer(np.arange(6), np.arange(8)).astype(np.uint16) * 256
    return tuple(cv2.imencode(".png", image)[1].tobytes() for image in (noise, slope))


@cache
def tensors() -> dict[str, Tensor]:
    """The state of the smallest detector."""
    torch.manual_seed(0)
    return build_detector(INFO.width).state_dict()


def detector() -> bytes:
    """A model file."""
    words = {"format": FORMAT, **asdict(INFO), "crc32": checksum(tensors(), asdict(INFO))}
    return bytes(save(tensors(), metadata={"monokd": json.dumps(words)}))


def published() -> tuple[bytes, ...]:
    """A distillation checkpoint and a backbone, most tensors left out, as new and as old torch writes."""
    names = ("backbone.level5.root.conv.weight", "backbone.base_layer.1.running_var", "heatmap.2.bias")
    student = {f"centernet_rgb.{name}": tensors()[name].clone() for name in names}
    run = {"epoch": 149, "model_state": student | {"adapt_layer4.0.bias": torch.ones(3)}, "optimizer_state": {}}
    backbone = {name: tensors()[f"backbone.{name}"].clone() for name in ("base_layer.0.weight", names[0][9:])}
    return torch_file(run), torch_file(backbone), torch_file(run, new=False)


def torch_file(content: object, *, new: bool = True) -> bytes:
    """What torch.save writes."""
    stream = io.BytesIO()
    torch.save(content, stream, _use_new_zipfile_serialization=new)
    return stream.getvalue()


class _WithoutAliases(yaml.SafeDumper):
    def ignore_aliases(self, data: object) -> bool:
        return True


def _pictures(*images: np.ndarray) -> list[tuple[str, np.ndarray]]:
    return [(".png", images[0]), (".png", images[1]), (".jpg", images[1])]
