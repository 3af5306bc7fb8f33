"""Stages killed at any moment: what has its final name is whole, and the next run ends with the same files.

Training stages are killed in `tests/training/test_stages.py`.
"""

import os
import random
import runpy
import shutil
import signal
import sys
import time
from multiprocessing import get_context
from multiprocessing.context import ForkServerContext
from pathlib import Path

import pytest
import torch

from monokd.errors import DataError
from monokd.progress import map_frames
from tests.conftest import ROOT, set_params, tree
from tests.faults.conftest import MODELS, write_models

KILLS = 3


def run_stage(folder: str, name: str, arguments: tuple[str, ...]) -> None:
    """One stage, as the program would run, in a process that has the imports behind it."""
    os.chdir(folder)
    os.sched_getaffinity = lambda pid: {0}
    torch.set_num_threads(1)
    sys.argv = [f"{name}.py", *arguments]
    sys.stderr = open(os.devnull, "w")  # noqa: SIM115  (until the process ends)
    runpy.run_path(str(ROOT / "stages" / f"{name}.py"), run_name="__main__")


@pytest.fixture(scope="module")
def ready() -> ForkServerContext:
    """Makes processes from one that has imported everything."""
    context = get_context("forkserver")
    context.set_forkserver_preload(["monokd.scenes.generate", "monokd.inference.predict", "monokd.report.page"])
    return context


@pytest.fixture(scope="module")
def predicted(tiny_workspace: Path, tmp_path_factory: pytest.TempPathFactory, ready: ForkServerContext) -> Path:
    """A workspace with untrained networks, their predictions and figures: all that the report needs."""
    folder = tmp_path_factory.mktemp("predicted")
    (folder / "data").mkdir()
    for name in ("demo", "depth_unlabelled"):
        (folder / "data" / name).symlink_to(tiny_workspace / "data" / name)
    shutil.copytree(tiny_workspace / "data/depth", folder / "data/depth")
    shutil.copyfile(tiny_workspace / "params.yaml", folder / "params.yaml")
    size = {"train_frames": 3, "val_frames": 1, "unlabelled_frames": 1, "width_px": 416, "height_px": 128}
    set_params(folder, profiles__demo__scenes=size, profiles__demo__evaluate__bootstrap=5)
    write_models(folder)
    for name in ("predict", "evaluate"):
        for model in MODELS:
            assert finished(ready, folder, name, (model,)) == 0
    return folder


def finished(context: ForkServerContext, folder: Path, name: str, arguments: tuple[str, ...]) -> int | None:
    process = context.Process(target=run_stage, args=(str(folder), name, arguments))
    process.start()
    process.join(300)
    return process.exitcode


STAGES = {
    "scenes": (("new-scenes",), ("new-scenes",)),
    "depth": (("labelled",), ("data/depth", "metrics/depth.json")),
    "label": ((), ("data/labels", "metrics/labels.json")),
    "predict": (("student",), ("data/predictions/student",)),
    "evaluate": (("student",), tuple(f"metrics/student/{name}" for name in ("kitti", "ap", "pr", "distance"))),
    "report": ((), ("metrics/report", "metrics/report.html", "metrics/summary.json")),
}


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_killed_at_any_moment_leaves_whole_files_and_ends_the_same(
    name: str, predicted: Path, ready: ForkServerContext
) -> None:
    arguments, outputs = STAGES[name]

    def made() -> dict[str, bytes]:
        return {path: content for path, content in tree(predicted).items() if path.startswith(outputs)}

    def remove_outputs() -> None:
        """As DVC does before a run, left-overs of a killed writer included."""
        for path in tree(predicted):
            if path.startswith(outputs) or Path(path).name.startswith("."):
                (predicted / path).unlink()

    began = time.monotonic()
    assert finished(ready, predicted, name, arguments) == 0
    taken_s = time.monotonic() - began
    whole = made()
    assert whole
    for _ in range(KILLS):
        remove_outputs()
        process = ready.Process(target=run_stage, args=(str(predicted), name, arguments))
        process.start()
        time.sleep(taken_s * random.uniform(0.05, 0.95))
        process.kill()
        process.join()
        named = {path: made()[path] for path in made() if not Path(path).name.startswith(".")}
        assert named.items() <= whole.items()
    remove_outputs()
    assert finished(ready, predicted, name, arguments) == 0
    assert made() == whole


def die(item: int) -> int:
    if item == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return item


def test_a_killed_worker_process_is_one_line() -> None:
    with pytest.raises(DataError, match="count: a worker process was killed"):
        map_frames(die, range(6), "count", workers=2)
