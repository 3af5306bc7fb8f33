"""Which device computes, and how."""

import os

import torch

from monokd.errors import DataError


def from_torchrun(name: str, default: int = 1) -> int:
    """Read a number that torchrun gives every process, such as WORLD_SIZE."""
    return int(os.environ.get(name, default))


def pick_accelerator(wanted: str, processes: int = 1) -> str:
    """Return cpu or cuda; `auto` takes CUDA where it is there, and the CPU everywhere else (Apple's GPUs lack float64).

    DataError where CUDA is wanted and not there, or this machine has fewer GPUs than `processes`.
    """
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if wanted == "cuda" and not gpus:
        reason = "expected a GPU for cuda, found none; cpu or auto run without"
        raise DataError(f"machine.accelerator or --accelerator: {reason}")
    if wanted == "cpu" or not gpus:
        return "cpu"
    if processes > gpus:
        raise DataError(f"expected at most one process a GPU, found {processes} processes for {gpus} GPUs")
    return "cuda"


def set_tf32(wanted: bool) -> None:
    """Let a GPU compute float32 convolutions by TF32, or exactly; training, prediction and benchmarks alike.

    torch's own default is TF32 for convolutions on GPUs that have it, and no TF32 for matrix products.
    """
    torch.backends.cudnn.allow_tf32 = wanted
    torch.backends.cuda.matmul.allow_tf32 = False


def set_threads(count: int) -> None:
    """Let the CPU compute with so many threads, 0 for one a core; results depend on their number by rounding."""
    if count:
        torch.set_num_threads(count)
