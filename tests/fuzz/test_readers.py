"""Files that others wrote, broken in any way: what they say is read, or one line names the file."""

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monokd.errors import DataError
from monokd.kitti.calibration import read_calibration
from monokd.kitti.frames import MAX_RANGE_M, read_depth, read_image, read_velodyne
from monokd.kitti.images import read_png_header
from monokd.kitti.labels import LARGEST, read_labels, read_results
from monokd.kitti.objects import Objects
from monokd.models.checkpoint import load_detector
from monokd.models.torch_file import read_torch_file
from monokd.params import load_params
from tests.fuzz import seeds

BROKEN = 150  # files a reader
WORDS = (b"nan", b"-inf", b"1e999", b"1_0", b"0x1p3", b"-1", b"", b"\0", b"\xff", b"\n", b" ", b":", b"[", "٣".encode())


shares = st.floats(0, 1)
changes = st.one_of(  # bytes from one share of the file to another become new ones
    st.tuples(shares, st.just(1.0), st.just(b"")),  # cut short
    st.builds(lambda at, new: (at, at, new), shares, st.binary(max_size=8)),  # something inserted
    st.builds(lambda at, length, new: (at, at + length, new), shares, st.floats(0, 0.02), st.sampled_from(WORDS)),
    st.tuples(shares, shares, st.binary(max_size=64)),
)


def changed(content: bytes, start: float, end: float, new: bytes) -> bytes:
    first, last = sorted((int(start * len(content)), int(end * len(content))))
    return content[:first] + new + content[last:]


def check_labels(found: Objects, content: bytes) -> None:
    """Against an independent reading."""
    rows = [line.split() for line in content.decode("ascii").split("\n") if line.strip()]
    assert found.names == tuple(row[0] for row in rows)
    assert found.boxes_px.tolist() == [[float(word) for word in row[4:8]] for row in rows]
    assert found.locations_m.tolist() == [[float(word) for word in row[11:14]] for row in rows]
    numbers = np.column_stack([found.sizes_m, found.locations_m, found.boxes_px, found.alpha_rad, found.rotation_y_rad])
    assert (np.abs(numbers) <= LARGEST).all()


def check_scan(found: np.ndarray, content: bytes) -> None:
    assert found.tobytes() == content
    assert (np.abs(found[:, :3]) <= MAX_RANGE_M).all()


def check_image(found: np.ndarray, _: bytes) -> None:
    assert found.dtype == np.uint8
    assert found.ndim == 3


def refusal(read: Callable[[], object]) -> str | None:
    """The line that refuses a file, None where it is read."""
    try:
        read()
    except DataError as error:
        return str(error)
    return None


def no_check(_: object, __: bytes) -> None:
    """What was read has checks of its own."""


READERS: dict[str, tuple[str, Callable[[Path], object], Callable[..., None], Callable[[Path], bytes]]] = {
    "labels": ("0.txt", read_labels, check_labels, lambda _: seeds.LABELS),
    "results": ("0.txt", read_results, check_labels, lambda _: seeds.RESULTS),
    "calibration": ("0.txt", read_calibration, no_check, lambda _: seeds.CALIBRATION),
    "scan": ("0.bin", read_velodyne, check_scan, lambda _: seeds.SCAN),
    "png": ("0.png", read_image, check_image, lambda _: seeds.PNG),
    "png header": ("0.png", read_png_header, no_check, lambda _: seeds.PNG),
    "jpeg": ("0.jpg", read_image, check_image, lambda _: seeds.JPEG),
    "depth map": ("0.png", read_depth, no_check, lambda _: seeds.DEPTH_MAP),
    "params": ("params.yaml", load_params, no_check, lambda _: seeds.PARAMS),
    "detector": ("0.safetensors", load_detector, no_check, seeds.detector),
    "checkpoint": ("0.pth", read_torch_file, no_check, lambda _: seeds.checkpoint()),
    "old checkpoint": ("0.pth", read_torch_file, no_check, lambda _: seeds.checkpoint(new=False)),
}


@pytest.mark.parametrize("name", READERS)
def test_a_broken_file_is_read_as_it_says_or_refused_in_one_line(
    name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file, read, check, seed = READERS[name]
    path, whole = tmp_path / file, seed(tmp_path)
    path.write_bytes(whole)
    check(read(path), whole)

    @given(st.lists(changes, min_size=1, max_size=3))
    @settings(max_examples=BROKEN, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    def run(found: list[tuple[float, float, bytes]]) -> None:
        content = whole
        for change in found:
            content = changed(content, *change)
        path.write_bytes(content)
        line = refusal(lambda: check(read(path), content))
        assert line is None or (line.startswith(str(path)) and line.isprintable())

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run()
    assert capfd.readouterr().out == ""


values = st.recursive(st.none() | st.booleans() | st.floats() | st.text(max_size=5), lambda x: st.lists(x, max_size=3))


@given(values, st.integers(0, 2), st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_any_value_of_any_type_in_params(
    tmp_path_factory: pytest.TempPathFactory, value: object, level: int, place: int
) -> None:
    tree = yaml.safe_load(seeds.PARAMS)
    section = (tree, tree["profiles"]["demo"], tree["profiles"]["demo"]["teacher"])[level]
    section[list(section)[place % len(section)]] = value
    path = tmp_path_factory.getbasetemp() / "params.yaml"
    path.write_text(yaml.safe_dump(tree))
    line = refusal(lambda: load_params(path))
    assert line is None or line.startswith(str(path))
