"""The one line that a user sees where something is wrong."""

from pathlib import Path

import pytest
import torch

from monokd.errors import INTERRUPTED, DataError, run


def test_a_message_names_file_and_line_and_stays_one_line() -> None:
    error = DataError("expected a number,\nfound 'x'", Path("a/b.txt"), 7)
    assert str(error) == "a/b.txt:7: expected a number, found 'x'"


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (DataError("expected a folder", "nowhere"), 2, "nowhere: expected a folder"),
        (FileNotFoundError(2, "No such file or directory", "absent"), 2, "absent: No such file or directory"),
        (MemoryError("of 8 GB"), 2, "not enough memory: of 8 GB"),
        (
            RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB.\nSee PYTORCH_CUDA_ALLOC_CONF"), 2,
            "not enough memory, a lower batch_size needs less: CUDA out of memory. Tried to allocate 2.00 GiB.",
        ),
        (KeyboardInterrupt(), INTERRUPTED, "interrupted"),
    ],
)  # fmt: skip
def test_a_program_ends_with_one_line_and_a_status(
    error: BaseException, code: int, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise error

    with pytest.raises(SystemExit) as ended:
        run(fail)
    assert ended.value.code == code
    assert capsys.readouterr().err == f"monokd: {line}\n"


@pytest.mark.parametrize("kind", [ZeroDivisionError, RuntimeError])
def test_a_mistake_of_ours_is_not_hidden(kind: type[Exception]) -> None:
    def fail() -> None:
        raise kind

    with pytest.raises(kind):
        run(fail)


def test_what_torch_says_where_memory_ends_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run(lambda: torch.empty(10**15))
    assert "not enough memory, a lower batch_size needs less" in capsys.readouterr().err
