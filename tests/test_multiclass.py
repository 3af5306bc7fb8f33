"""Three classes through targets, training, prediction, scores and tables."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from monokd.evaluation.evaluate import evaluate_folders
from monokd.evaluation.table import AP_COLUMNS, ap_table
from monokd.inference.predict import detect, write_predictions
from monokd.kitti.frames import KittiFolder
from monokd.kitti.labels import read_labels, read_results
from monokd.models.checkpoint import load_detector
from monokd.params import load_params
from monokd.report.summary import summary
from monokd.report.tables import headline, to_markdown
from monokd.samples.constants import CLASSES, MEAN_SIZES_M
from monokd.samples.dataset import Frames, InputSettings
from monokd.training.stage import train_detector
from tests.conftest import set_params

NAMES = ("Car", "Pedestrian", "Cyclist")
LABELS = """\
Car 0.00 0 0.10 160.00 50.00 240.00 100.00 1.50 1.70 4.10 0.00 1.50 12.00 0.10
Pedestrian 0.00 0 0.20 110.00 50.00 140.00 100.00 1.80 0.60 0.80 -3.00 1.50 10.00 0.20
Cyclist 0.00 0 0.30 260.00 50.00 300.00 100.00 1.70 0.50 1.80 3.00 1.50 10.00 0.30
"""


def frames(root: Path, *, labels: bool) -> Frames:
    folder = KittiFolder(root)
    names = folder.frames()
    return Frames(folder, names, InputSettings(64, 128, NAMES), labels=labels)


def test_targets_hold_each_class_with_its_own_mean_size(tiny_workspace: Path, tmp_path: Path) -> None:
    """Size targets plus the class's mean are the label's sizes."""
    source, folder = KittiFolder(tiny_workspace / "data/demo"), KittiFolder(tmp_path)
    for path, other in (
        (folder.image("0"), source.image("000000")),
        (folder.calibration("0"), source.calibration("000000")),
    ):
        path.parent.mkdir(parents=True)
        shutil.copy(other, path)
    folder.label("0").parent.mkdir()
    folder.label("0").write_text(LABELS)
    targets, labels = frames(tmp_path, labels=True)[0, 0].targets, read_labels(folder.label("0"))
    assert targets is not None
    assert targets.mask_2d[:4].tolist() == [True, True, True, False]
    assert [CLASSES[i] for i in targets.class_ids[:3]] == list(NAMES)
    sizes_m = targets.size_3d[:3].numpy() + MEAN_SIZES_M[targets.class_ids[:3].numpy()]
    np.testing.assert_allclose(sizes_m, labels.sizes_m, atol=1e-5)


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

    evaluation = evaluate_folders(workspace / "data/demo/training/label_2", results, classes=NAMES)
    ap = pd.DataFrame(ap_table(evaluation)).set_axis(AP_COLUMNS, axis=1).assign(network="student")
    assert list(summary(ap, ["student"])["student"]) == list(NAMES)
    for name, iou in zip(NAMES, (0.7, 0.5, 0.5), strict=True):
        text = to_markdown(headline(ap, name, ["student"]))
        assert f"Strict, IoU {iou} 3D" in text
