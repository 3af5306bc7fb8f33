"""The whole evaluation: against the official kit's figures, plain Python, and cases with known answers."""

import json
import math
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monokd.errors import DataError
from monokd.evaluation.evaluate import evaluate_results, read_result_set
from monokd.evaluation.rules import CLASSES, IOU_SETS, METRICS, defined_metrics
from tests.evaluation.cases import Line, all_aps, ap, dont_care, extract_texts, line, place, score, table
from tests.evaluation.reference import Reference

LEVELS = ("easy", "moderate", "hard")


def test_published_results_score_as_the_official_kit_says(kitti_eval_dir: Path, tmp_path: Path) -> None:
    """Every figure that the official development kit prints, by both of its rules, to 1e-6 points."""
    results = extract_texts(kitti_eval_dir / "pointgnn_car.tar.xz", tmp_path / "results")
    frames = sorted(path.stem for path in results.iterdir())
    labels = extract_texts(kitti_eval_dir / "label_2.tar.xz", tmp_path / "labels", set(frames))
    official = json.loads((kitti_eval_dir / "pointgnn_car.official.json").read_text())
    result_set = read_result_set(labels, results, frames)
    assert result_set.warnings(results) == []
    for rule, classes in official.items():
        aps = all_aps(evaluate_results(result_set, rule))
        for name, metrics in classes.items():
            for metric, figures in metrics.items():
                ours = [aps["strict", name, *metric.split("_"), level] for level in LEVELS]
                assert ours == (pytest.approx(figures, abs=1e-6) if figures else [None] * 3), (rule, name, metric)


# --- against plain Python -------------------------------------------------------------------------------------------

coarse = st.integers(0, 4)


@st.composite
def objects(draw: st.DrawFn, scored: bool) -> Line:
    """Objects on a coarse grid, so that overlaps, ties and limits happen all the time.

    Sizes are odd so that no overlap on the ground equals a limit but for rounding, which differs between programs.
    """
    names = ["Car", "car", "Van", "Pedestrian", "PERSON_SITTING", "Cyclist", "Truck", "Bus"]
    left, top = 30.0 * draw(coarse), 10.0 * draw(coarse)
    height = draw(st.sampled_from([24.0, 25.0, 30.0, 40.0, 41.0, 80.0]))
    width = draw(st.sampled_from([40.0, 60.0, 80.0]))
    if not scored and draw(st.integers(0, 5)) == 0:
        return dont_care((left, top, left + 2 * width, top + 2 * height))
    return line(
        draw(st.sampled_from(names)),
        box=(left, top, left + width, top + height),
        size=(1.5, draw(st.sampled_from([1.53, 1.71])), draw(st.sampled_from([3.51, 4.03]))),
        location=(0.47 * draw(coarse), 1.5 + 0.13 * draw(coarse), 10 + 0.47 * draw(coarse)),
        rotation=draw(st.sampled_from([0.0, 0.3, math.pi / 2, math.pi])),
        alpha=draw(st.sampled_from([-1.5, 0.0, 0.1, 3.0])),
        truncation=draw(st.sampled_from([0.0, 0.0, 0.15, 0.3, 0.31, 0.5, 0.6])),
        occlusion=draw(st.sampled_from([0.0, 0.0, 1.0, 2.0, 3.0])),
        score=draw(st.integers(-3, 3)) / 2 if scored else math.nan,
    )


frame = st.tuples(st.lists(objects(scored=False), max_size=6), st.lists(objects(scored=True), max_size=8))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(frames=st.lists(frame, min_size=1, max_size=4), rule=st.sampled_from(["le", "lt"]))
def test_any_small_case_scores_as_plain_python_does(frames: list[tuple[list[Line], list[Line]]], rule: str) -> None:
    """The incremental matching equals the rules followed one threshold at a time, on crowded frames full of ties."""
    labels, results = [frame[0] for frame in frames], [frame[1] for frame in frames]
    aps = all_aps(score(labels, results, rule))
    for iou, name, metric, level in product(IOU_SETS, CLASSES, METRICS, LEVELS):
        reference = Reference(labels, results, name, metric, level, iou == "loose", rule)
        expected = reference.ap() if reference.defined() else (math.nan, math.nan)
        for points, value in zip(("R40", "R11"), expected, strict=True):
            wanted = None if math.isnan(value) else pytest.approx(value, abs=1e-9)
            assert aps[iou, name, metric, points, level] == wanted, (iou, name, metric, points, level)


def test_many_objects_score_as_plain_python_does() -> None:
    """More hits than the 41 thresholds, which then stand nearest to multiples of 1/40 of recall."""
    random = np.random.default_rng(0)
    labels = [[line(**place(k)) for k in range(3)] for _ in range(40)]
    results = [[line(**place(k, score=random.random())) for k in range(4) if random.random() < 0.8] for _ in labels]
    evaluation = score(labels, results)
    means = ap(evaluation, "bbox"), ap(evaluation, "bbox", points="R11")
    assert means == pytest.approx(Reference(labels, results, "Car", "bbox", "moderate", False, "le").ap())


def test_metrics_need_a_box_of_their_kind() -> None:
    flat: Line = line(size=(-1, -1, -1), location=(-1000, -1000, -1000), score=1)
    assert defined_metrics(table([[flat]]), "Car") == ("bbox", "aos")
    assert defined_metrics(table([[line(location=(0, -1000, 20), score=1)]]), "Car") == ("bev", "bbox", "aos")
    assert defined_metrics(table([[line(box=(-1, 0, 50, 50), score=1)]]), "Car") == ("3d", "bev")
    assert defined_metrics(table([[line(score=1)], [line("Van", alpha=-10, score=1)]]), "Car") == ("3d", "bev", "bbox")
    assert defined_metrics(table([[line(score=1)]]), "Cyclist") == ()


# --- cases with known answers ---------------------------------------------------------------------------------------


def perfect(count: int, **label: Any) -> tuple[list[list[Line]], list[list[Line]]]:
    labels = [[line(**place(k % 5), **label)] for k in range(count)]
    results = [[line(**place(k % 5), score=1 - k / 1000)] for k in range(count)]
    return labels, results


@pytest.mark.parametrize(
    "count, r40, r11", [(1, 0, 100 / 11), (2, 2.5, 100 / 11), (40, 97.5, 1000 / 11), (41, 100, 100), (60, 100, 100)]
)
def test_a_perfect_detector_needs_41_objects(count: int, r40: float, r11: float) -> None:
    """The few-objects rule: each true positive gives at most one of the 41 samples."""
    evaluation = score(*perfect(count))
    for metric in ("bbox", "bev", "3d", "aos"):
        assert ap(evaluation, metric) == pytest.approx(r40)
        assert ap(evaluation, metric, points="R11") == pytest.approx(r11)


ONE_WRONG = pytest.approx(100 * 41 / 42)  # 41 are right and a surer one is wrong: the envelope takes 41 / 42 everywhere


def test_aos_weighs_true_positives_by_their_angle_and_needs_every_angle() -> None:
    """One unknown angle of any class leaves it undefined for all."""
    labels = [[line()] for _ in range(41)]
    results = [[line(alpha=math.pi / 3, score=1)] for _ in range(41)]
    assert ap(score(labels, results), "aos") == pytest.approx(100 * (1 + 0.5) / 2)
    results[17].append(line("Cyclist", score=0.1, alpha=-10))
    evaluation = score(labels, results)
    assert ap(evaluation, "aos") is ap(evaluation, "aos", "easy", name="Cyclist") is None
    assert ap(evaluation, "bbox") == 100


@pytest.mark.parametrize("left, bbox", [(710, 100), (635, ONE_WRONG)])
def test_dont_care_forgives_by_the_share_of_the_detection_and_in_the_image_only(left: float, bbox: float) -> None:
    """The first lies inside a region many times its size, of the second 35 % do."""
    labels, results = perfect(41)
    labels[3].append(dont_care((700, 0, 1700, 1000)))
    results[3].insert(0, line(box=(left, 110, left + 100, 210), location=(50, 1.7, 30), score=5))
    evaluation = score(labels, results)
    assert ap(evaluation, "bbox") == ap(evaluation, "aos") == bbox
    assert ap(evaluation) == ONE_WRONG


# --- folders --------------------------------------------------------------------------------------------------------


def test_missing_files_are_empty_and_unknown_classes_do_not_count(folders: tuple[Path, Path]) -> None:
    """What is said of them is a matter of the command's tests."""
    labels, results = folders
    (results / "000007.txt").write_text("")
    before = all_aps(evaluate_results(read_result_set(labels, results)))
    (results / "000007.txt").unlink()
    with (results / "000004.txt").open("a") as stream:
        stream.write("Bus 0 0 0 700 100 800 200 1.5 1.6 3.9 40 1.7 20 0 0.99\n" * 2)
    assert all_aps(evaluate_results(read_result_set(labels, results))) == before


def test_chosen_frames_in_their_order(folders: tuple[Path, Path]) -> None:
    chosen = evaluate_results(read_result_set(*folders, ["000003", "000002"]))
    assert chosen.frames == ("000003", "000002")
    assert chosen.curves["strict", "Car", "3d", "easy"].objects == 2


def test_wrong_folders_and_arguments_are_refused(folders: tuple[Path, Path], tmp_path: Path) -> None:
    labels, results = folders
    wrong: dict[str, Any] = {
        "expected a folder of label files": {"labels": tmp_path / "none"},
        r"expected label files \*\.txt, found none": {"labels": tmp_path},
        "expected a folder of result files": {"results": tmp_path / "none"},
        r"000099\.txt: no such file": {"frames": ["000099"]},
    }
    for message, changed in wrong.items():
        with pytest.raises(DataError, match=message):
            read_result_set(**({"labels": labels, "results": results} | changed))
    result_set = read_result_set(labels, results)
    with pytest.raises(DataError, match="rule: expected le"):
        evaluate_results(result_set, "eq")
    for classes in (["Tram"], ["Car", "Car"]):
        found = ", ".join(classes)
        reason = f"classes: expected some of Car, Pedestrian, Cyclist, each once, found '{found}'"
        with pytest.raises(DataError, match=reason):
            evaluate_results(result_set, classes=classes)
