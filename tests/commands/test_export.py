"""An exported file computes what torch does, says what it is, and is used without torch."""

import json
import runpy
import subprocess
import sys
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from monokd.commands import export as export_module
from monokd.commands.export import OUTPUTS, RawDetections
from monokd.commands.predict import predict
from monokd.errors import DataError
from monokd.kitti.labels import read_results
from monokd.models.checkpoint import DetectorInfo
from tests.conftest import ROOT, write_detector

pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
EXAMPLE = ROOT / "examples/onnx_predict.py"


def save_and_export(folder: Path, seed: int) -> Path:
    """A folder with model.safetensors and model.onnx."""
    model = write_detector(folder / "model.safetensors", seed, classes=("Car", "Cyclist"))
    export_module.export(model, folder / "model.onnx")
    return folder


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_and_export(tmp_path_factory.mktemp("export"), seed=0)


def example(function: str) -> Callable[..., Any]:
    found: Callable[..., Any] = runpy.run_path(str(EXAMPLE))[function]
    return found


def session(path: Path) -> Any:
    return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])


def test_the_file_says_what_it_is(exported: Path) -> None:
    model = session(exported / "model.onnx")
    about = json.loads(model.get_modelmeta().custom_metadata_map["monokd"])
    expected = {
        "format": "monokd onnx 2", "modality": "image", "score_decimals": 6, "height_px": 64, "width_px": 128,
        "class_names": ["Pedestrian", "Car", "Cyclist"], "classes": ["Car", "Cyclist"],
    }  # fmt: skip
    assert about | expected == about
    inputs = {entry.name: entry.shape for entry in model.get_inputs()}
    assert inputs == {"image": [1, 3, 64, 128], "P2": [1, 3, 4], "coord_range_px": [1, 2, 2]}
    assert [output.name for output in model.get_outputs()] == list(OUTPUTS)


def rows(path: Path) -> NDArray[np.float64]:
    """The numbers of a result file, in the order of the boxes' left sides: peaks of one height may change places."""
    found = read_results(path)
    columns = (found.boxes_px, found.sizes_m, found.locations_m, found.alpha_rad, found.rotation_y_rad, found.scores)
    table = np.column_stack([*columns, [("Pedestrian", "Car", "Cyclist").index(name) for name in found.names]])
    return table[np.lexsort(table.T[:2])]


@pytest.mark.parametrize("size", [None, (100, 40), (150, 55)])
def test_the_example_writes_the_text_of_predict(
    exported: Path, tiny_workspace: Path, tmp_path: Path, size: tuple[int, int] | None
) -> None:
    """For an image that is shrunk by a whole factor first, one that is enlarged, and one in between."""
    folder = tiny_workspace / "data/demo/training"
    image, calib = tmp_path / "000002.png", folder / "calib/000002.txt"
    pixels = cv2.imread(str(folder / "image_2/000002.png"))
    assert pixels is not None
    cv2.imwrite(str(image), pixels if size is None else cv2.resize(pixels, size))
    predict(exported / "model.safetensors", image, calib, tmp_path / "torch", score_threshold=0.0)
    (tmp_path / "onnx.txt").write_text(example("detect")(session(exported / "model.onnx"), image, calib, 0.0))
    expected, found = rows(tmp_path / "torch/000002.txt"), rows(tmp_path / "onnx.txt")
    assert len(expected) > 5
    assert expected.shape == found.shape
    np.testing.assert_allclose(found, expected, atol=0.0101)
    np.testing.assert_allclose(found[:, -2], expected[:, -2], atol=2.1e-6)


def test_the_example_needs_neither_torch_nor_this_package(exported: Path, tiny_workspace: Path, tmp_path: Path) -> None:
    folder, out = tiny_workspace / "data/demo/training", tmp_path / "out.txt"
    arguments = ["", exported / "model.onnx", folder / "image_2/000001.png", folder / "calib/000001.txt", "--out", out]
    code = (
        "import runpy, sys; sys.modules |= {'torch': None, 'monokd': None};"
        f"sys.argv = {[*map(str, arguments), '--score-threshold', '0']!r};"
        f"runpy.run_path({str(EXAMPLE)!r}, run_name='__main__')"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    assert len(read_results(out)) > 5


def test_a_file_that_differs_from_torch_is_not_put_in_place(
    exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong(network: RawDetections, info: DetectorInfo, path: Path) -> None:
        """Another decoding than the one that is checked."""
        other = RawDetections(deepcopy(network.detector))
        other.detector.anisotropic_decode = not network.detector.anisotropic_decode
        trace(other, info, path)

    trace = export_module._trace
    monkeypatch.setattr(export_module, "_trace", wrong)
    with pytest.raises(
        DataError, match=r"expected ONNX Runtime within 0.0001 of torch, found .* in (boxes|centres)_px"
    ):
        export_module.export(exported / "model.safetensors", tmp_path / "out.onnx")
    assert not list(tmp_path.iterdir())


def test_a_missing_package_and_another_name_are_one_line(exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = exported / "model.safetensors"
    with pytest.raises(DataError, match=r"ends in \.onnx"):
        export_module.export(model, model)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(DataError, match=r"export needs onnx and onnxruntime: pip install 'monokd\[onnx\]'"):
        export_module.export(model, exported / "new.onnx")
    assert not (exported / "new.onnx").exists()


@pytest.mark.parametrize("seed", [115, 120])
def test_a_map_with_fewer_peaks_than_regions_is_exported(seed: int, tmp_path: Path) -> None:
    assert (save_and_export(tmp_path, seed) / "model.onnx").is_file()
