"""The printed table: figures, intervals, and a note on what needs explaining."""

from __future__ import annotations

from pathlib import Path

import pytest

from monokd.commands.evaluate import evaluate_command
from monokd.evaluation.evaluate import evaluate_folders
from tests.evaluation.cases import Line, line, place, write_frames


def test_the_table_shows_every_class(folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    evaluate_command(*folders)
    out, err = capsys.readouterr()
    ap = evaluate_folders(*folders).ap(("strict", "Car", "3d_R40", "easy"))
    assert "Car: AP in percent, 45 frames, rule le" in out
    assert f" {ap:.2f} " in out
    assert " 0.00*" in out
    assert "3d 0.70" in out
    assert "Pedestrian: no detections, no result." in out
    assert "bev 0.25" in out
    assert err == ""


def test_the_few_objects_rule_is_explained_only_where_it_bites(
    tmp_path: Path, folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    evaluate_command(*folders)
    assert "Fewer than 41 objects count (Cyclist easy: 1" in " ".join(capsys.readouterr().out.split())
    many = [[line(**place(k), score=1) for k in range(3)] for _ in range(20)]
    bare: list[list[Line]] = [[line(**place(k)) for k in range(3)] for _ in range(20)]
    evaluate_command(write_frames(tmp_path / "a", bare), write_frames(tmp_path / "b", many))
    assert "Fewer than" not in capsys.readouterr().out
