"""params.yaml: what is accepted, and that every mistake is named by its dotted path in one line."""

from pathlib import Path
from typing import Any

import pytest

from monokd.errors import DataError
from monokd.params import Params, load_params
from monokd.quirks import QUIRK_NAMES
from tests.conftest import ROOT, set_params


def changed(tmp_path: Path, **values: Any) -> Path:
    """A copy of the project's params.yaml with some values set."""
    path = tmp_path / "params.yaml"
    path.write_bytes((ROOT / "params.yaml").read_bytes())
    set_params(tmp_path, **values)
    return path


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"surprise": 1}, "surprise: unknown parameter"),
        ({"profiles__demo__student__epochs": "many"}, "profiles.demo.student.epochs: "),
        ({"profiles__demo__student__epochs": 0}, "profiles.demo.student.epochs: "),
        ({"profiles__demo__data__width_px": 100}, "profiles.demo.data.width_px: "),
        ({"profiles__demo__scenes__train_frames": 0}, "profiles.demo.scenes.train_frames: "),
        ({"profiles__demo__scenes__min_distance_m": 1.0}, "profiles.demo.scenes.min_distance_m: "),
        (
            {"profiles__demo__scenes__max_distance_m": 3.5},
            "profiles.demo.scenes: expected min_distance_m below max_distance_m, found 4 and 3.5",
        ),
        ({"profiles__demo__data__classes": ["Tram"]}, "profiles.demo.data.classes.0: "),
        ({"losses__monoskd__spearman": float("nan")}, "losses.monoskd.spearman: "),
        ({"losses__monoskd__typo": 1.0}, "losses.monoskd.typo: input should be 'foreground', "),
        ({"loss": "monosk"}, "loss: expected one of none, monodistill, monoskd, monoasd, found 'monosk'"),
        ({"profile": "waymo"}, "profile: expected one of demo, kitti, kitti_3classes, found 'waymo'"),
        ({"quirks": {"typo": True}}, "quirks: expected one of"),
        ({"loss": "a" * 9000}, f"monoasd, found '{'a' * 80}'"),
        ({"profiles__new": {}}, "profiles.new.behaviour: missing parameter"),
        ({"seed": None}, "seed: "),
        ({"profiles__demo__data__classes": ["Car", "Car"]}, "demo: data.classes: expected each class once"),
        ({"profiles__demo__unlabelled__boxes": "files"}, "unlabelled.files: expected a folder of result files"),
        (
            {"profiles__demo__unlabelled__keep_score": 0.3, "profiles__demo__unlabelled__ignore_score": 0.4},
            "profiles.demo: unlabelled.ignore_score: expected keep_score at most",
        ),
        ({"profiles__demo__data__held_out": 0.0}, "profiles.demo: unlabelled.keep_score: expected a score, without"),
        (
            {"profiles__demo__unlabelled__share": 0.1},
            "unlabelled.share: expected a frame of each kind in",
        ),
    ],
)
def test_a_mistake_is_named_in_one_line(tmp_path: Path, values: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError) as raised:
        load_params(changed(tmp_path, **values))
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


def test_numbers_in_the_forms_that_yaml_gives_them(tmp_path: Path) -> None:
    """Scientific notation is text to it, the precision a number."""
    path = changed(tmp_path, profiles__demo__student__learning_rate="1e-05", profiles__demo__machine__precision=32)
    demo = load_params(path).profiles["demo"]
    assert (demo.student.learning_rate, demo.machine.precision) == (1e-5, "32")


@pytest.mark.parametrize("content", [b"", b"- a\n- b\n", b"a: [", b"\xff\xfe\x00"])
def test_a_file_that_holds_no_parameters_is_refused_in_one_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "params.yaml").write_bytes(content)
    with pytest.raises(DataError, match=r"params\.yaml:"):
        load_params(tmp_path / "params.yaml")


def params(**values: Any) -> Params:
    """The project's own, which are valid, with some values changed."""
    return Params.model_validate(load_params(ROOT / "params.yaml").model_dump() | values)


def quirks(**values: Any) -> dict[str, bool]:
    resolved = params(**values).resolved_quirks()
    return {name: getattr(resolved, name) for name in QUIRK_NAMES}


def test_behaviour_sets_all_quirks_and_single_ones_override() -> None:
    assert not any(quirks(behaviour="corrected").values())
    assert all(quirks(behaviour="published").values())
    assert quirks(profile="demo", behaviour="profile") == quirks(behaviour="corrected")
    assert quirks(profile="kitti", behaviour="profile") == quirks(behaviour="published")
    only = quirks(behaviour="corrected", quirks={"depth_scaled_twice": True})
    assert [name for name, value in only.items() if value] == ["depth_scaled_twice"]


def weights(**values: Any) -> dict[str, float]:
    return params(**values).term_weights()


def test_weights_are_those_of_the_loss_times_the_profiles_factors() -> None:
    assert weights(profile="kitti", loss="monoskd") == {"spearman": 1.0, "affinity": 1.0, "head": 1.0}
    tree = params().model_dump()["profiles"]
    tree["kitti"]["distillation"] = {"affinity": 0.5, "head": 0.0}
    found = weights(profile="kitti", loss="monoskd", profiles=tree, behaviour="corrected")
    assert found == {"spearman": 1.0, "affinity": 0.5}


def test_q12_published_terms_cannot_be_switched_off() -> None:
    off = {"monoskd": {"affinity": 2.0, "head": 1.0}}
    assert weights(profile="kitti", loss="monoskd", losses=off, behaviour="corrected") == {"affinity": 2.0, "head": 1.0}
    published = {"spearman": 1.0, "affinity": 2.0, "head": 1.0}
    assert weights(profile="kitti", loss="monoskd", losses=off, behaviour="published") == published
    assert weights(loss="none", losses={"none": {}}, behaviour="published") == {}


def test_the_control_trains_as_the_student_without_its_methods_own_settings() -> None:
    chosen = params(profile="kitti", loss="monoasd")
    assert chosen.stage_settings("control") == chosen.active.student
    assert chosen.stage_settings("distill").optimiser == "adamw"
