"""Small whole files of the formats that others write, from which the broken ones are made."""

import io
from pathlib import Path

import cv2
import numpy as np
import torch

from tests.conftest import ROOT, write_detector

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

"""


RANDOM = np.random.default_rng(0)
SCAN = RANDOM.uniform(-60, 60, (12, 4)).astype("<f4").tobytes()
PIXELS = RANDOM.integers(0, 255, (5, 9, 3), dtype=np.uint8)
PNG, JPEG = (cv2.imencode(suffix, PIXELS)[1].tobytes() for suffix in (".png", ".jpg"))
DEPTH_MAP = cv2.imencode(".png", RANDOM.integers(0, 65535, (5, 9), dtype=np.uint16))[1].tobytes()
PARAMS = (ROOT / "params.yaml").read_bytes()


def detector(folder: Path) -> bytes:
    """A model file."""
    return write_detector(folder / "seed.safetensors", width=1 / 64).read_bytes()


def checkpoint(*, new: bool = True) -> bytes:
    """A training checkpoint as new and as old torch writes it."""
    stream = io.BytesIO()
    content = {"epoch": 149, "model_state": {"heatmap.2.bias": torch.ones(3), "backbone.x": torch.ones(2, 3)}}
    torch.save(content, stream, _use_new_zipfile_serialization=new)
    return stream.getvalue()
