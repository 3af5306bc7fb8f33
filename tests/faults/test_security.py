"""No way in: no code in files, no network, no names that a page or a terminal obeys, no dependency that drifts."""

import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from monokd.errors import DataError, printable
from monokd.params import load_params
from monokd.report.tables import headline, to_rich
from tests.conftest import ROOT, set_params
from tests.faults.conftest import Ended
from tests.report.fakes import table

ESCAPE = "\x1b]0;taken\x07\x1b[2J"
NO_NETWORK = """
import os, pkgutil, runpy, sys
def refuse(event, details):
    if event in ("socket.connect", "socket.sendto", "socket.getaddrinfo", "socket.gethostbyname"):
        raise RuntimeError(f"{event} {details}")
sys.addaudithook(refuse)
os.sched_getaffinity = lambda pid: {0}
import monokd
for module in pkgutil.walk_packages(monokd.__path__, "monokd."):
    __import__(module.name)
for name, *arguments in (("depth", "labelled"), ("teacher",)):
    sys.argv = [name, *arguments]
    runpy.run_path(f"{STAGES}/{name}.py", run_name="__main__")
"""


def test_imports_and_stages_work_without_a_network(workspace: Path) -> None:
    set_params(workspace, profiles__demo__teacher__epochs=1)
    (workspace / "data/depth").unlink()
    code = f"STAGES = {str(ROOT / 'stages')!r}\n{NO_NETWORK}"
    command = [sys.executable, "-W", "ignore", "-c", code]
    done = subprocess.run(command, cwd=workspace, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    assert (workspace / "data/models/teacher.safetensors").exists()


def test_code_in_params_does_not_run(tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    (tmp_path / "params.yaml").write_text(f"profile: !!python/object/apply:os.mkdir ['{mark}']\n")
    with pytest.raises(DataError):
        load_params(tmp_path / "params.yaml")
    assert not mark.exists()


def test_a_terminal_obeys_no_name() -> None:
    for text in (ESCAPE, "\r\x08over", "a\u202eb", "\udcff", "[red]", "\x9b2J", "line\nline"):
        shown = printable(text)
        assert shown.isprintable(), text
        assert str(DataError(f"found {text}", f"{text}.txt")).isprintable()
    assert printable("[red]ü 北 ✓") == "[red]ü 北 ✓"
    assert printable("a\x1b[31m\x07b\r\nc\u202ed\udcff ü") == r"a\x1b[31m\x07b c\u202ed\udcff ü"


def test_tables_show_class_names_of_files_as_they_are() -> None:
    network, name, output = f"[link=x]{ESCAPE}", f"[red]{ESCAPE}", StringIO()
    ap = table({network: [{"class": name, "iou": "loose", "metric": "3d", "ap": 1.0}]})
    Console(file=output, force_terminal=True, width=200).print(to_rich(headline(ap, name, [network])))
    assert "[red]" in output.getvalue()
    assert "[link=x]" in output.getvalue()
    assert "\x1b]0;" not in output.getvalue()
    assert "\x1b[2J" not in output.getvalue()


def test_commands_show_names_without_their_escapes(tmp_path: Path, command: Callable[..., Ended]) -> None:
    folder = tmp_path / f"labels{ESCAPE}"
    folder.mkdir()
    (folder / "000000.txt").write_text("")
    (tmp_path / "empty").mkdir()
    refused = [("evaluate", folder, folder / "absent"), ("check", folder), ("densify", folder, tmp_path / "out")]
    for arguments in (*refused, ("evaluate", folder, tmp_path / "empty")):
        ended = command(*arguments)
        assert ended.code or arguments not in refused
        assert "\x1b" not in ended.errors


PIN = re.compile(r"[A-Za-z0-9._-]+==[0-9][A-Za-z0-9.+!-]*")
BUILDS = {"torchsort", "antlr4-python3-runtime"}  # no wheels: their own code runs at installation


def test_every_dependency_is_pinned_exactly_and_once() -> None:
    lines = [line for line in (ROOT / "requirements.txt").read_text().splitlines() if not line.startswith("#")]
    for line in lines:
        assert PIN.fullmatch(line), line
    names = [re.sub(r"[-_.]+", "-", line.partition("==")[0]).lower() for line in lines]
    assert len(set(names)) == len(names)
    assert set(names) >= BUILDS
    page = (ROOT / "docs/faults.md").read_text()
    assert all(f"`{name}`" in page for name in BUILDS)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = sum((extras[name] for name in extras if name != "mamba"), project["dependencies"])  # that needs CUDA
    assert {re.sub(r"[-_.]+", "-", re.split(r"[^\w.-]", one)[0]).lower() for one in wanted} <= {*names, "monokd"}
