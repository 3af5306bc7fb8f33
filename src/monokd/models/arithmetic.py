"""How devices compute."""

import torch


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
