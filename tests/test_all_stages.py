"""The progress over all stages of `make repro`."""

import yaml
from stages.all import SECONDS, Estimate

from tests.conftest import ROOT


def test_every_stage_has_a_time() -> None:
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    names = [
        f"{name}@{key}" if "foreach" in stage else name
        for name, stage in stages.items()
        for key in stage.get("foreach", [0])
    ]
    assert list(SECONDS) == names


def test_time_left_follows_the_stages_that_ran() -> None:
    """A stage that took twice its time doubles what the others take; what DVC passes over costs nothing."""
    estimate = Estimate({"a": 10.0, "b": 20.0, "c": 30.0, "d": 40.0})
    assert not estimate.read("Stage 'a' didn't change, skipping", 0.0)
    assert estimate.left_s(0.0) == 90.0
    assert estimate.read("Running stage 'b':", 100.0)
    assert estimate.left_s(105.0) == 85.0
    assert estimate.read("Running stage 'c':", 140.0)
    assert estimate.left_s(140.0) == 140.0
    assert not estimate.read("Stage 'd' is cached - skipping run, checking out outputs", 150.0)
    assert estimate.left_s(160.0) == 40.0
    estimate.end(200.0)
    assert estimate.left_s(200.0) == 0.0
