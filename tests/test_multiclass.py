"""Three classes through training, prediction, scores and tables."""

from pathlib import Path

import pandas as pd
import pytest

from monokd.evaluation.evaluate import evaluate_results, read_result_set
from monokd.evaluation.table import AP_COLUMNS, ap_table
from monokd.inference.predict import detect, write_predictions
from monokd.kitti.frames import KittiFolder
from monokd.kitti.labels import read_results
from monokd.models.checkpoint import load_detector
from monokd.params import load_params
from monokd.report.summary import summary
from monokd.report.tables import headline, to_markdown
from monokd.samples.dataset import Frames, InputSettings
from monokd.training.stage import train_detector
from tests.conftest import set_params

NAMES = ("Car", "Pedestrian", "Cyclist")


def frames(root: Path, *, labels: bool) -> Frames:
    folder = KittiFolder(root)
    names = folder.frames()
    return Frames(folder, names, InputSettings(64, 128, NAMES), labels=labels)


@pytest.mark.usefixtures("settings_restored")
def test_three_classes_from_training_to_tables(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    set_params(workspace, profiles__demo__data__classes=list(NAMES), profiles__demo__baseline__epochs=1)
    monkeypatch.chdir(workspace)
    model, results = workspace / "model.safetensors", workspace / "results"
    train_detector(load_params(), "baseline", out=model, history=workspace / "history.csv")

    detector, info = load_detector(model)
    assert info.classes == NAMES
    found = detect(
        detector, frames(workspace / "data/demo", labels=False), modality="image", score_threshold=0.0, batch_size=5
    )
    write_predictions(results, found, classes=info.classes)
    assert {name for path in results.iterdir() for name in read_results(path).names} <= set(NAMES)

    result_set = read_result_set(workspace / "data/demo/training/label_2", results)
    evaluation = evaluate_results(result_set, classes=NAMES)
    ap = pd.DataFrame(ap_table(evaluation)).set_axis(AP_COLUMNS, axis=1).assign(network="student")
    assert list(summary(ap, ["student"])["student"]) == list(NAMES)
    for name, iou in zip(NAMES, (0.7, 0.5, 0.5), strict=True):
        text = to_markdown(headline(ap, name, ["student"]))
        assert f"Strict, IoU {iou} 3D" in text
