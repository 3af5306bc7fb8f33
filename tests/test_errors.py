"""The one line that a user sees where something is wrong."""

import pickle
from pathlib import Path

import pytest

from monokd.errors import DataError, run


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
