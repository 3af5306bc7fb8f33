"""The real pipeline and parameters in a Git and DVC repository of their own, with stages that take no time.

Every stage is a stub that writes the outputs that dvc.yaml lists for it, made from the parameters: what is tested is
the pipeline's description and the commands of the pages, not the networks.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import yaml

from tests.conftest import ROOT

KEPT = ("dvc.yaml", "params.yaml", ".gitignore", ".dvcignore", ".dvc/config", ".dvc/plots.html", "data/.gitignore")
UP_TO_DATE = "Data and pipelines are up to date."

STUB = """
import importlib.util
import json
import sys
from pathlib import Path

import yaml

assert Path(importlib.util.find_spec("monokd").origin).is_relative_to(Path.cwd()), "code of another folder"
item = sys.argv[-1]
stage = "depth_unlabelled" if item == "unlabelled" else Path(__file__).stem
params = yaml.safe_load(Path("params.yaml").read_text())
value = 100 * params["seed"] + sum(params["losses"][params["loss"]].values())
entry = yaml.safe_load(Path("dvc.yaml").read_text())["stages"][stage]
for kind in ("outs", "metrics", "plots"):
    for out in entry.get("do", entry).get(kind, []):
        path = Path((out if isinstance(out, str) else next(iter(out))).replace("${item}", item))
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".json":
            path.write_text(json.dumps({"value": value}))
        elif path.suffix == ".csv":
            x, y = (out[next(iter(out))].get(axis, axis) for axis in "xy")
            path.write_text(f"{x},{y}\\n1,{value}\\n2,{value / 2}\\n")
        elif path.suffix:
            path.write_text(f"{stage} {item} {value}")
        else:
            path.mkdir(exist_ok=True)
            (path / "000000.txt").write_text(f"{stage} {item} {value}")
"""


def environment(home: Path) -> dict[str, str]:
    """Nothing of the user's Git, DVC or AWS settings; the interpreter that runs the tests comes first."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "DVC_", "GIT_"))}
    person = {f"GIT_{role}_{key}": value for role in ("AUTHOR", "COMMITTER") for key, value in PERSON.items()}
    return inherited | person | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(home),
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        "DVC_GLOBAL_CONFIG_DIR": str(home),
        "DVC_SYSTEM_CONFIG_DIR": str(home),
        "DVC_SITE_CACHE_DIR": str(home / "site"),
        "DVC_NO_ANALYTICS": "1",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_EC2_METADATA_DISABLED": "true",
    }  # fmt: skip


PERSON = {"NAME": "A Researcher", "EMAIL": "someone@example.org"}


class Project:
    """A folder in which commands are run as a user would."""

    def __init__(self, folder: Path, home: Path) -> None:
        self.folder, self.home = folder, home

    def run(self, command: str, *, fails: bool = False) -> str:
        """What a command line prints, both streams."""
        done = subprocess.run(
            command, shell=True, cwd=self.folder, env=environment(self.home), text=True, check=False, timeout=1800,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        assert bool(done.returncode) == fails, f"{command} ended with {done.returncode}:\n{done.stdout}"
        return done.stdout

    def copy(self, folder: Path) -> "Project":
        """The folder with everything in it."""
        shutil.copytree(self.folder, folder, symlinks=True)
        return Project(folder, self.home)


def make_project(folder: Path, home: Path) -> Project:
    """The pipeline with stub stages, reproduced and committed."""
    home.mkdir()
    for name in KEPT:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, folder / name)
    stages = yaml.safe_load((folder / "dvc.yaml").read_text())["stages"]
    for entry in stages.values():
        for dependency in entry.get("do", entry)["deps"]:
            if dependency.startswith(("stages/", "src/")):
                path = folder / dependency if dependency.endswith(".py") else folder / dependency / "__init__.py"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(STUB if dependency.startswith("stages/") else "")
    (folder / "src/monokd/__init__.py").touch()
    project = Project(folder, home)
    project.run("git init --quiet --initial-branch=main && git add .")
    project.run("git commit --quiet -m Code && dvc repro --quiet && git add . && git commit --quiet -m Results")
    return project
