"""`monokd evaluate`: what it prints, writes and refuses."""

import json
from pathlib import Path

import pytest

from monokd.commands.evaluate import evaluate, frames_of
from monokd.errors import DataError
from monokd.evaluation.evaluate import evaluate_results, read_result_set
from monokd.evaluation.table import ap_table, table_json
from tests.evaluation.cases import ap


def test_json_is_what_the_library_says(folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    evaluate(*folders, rule="lt", json_output=True)
    evaluation = evaluate_results(read_result_set(*folders), "lt")
    assert json.loads(capsys.readouterr().out) == table_json(evaluation, ap_table(evaluation))


def test_the_table_shows_every_class(folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    evaluate(*folders)
    out, err = capsys.readouterr()
    score = f" {ap(evaluate_results(read_result_set(*folders)), '3d', 'easy'):.2f} "
    for text in ("Car: AP in percent, 45 frames, rule le", score, " 0.00*", "3d 0.70", "bev 0.25"):
        assert text in out
    assert "Pedestrian: no detections, no result." in out
    assert "Fewer than 41 objects count (Cyclist easy: 1" in " ".join(out.split())
    assert err == ""


def test_bootstrap_adds_intervals_and_differences_beside_the_fixed_form(
    folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    evaluate(*folders, json_output=True, bootstrap=50, seed=3)
    content = json.loads(capsys.readouterr().out)
    assert list(content) == ["frames", "rule", "strict", "loose", "bootstrap"]
    assert (content["bootstrap"]["resamples"], content["bootstrap"]["seed"]) == (50, 3)
    low, high = content["bootstrap"]["strict"]["Car"]["3d_R40"]["easy"]
    assert low <= content["strict"]["Car"]["3d_R40"]["easy"] <= high
    assert content["bootstrap"]["strict"]["Pedestrian"]["3d_R40"]["easy"] is None
    evaluate(*folders, json_output=True, against=folders[1])
    content = json.loads(capsys.readouterr().out)
    assert (content["bootstrap"]["resamples"], content["difference"]["against"]) == (1000, str(folders[1]))
    assert content["difference"]["strict"]["Car"]["3d_R40"]["easy"] == {"value": 0, "low": 0, "high": 0}
    evaluate(*folders, against=folders[1], bootstrap=20)
    assert "+0.00 [+0.00, +0.00]" in capsys.readouterr().out


def test_groups_are_resampled_whole(
    folders: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    drives, table = tmp_path / "drives.txt", tmp_path / "ap.csv"
    drives.write_text("".join(f"{k:06d} drive_{k // 15}\n" for k in range(45)))
    evaluate(*folders, groups=drives, json_output=True, bootstrap=20, csv=table)
    content = json.loads(capsys.readouterr().out)
    assert [content["bootstrap"][key] for key in ("resamples", "seed", "groups")] == [20, 0, 3]
    header, *rows = table.read_text().splitlines()
    assert header.startswith("iou,class,metric,points,difficulty,ap,low,high,difference")
    assert len(rows) == 2 * 3 * 4 * 2 * 3
    drives.write_text("000000 drive_0\n")
    with pytest.raises(DataError, match="expected a group for each frame, found none for 44, first 000001"):
        evaluate(*folders, groups=drives)


def test_missing_files_and_unknown_classes_are_one_warning_each(
    folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    for k in range(7):
        (folders[1] / f"{k:06d}.txt").unlink()
    with (folders[1] / "000008.txt").open("a") as stream:
        for name in ("Bus", "Wheelchair", "Bus"):
            stream.write(f"{name} 0 0 0 700 100 800 200 1.5 1.6 3.9 40 1.7 20 0 0.99\n")
    evaluate(*folders, json_output=True)
    missing, unknown = sorted(capsys.readouterr().err.splitlines(), key=lambda line: "classes" in line)
    assert "7 of 45 frames have no result file and count as empty: 000000, 000001, 000002, 000003, 000004, …" in missing
    assert "classes that KITTI does not know count as other classes: Bus (2 lines), Wheelchair (1 line)" in unknown


def test_a_split_is_a_name_or_a_file(
    folders: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (len(frames_of("val")), len(frames_of("train"))) == (3769, 3712)
    with pytest.raises(DataError, match="expected train, val, trainval or a file of frame ids, found 'vall'"):
        frames_of("vall")
    (tmp_path / "some.txt").write_text("000003\n000001\n")
    evaluate(*folders, split=str(tmp_path / "some.txt"), json_output=True)
    assert json.loads(capsys.readouterr().out)["frames"] == 2
