"""Which device is taken, and what is said where it cannot be; no GPU is needed to test it."""

from contextlib import nullcontext

import pytest
import torch

from monokd.errors import DataError
from monokd.models.arithmetic import pick_accelerator, set_tf32
from monokd.params import Machine, Training
from monokd.quirks import Quirks
from monokd.training import devices
from monokd.training.stage import chunking


@pytest.mark.parametrize(
    ("wanted", "gpus", "processes", "taken"),
    [
        ("auto", 0, 1, "cpu"),
        ("auto", 2, 2, "cuda"),
        ("cpu", 2, 4, "cpu"),
        ("cuda", 1, 1, "cuda"),
        (
            "cuda",
            0,
            1,
            "machine.accelerator or --accelerator: expected a GPU for cuda, found none; cpu or auto run without",
        ),
        ("auto", 1, 2, "expected at most one process a GPU, found 2 processes for 1 GPUs"),
    ],
)
def test_cuda_where_it_is_there_and_wanted(
    monkeypatch: pytest.MonkeyPatch, wanted: str, gpus: int, processes: int, taken: str
) -> None:
    """On a machine that pretends to have as many GPUs."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    with pytest.raises(DataError, match=taken) if " " in taken else nullcontext():
        assert pick_accelerator(wanted, processes) == taken


@pytest.mark.parametrize("tf32", [True, False])
def test_one_switch_decides_on_tf32_convolutions(tf32: bool) -> None:
    before = torch.backends.cudnn.allow_tf32
    try:
        set_tf32(tf32)
        assert torch.backends.cudnn.allow_tf32 == tf32
        assert not torch.backends.cuda.matmul.allow_tf32
    finally:
        torch.backends.cudnn.allow_tf32 = before


@pytest.mark.parametrize("fast", [True, False])
def test_bfloat16_on_a_cpu_without_it_is_slow_and_a_line_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], fast: bool
) -> None:
    for name in ("set_tf32", "set_threads", "make_deterministic"):
        monkeypatch.setattr(devices, name, lambda *_: None)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: fast)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    machine = Machine.model_construct(accelerator="cpu", precision="bf16-mixed", tf32=False, threads=0)
    devices.start(machine, seed=0)
    assert ("no bfloat16 instructions" in capsys.readouterr().err) != fast


@pytest.mark.parametrize(
    ("batch", "chunk", "processes", "result"),
    [
        (16, 4, 1, (4, 1)),
        (16, 4, 4, (1, 1)),
        (16, 4, 8, (1, 2)),
        (16, 0, 2, (1, 2)),
        (16, 4, 3, "params.yaml: batch_size: expected a multiple of the 3 processes, found 16"),
        (16, 3, 2, "params.yaml: chunk_frames: expected to divide the 8 frames of a process, or to be a multiple"),
        (12, 4, 6, (1, 2)),
        (12, 8, 6, "params.yaml: chunk_frames: expected to divide the 2 frames"),
    ],
)
def test_processes_share_a_batch_and_its_chunks(
    batch: int, chunk: int, processes: int, result: tuple[int, int] | str
) -> None:
    """Chunks a process computes in a step, and processes that share one; what does not fit is one line."""
    settings = Training.model_construct(batch_size=batch, chunk_frames=chunk)
    if isinstance(result, str):
        with pytest.raises(DataError, match=result):
            chunking(settings, Quirks.of("published"), processes)
    else:
        assert chunking(settings, Quirks.of("published"), processes) == result
