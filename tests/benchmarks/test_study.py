"""The study runs for hours: what would stop it half way, or lose figures, shows here."""

import json
from importlib import import_module
from pathlib import Path

from monokd.params import Params


def test_params_of_every_arm_are_valid_and_say_what_its_name_says() -> None:
    study, seen = import_module("study"), {}
    for table, arms in study.TABLES.items():
        for arm, params in arms.items():
            seen[table, arm] = Params.model_validate(study.changed(params | {"seed": 3, "data_seed": 3}))
    assert seen["arms", "labels"].active.unlabelled.boxes == "labels"
    assert not seen["arms", "monoskd, labelled"].active.data.unlabelled_split
    assert seen["settings", "teacher's boxes, half of the batch"].active.unlabelled.share == 0.5
    assert seen["weights", "affinity × 10, labelled"].term_weights() == {"affinity": 1.0}
    assert seen["weights", "teacher's boxes + align_select × 0.1"].term_weights() == {"align_select": 0.02}
    assert all(params.seed == params.data_seed == 3 for params in seen.values())


def test_figures_that_stand_are_collected_and_those_of_other_tables_kept(tmp_path: Path) -> None:
    """The usual number of labelled frames stands once, for all tables."""
    study, out = import_module("study"), tmp_path / "study.json"
    for place, arms in (("", ("control", "labels")), ("labelled16/", ("control",))):
        seed = tmp_path / f"{place}seed2"
        seed.mkdir(parents=True)
        (seed / "ready").touch()
        for arm in arms:
            (seed / f"{arm}.json").write_text('{"3d_loose": 1.5}')
    for table in ("arms", "curve", "arms"):
        study.write_study(tmp_path, out, table)
    figures = {"seed": 2, "3d_loose": 1.5}
    assert json.loads(out.read_text())["runs"] == [
        {"table": "curve", "arm": "control", "labelled": 16, **figures},
        {"table": "curve", "arm": "control", "labelled": 80, **figures},
        {"table": "arms", "arm": "control", **figures},
        {"table": "arms", "arm": "labels", **figures},
    ]
