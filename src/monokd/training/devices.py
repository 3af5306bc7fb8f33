"""Devices, precision, processes and reproducibility, through lightning-fabric."""

import os
import warnings

import torch
from lightning_fabric import Fabric
from lightning_fabric.strategies.ddp import DDPStrategy
from torch import Tensor

from monokd.errors import say
from monokd.losses.means import Processes
from monokd.models.arithmetic import from_torchrun, pick_accelerator, set_tf32, set_threads
from monokd.params import Machine


def start(machine: Machine, seed: int) -> Fabric:
    """Launch Fabric: one process here, or the ones that torchrun started, one a device.

    Kernels are deterministic and the seed is set, so that a run on the same machine gives the same bits.

    Raises:
        DataError: CUDA is wanted and not there, or there are more processes than GPUs.
    """
    world, local = from_torchrun("WORLD_SIZE"), from_torchrun("LOCAL_WORLD_SIZE")
    accelerator = pick_accelerator(machine.accelerator, local)
    set_tf32(machine.tf32)
    set_threads(machine.threads)
    make_deterministic()
    fast_bfloat16 = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    if accelerator == "cpu" and machine.precision == "bf16-mixed" and not fast_bfloat16:
        say("precision bf16-mixed: this CPU has no bfloat16 instructions, so it is slower than 32")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fabric = Fabric(
            accelerator=accelerator,
            devices=local,
            num_nodes=max(world // local, 1),
            strategy=DDPStrategy(find_unused_parameters=True) if world > 1 else "auto",
            precision="32-true" if machine.precision == "32" else "bf16-mixed",
        )
        fabric.launch()
    torch.manual_seed(seed)
    return fabric


def make_deterministic() -> None:
    """Take deterministic kernels alone."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True)
    # Deterministic mode also fills every new tensor with NaN, to find reads of memory that nobody wrote; there are none
    # here (the numbers are the same without), and the filling takes 8 to 10 % of a step.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.backends.cudnn.benchmark = False


def neighbours(fabric: Fabric, count: int) -> Processes:
    """Return the `count` processes, a divisor of all, that compute with this one; every process must call it."""
    if count == 1:
        return Processes()
    group = None if count == fabric.world_size else torch.distributed.new_subgroups(count)[0]  # type: ignore[no-untyped-call]

    def total(value: Tensor) -> Tensor:
        result = value.to(fabric.device, copy=True)
        torch.distributed.all_reduce(result, group=group)  # Fabric's own waits at a barrier and changes its argument
        return result

    return Processes(count, total)
