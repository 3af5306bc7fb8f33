"""Devices, precision, processes and reproducibility, through lightning-fabric."""

from __future__ import annotations

import os
import warnings
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

from monokd.losses.means import ALONE, Processes

if TYPE_CHECKING:
    from lightning_fabric import Fabric


def start(*, accelerator: Literal["auto", "cpu", "cuda"], precision: Literal["32", "bf16-mixed"], seed: int) -> Fabric:
    """A launched Fabric: one process here, or the ones that torchrun started, one a device.

    Kernels are deterministic and the seed is set, so that a run on the same machine gives the same bits.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True)
    # Deterministic mode also fills every new tensor with NaN, which finds reads of memory that nobody wrote; there are
    # none here (the numbers are the same without), and the filling takes 8 to 10 % of a step.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.backends.cudnn.benchmark = False
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from lightning_fabric import Fabric  # noqa: PLC0415  (its import takes two seconds)
        from lightning_fabric.strategies.ddp import DDPStrategy  # noqa: PLC0415

        world = int(os.environ.get("WORLD_SIZE", "1"))
        local = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
        fabric = Fabric(
            accelerator=accelerator,
            devices=local,
            num_nodes=max(world // local, 1),
            strategy=DDPStrategy(find_unused_parameters=True) if world > 1 else "auto",
            precision="32-true" if precision == "32" else precision,
        )
        fabric.launch()
    torch.manual_seed(seed)
    return fabric


def replicas_of(fabric: Fabric) -> Processes:
    """The processes of `fabric` as losses see them: normalisers are summed over all of them."""
    if fabric.world_size == 1:
        return ALONE

    def total(value: Tensor) -> Tensor:
        result = value.to(fabric.device, copy=True)
        torch.distributed.all_reduce(result)  # Fabric's own waits at a barrier first, and writes into its argument
        return result

    return Processes(fabric.world_size, total)
