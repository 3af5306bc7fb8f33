"""Reads the published code's inputs and numbers from losses.npz into this project's types."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from monokd.models.outputs import DetectorOutput, RoiOutput, Rois
from monokd.samples.batch import Targets
from tests.models.golden import MAP_KEYS, ROI_KEYS


def load(path: Path) -> dict[str, Any]:
    """Every array of an npz file: numbers as tensors, names as they are."""
    with np.load(path) as file:
        return {k: file[k] if file[k].dtype.kind == "U" else torch.as_tensor(file[k]) for k in file.files}


def levels(numbers: Mapping[str, Any], name: str) -> list[Tensor]:
    """name_0, name_1, … as far as they go."""
    return [numbers[f"{name}_{i}"].clone() for i in range(10) if f"{name}_{i}" in numbers]


def output(numbers: Mapping[str, Any], side: str, *, leaves: bool) -> DetectorOutput:
    """A detector output of `student` or `teacher`, whose tensors collect gradients if they are leaves."""

    def get(name: str) -> Tensor:
        tensor: Tensor = numbers[f"out_{side}_{name}"].clone()
        return tensor.requires_grad_(leaves)

    frame, slot = numbers["target_mask_2d"].nonzero(as_tuple=True)
    rois = Rois(frame, numbers["target_indices"][frame, slot], torch.zeros_like(frame))
    roi = RoiOutput(**{field: get(key) for key, field in ROI_KEYS.items()})
    return DetectorOutput(get("heatmap"), get("offset_2d"), get("size_2d"), rois, roi, (), ())


def gradients(out: DetectorOutput) -> dict[str, Tensor]:
    """Gradients of an output's leaves by the published names, where there are any."""
    leaves = {key: getattr(out, key) for key in MAP_KEYS}
    leaves |= {key: getattr(out.roi, field) for key, field in ROI_KEYS.items()}
    return {key: leaf.grad for key, leaf in leaves.items() if leaf.grad is not None}


def targets(numbers: Mapping[str, Any]) -> Targets:
    """The targets of the file's batch."""
    t = {key.removeprefix("target_"): value for key, value in numbers.items() if key.startswith("target_")}
    same = ("heatmap", "indices", "mask_2d", "size_2d", "offset_2d", "offset_3d", "size_3d")
    return Targets(
        **{name: t[name] for name in same},
        class_ids=torch.zeros_like(t["indices"]),
        boxes_px=t["box2d_gt"],
        heading_bin=t["heading_bin"][..., 0],
        heading_residual_rad=t["heading_res"][..., 0],
        depth_m=t["depth"][..., 0],
        vis_depth_m=t["vis_depth"] * t["depth_mask"],
        object_count=t["obj_num"],
        weight=torch.ones_like(t["mask_2d"], dtype=torch.float32),
        axis_only=torch.zeros_like(t["mask_2d"], dtype=torch.bool),
        ignore=torch.zeros_like(t["heatmap"][:, 0], dtype=torch.bool),
    )


def error(found: Tensor, expected: Tensor | np.ndarray, scale: float | None = None) -> float:
    """Largest difference, relative to the largest expected number (or to `scale`)."""
    expected = torch.as_tensor(expected).double()
    difference = (found.detach().double() - expected).abs().max().item()
    return difference / (scale or expected.abs().max().item())
