"""Label and result files: what is read, what is refused with file and line, what is written."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from monokd.classes import KITTI_NAMES
from monokd.errors import DataError
from monokd.kitti.labels import OTHER, read_labels, read_results, read_table, write_results
from monokd.kitti.objects import Objects, from_rows

CAR = "Car 0.15 1 -1.57 100.00 150.50 200.25 250.00 1.50 1.60 3.90 -2.00 1.70 15.00 1.57"
DONT_CARE = "DontCare -1 -1 -10 503.89 169.71 590.61 190.13 -1 -1 -1 -1000 -1000 -1000 -10"


def write(path: Path, *lines: str) -> Path:
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def test_fields_land_in_their_columns(tmp_path: Path) -> None:
    objects = read_results(write(tmp_path / "0.txt", f"{CAR} 0.875"))
    assert objects.names == ("Car",)
    assert (objects.truncation[0], objects.occlusion[0], objects.alpha_rad[0]) == (0.15, 1, -1.57)
    assert objects.boxes_px.tolist() == [[100, 150.5, 200.25, 250]]
    assert objects.sizes_m.tolist() == [[1.5, 1.6, 3.9]]
    assert objects.locations_m.tolist() == [[-2, 1.7, 15]]
    assert (objects.rotation_y_rad[0], objects.scores[0]) == (1.57, 0.875)


def test_labels_have_no_score_and_kittis_marks_stand_for_no_3d_box(tmp_path: Path) -> None:
    objects = read_labels(write(tmp_path / "0.txt", CAR, DONT_CARE, DONT_CARE.replace("DontCare", "Car")))
    assert objects.names == ("Car", "DontCare", "Car")
    assert np.isnan(objects.scores).all()
    assert objects.sizes_m[1:].tolist() == [[-1, -1, -1]] * 2


def test_blank_lines_tabs_carriage_returns_and_a_missing_last_newline_are_fine(tmp_path: Path) -> None:
    path = tmp_path / "0.txt"
    path.write_bytes(f"\n{CAR.replace(' ', chr(9))}\r\n  \n{CAR}  ".encode())
    assert read_labels(path).names == ("Car", "Car")
    path.write_bytes(b"")
    assert len(read_labels(path)) == len(read_results(path)) == 0


@pytest.mark.parametrize(
    "line, reason",
    [
        (CAR, "expected 16 fields (class to score), found 15, no score"),
        (f"{CAR} 0.5 7", "expected 16 fields (class to score), found 17"),
        (f"{CAR} nan", "score: expected a finite number, found 'nan'"),
        (f"{CAR.replace('15.00', 'far')} 0.5", "z: expected a finite number, found 'far'"),
        (f"{CAR.replace('15.00', '2e6')} 0.5", "z: expected a finite number of at most 1e+06, found '2e6'"),
        (f"{CAR.replace(' 3.90', ' -3.90')} 0.5", "length: expected a size in metres that is not negative, found -3."),
        (f"{CAR}\0 0.5", "found the byte 0x00 (is this a binary file?)"),
        (f"{CAR} 0.5 ü", "found the byte 0xc3"),
    ],
)
def test_bad_lines_are_refused_with_file_and_line(tmp_path: Path, line: str, reason: str) -> None:
    path = write(tmp_path / "000007.txt", f"{CAR} 0.5", "", line, f"{CAR} 0.25")
    with pytest.raises(DataError) as caught:
        read_results(path)
    assert str(caught.value).startswith(f"{path}:3: ")
    assert reason in str(caught.value)


def test_a_score_in_a_label_and_what_is_no_file_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"expected 15 fields .* found 16, a score in a label"):
        read_labels(write(tmp_path / "0.txt", f"{CAR} 0.5"))
    with pytest.raises(DataError, match="no such file"):
        read_labels(tmp_path / "none.txt")
    with pytest.raises(DataError, match="expected a file, found a folder"):
        read_labels(tmp_path)


decimal_words = st.from_regex(r"-?[0-9]{1,12}(\.[0-9]{0,20})?(e[-+]?[0-9]{1,2})?", fullmatch=True)
any_float = st.floats(allow_nan=False, allow_infinity=False).map(repr)


HARD = (
    "9007199254740993 900719925474099.3 0.1000000000000000055511151231257827 0.30000000000000004 123456789012345678.5 "
    "2.2250738585072011e-308 5e-324 +.5 5. -0 00000000000000000000000000.25"
)


@settings(max_examples=300, deadline=None)
@example(words=HARD.split())
@given(words=st.lists(st.one_of(decimal_words, any_float), min_size=1, max_size=30))
def test_numbers_are_the_nearest_float64(tmp_path_factory: pytest.TempPathFactory, words: list[str]) -> None:
    """Scores and borders must not move by a bit: ties and limits such as 0.15 depend on it."""
    path = tmp_path_factory.getbasetemp() / "numbers.txt"
    expected = [float(word) for word in words]
    finite = [word for word, value in zip(words, expected, strict=True) if math.isfinite(value)]
    scores = read_results(write(path, *(f"{CAR} {word}" for word in finite))).scores
    assert list(map(str, scores.tolist())) == [str(value) for value in expected if math.isfinite(value)]


def test_a_table_has_the_rows_of_single_files(tmp_path: Path) -> None:
    write(tmp_path / "a.txt", f"{CAR} 0.5", f"car{CAR[3:]} 0.25", f"Bus{CAR[3:]} 0.125")
    write(tmp_path / "c.txt", f"PEDESTRIAN{CAR[3:]} 0.75", f"Bus{CAR[3:]} 0.1")
    table = read_table(tmp_path, ["a", "b", "c"], scores=True, missing_ok=True)
    assert table.offsets.tolist() == [0, 3, 3, 5]
    assert table.missing == (1,)
    assert table.unknown == {"Bus": 2}
    car, pedestrian = KITTI_NAMES.index("Car"), KITTI_NAMES.index("Pedestrian")
    assert table.classes.tolist() == [car, car, OTHER, pedestrian, OTHER]
    singles = [read_results(tmp_path / f"{frame}.txt").scores for frame in ("a", "c")]
    assert table.rows[:, 14].tolist() == np.concatenate(singles).tolist()


def test_a_table_names_the_file_at_fault(tmp_path: Path) -> None:
    write(tmp_path / "a.txt", CAR)
    write(tmp_path / "b.txt", CAR, CAR.replace("15.00", "nan"))
    with pytest.raises(DataError, match=r"b\.txt:2: z: expected a finite number, found 'nan'"):
        read_table(tmp_path, ["a", "b"], scores=False)
    with pytest.raises(DataError, match=r"c\.txt: no such file"):
        read_table(tmp_path, ["a", "c"], scores=False)


def some_objects() -> Objects:
    car = [-1, -1, 0.123, 1.239, 2, 3, 4, 1.5, 1.6, 3.9, -1, 2, 30, 0.5, 0.123456789]
    cyclist = [0.15, 2, -3.1, 1, 2, 3, 4, 1.5, 1.6, 3.9, -1, 2, 30, 0.5, 0.12349]
    return from_rows(("Car", "Cyclist"), np.array([car, cyclist]))


def test_results_round_trip_at_their_decimals(tmp_path: Path) -> None:
    write_results(tmp_path / "0.txt", from_rows((), np.empty((0, 15))))
    assert (tmp_path / "0.txt").read_bytes() == b""
    write_results(tmp_path / "0.txt", some_objects())
    back = read_results(tmp_path / "0.txt")
    assert back.names == ("Car", "Cyclist")
    assert back.scores.tolist() == [0.123457, 0.12349]
    assert back.boxes_px[0].tolist() == [1.24, 2, 3, 4]
    assert (back.truncation.tolist(), back.occlusion.tolist()) == ([-1, 0.15], [-1, 2])


def test_numbers_that_could_not_be_read_again_are_not_written(tmp_path: Path) -> None:
    objects = some_objects()
    objects.scores[1] = np.nan
    with pytest.raises(DataError, match="score"):
        write_results(tmp_path / "0.txt", objects)
    objects.locations_m[0, 2] = np.inf
    with pytest.raises(DataError, match="finite"):
        write_results(tmp_path / "0.txt", replace(objects, scores=np.zeros(2)))
    assert not (tmp_path / "0.txt").exists()
