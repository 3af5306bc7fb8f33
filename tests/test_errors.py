"""The one line that a user sees where something is wrong."""

import pickle
from pathlib import Path

import pytest

from monokd.errors import INTERRUPTED, DataError, printable, run


def test_a_message_names_file_and_line_and_stays_one_line() -> None:
    error = DataError("expected a number,\nfound 'x'", Path("a/b.txt"), 7)
    assert str(error) == "a/b.txt:7: expected a number, found 'x'"


def test_an_error_crosses_processes_unchanged() -> None:
    error = DataError("expected a number", "b.txt", 7)
    copy = pickle.loads(pickle.dumps(error))
    assert (str(copy), copy.path, copy.line) == (str(error), error.path, error.line)


def test_a_program_ends_with_one_line_and_status_2(capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        raise DataError("expected a folder", "nowhere")

    with pytest.raises(SystemExit) as ended:
        run(fail)
    assert ended.value.code == 2
    assert capsys.readouterr().err == "monokd: nowhere: expected a folder\n"


def test_a_file_error_ends_the_same_way(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as ended:
        run((tmp_path / "absent").read_text)
    assert ended.value.code == 2
    assert capsys.readouterr().err == f"monokd: {tmp_path}/absent: No such file or directory\n"


def test_a_mistake_of_ours_is_not_hidden() -> None:
    def fail() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run(fail)


@pytest.mark.parametrize(("error", "code"), [(KeyboardInterrupt(), INTERRUPTED), (MemoryError("of 8 GB"), 2)])
def test_interruption_and_want_of_memory_are_one_line_too(
    error: BaseException, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise error

    with pytest.raises(SystemExit) as ended:
        run(fail)
    assert ended.value.code == code
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_message_is_text_that_a_terminal_shows_as_it_is() -> None:
    assert printable("a\x1b[31m\x07b\r\nc\u202ed\udcff ü") == r"a\x1b[31m\x07b c\u202ed\udcff ü"
