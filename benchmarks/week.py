"""A week's use of the pipeline, in clones of this repository: what is typed and what comes back, as Markdown.

A researcher changes a weight, sweeps three seeds of two losses in the queue, compares with the commit before and shares
all of it through an S3-compatible server, started here on the loopback; a colleague takes it up and computes nothing
again. The networks are tiny, so the figures mean nothing.

Usage: python benchmarks/week.py [WORK] [--out docs/week.md] [--seeds 0 1 2]
"""

import argparse
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
FRAMES = {"train_frames": 12, "val_frames": 6, "width_px": 416, "height_px": 128, "objects_per_frame": 9.0}
SIZE = {"width_px": 320, "height_px": 96}
NOISE = re.compile(
    r"^(\s*|.*[━█].*|To track the changes.*|\s+git add .*|To enable auto staging.*|\s+dvc config .*|> .*)$"
)
SHOW = (
    r"dvc exp show --only-changed --drop '.*depth.json.*|.*kitti.json.*|(strict|loose)\..*|.*_m|.*/.*|Created|.*bev.*'"
)
DIFF = "dvc metrics diff HEAD~1 --targets metrics/summary.json"


class Desk:
    """One person's clone; what is typed there is kept, with what comes back."""

    def __init__(self, folder: Path, who: str, address: str, page: list[str]) -> None:
        self.folder, self.who, self.address, self.page = folder, who, address, page

    def type(self, command: str, *, lines: int = 24) -> str:
        """Run a command line and keep its output, at most `lines` lines of it.

        Raises:
            SystemExit: it failed.
        """
        began = time.perf_counter()
        self.folder.mkdir(exist_ok=True)
        done = subprocess.run(
            command, shell=True, cwd=self.folder, env=self.environment(), text=True, check=False,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        seconds = time.perf_counter() - began
        print(f"{self.who}$ {command}  [{seconds:.0f} s]", file=sys.stderr, flush=True)
        if done.returncode:
            sys.exit(f"week: {command} failed in {self.folder}:\n{done.stdout}")
        shown = [line.rstrip() for line in self.readable(done.stdout) if not NOISE.match(line)]
        if len(shown) > lines:
            shown = [*shown[: lines // 2], f"… {len(shown) - lines} lines …", *shown[-(lines - lines // 2) :]]
        self.page += ["```text", f"{self.who}$ {command}", *shown, "```", ""]
        return done.stdout

    def environment(self) -> dict[str, str]:
        """This interpreter first, one thread, the server's credentials, and nothing of the user's settings."""
        home = self.folder.parent
        person = {f"GIT_{role}_{key}": value for role in ("AUTHOR", "COMMITTER") for key, value in PERSON.items()}
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "DVC_", "GIT_"))}
        return inherited | person | {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(home), "S3": self.address, "COLUMNS": "140", "OMP_NUM_THREADS": "1",
            "GIT_CONFIG_GLOBAL": os.devnull, "DVC_GLOBAL_CONFIG_DIR": str(home), "DVC_SITE_CACHE_DIR": f"{home}/site",
            "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_DEFAULT_REGION": "us-east-1",
        }  # fmt: skip

    def readable(self, text: str) -> list[str]:
        """Lines without this machine's paths, addresses and progress bars."""
        text = text.replace(str(self.folder.parent), "~").replace(self.address, "http://s3.lan:9000")
        text = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", text)
        return [line.split("\r")[-1] for line in text.splitlines()]

    def say(self, text: str) -> None:
        """A line of the story."""
        self.page += [text, ""]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", nargs="?", type=Path, help="an empty folder that stays; default: one that is removed")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    args = parser.parse_args()
    if args.work and args.work.exists() and any(args.work.iterdir()):
        sys.exit(f"week: {args.work} is not empty: remove it, or choose another folder")
    with tempfile.TemporaryDirectory() as temporary:
        text = week(args.work or Path(temporary), args.seeds)
    print(text)
    if args.out:
        args.out.write_text(text)


def week(work: Path, seeds: list[int]) -> str:
    """The page."""
    work.mkdir(parents=True, exist_ok=True)
    page = ["# A week", "", *str(__doc__).split("Usage:", maxsplit=1)[0].strip().splitlines()[2:], ""]
    with local_s3("lab") as address:
        ann = Desk(work.resolve() / "ann", "ann", address, page)
        ben = Desk(work.resolve() / "ben", "ben", address, page)
        prepare(ann)
        monday(ann)
        tuesday(ann)
        wednesday(ann, seeds)
        thursday(ann)
        friday(ann, ben)
    page.append("Made with `benchmarks/week.py`; addresses, paths, times and progress bars are left out.")
    return "\n".join(page) + "\n"


def prepare(ann: Desk) -> None:
    """A clone with small settings and a server for Git; not part of the story."""
    for command in (
        f"git clone --quiet {ROOT} .", "git init --quiet --bare ../server", "git remote set-url origin ../server",
        "git checkout --quiet -B main",
    ):  # fmt: skip
        ann.type(command)
    path = ann.folder / "params.yaml"
    tree = yaml.safe_load(path.read_text())
    demo = tree["profiles"]["demo"]
    demo["scenes"] |= FRAMES
    demo["data"] |= SIZE
    demo["evaluate"]["bootstrap"] = 20
    for stage in ("teacher", "baseline", "student"):
        demo[stage] |= {"epochs": 1, "batch_size": 4}
    path.write_text(yaml.safe_dump(tree, sort_keys=False, allow_unicode=True))
    del ann.page[ann.page.index("```text") :]


def monday(ann: Desk) -> None:
    ann.say("## Monday: first results, and a place for artefacts")
    ann.type("git commit --quiet -am 'Small settings'")
    ann.type("dvc repro", lines=30)
    ann.type("dvc remote add --default lab s3://lab/monokd")
    ann.type("dvc remote modify lab endpointurl $S3")
    ann.type("git add . && git commit --quiet -m 'First results' && git push --quiet origin main")
    ann.type("dvc push")


def tuesday(ann: Desk) -> None:
    ann.say("## Tuesday: another weight. Teacher and baseline stay as they are")
    ann.type("dvc exp run --name more-affinity -S losses.monoskd.affinity=2")
    ann.type("dvc params diff")
    ann.type("git add . && git commit --quiet -m 'Affinity counts twice'")


def wednesday(ann: Desk, seeds: list[int]) -> None:
    ann.say("## Wednesday: seeds × losses, in the queue")
    ann.type(f"dvc exp run --queue -S loss=none,monoskd -S seed={','.join(map(str, seeds))}")
    ann.type("dvc queue start")
    wait_for_queue(ann)
    ann.type("dvc queue status")
    ann.type(SHOW)
    if "summarize" in subprocess.run([*MONOKD, "--help"], capture_output=True, text=True, check=True).stdout:
        ann.type("monokd summarize")


def wait_for_queue(ann: Desk) -> None:
    """Until no task waits and the worker is gone."""
    while True:
        done = subprocess.run(
            "dvc queue status", shell=True, cwd=ann.folder, env=ann.environment(), text=True,
            capture_output=True, check=True,
        )  # fmt: skip
        if not re.search(r"\b(Queued|Running)\b", done.stdout) and "0 active, 0 idle" in done.stdout:
            return
        time.sleep(5)


def thursday(ann: Desk) -> None:
    ann.say("## Thursday: what did Tuesday's commit change?")
    ann.type("dvc params diff HEAD~1")
    ann.type(DIFF)
    ann.type("dvc plots diff HEAD~1 --targets metrics/student/history.csv metrics/student/pr.csv")
    ann.say("The page needs no network: lines of both commits for every term of the loss, precision over recall.")


def friday(ann: Desk, ben: Desk) -> None:
    ann.say("## Friday: share")
    ann.type("git push --quiet origin main && dvc push")
    ann.type("dvc exp push origin more-affinity")
    ben.say("Ben, elsewhere. Nothing is trained:")
    ben.type("git clone --quiet --branch main ../server .")
    ben.type("dvc pull")
    ben.type("dvc repro", lines=16)
    ben.say("And Ann's experiment:")
    ben.type("dvc exp pull origin more-affinity")
    ben.type("dvc exp list --all-commits")


MONOKD = (sys.executable, "-m", "monokd.cli")
PERSON = {"NAME": "Someone", "EMAIL": "someone@example.org"}


@contextmanager
def local_s3(bucket: str) -> Iterator[str]:
    """The address of an S3-compatible server on the loopback with one empty bucket; it keeps everything in memory."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(600):
            try:
                urllib.request.urlopen(urllib.request.Request(f"{address}/{bucket}", method="PUT"), timeout=60).close()
                break
            except OSError:  # not listening yet
                time.sleep(0.1)
        else:
            raise TimeoutError("the S3 server did not start within a minute")
        yield address
    finally:
        server.kill()  # it holds nothing that has to be kept
        server.wait()


if __name__ == "__main__":
    main()
