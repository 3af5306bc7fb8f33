"""`dvc repro` with one progress line over all stages, then the results. Usage: python stages/all.py [DVC ARGUMENTS]"""

import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass, field

from rich.console import Console
from rich.live import Live

from monokd.errors import run
from monokd.params import load_params
from monokd.report import summary

# Of the demo, measured on one core. Only their proportions count once some stages have run.
SECONDS = {
    "scenes": 57, "depth": 32, "depth_unlabelled": 21, "teacher": 236, "baseline": 153, "label": 27, "control": 243,
    "distill": 345, "predict@teacher": 16, "predict@baseline": 17, "predict@control": 17, "predict@student": 18,
    "evaluate@teacher": 8, "evaluate@baseline": 6, "evaluate@control": 6, "evaluate@student": 6, "report": 22,
}  # fmt: skip
RUNS = re.compile(r"Running stage '([^']+)'")
PASSED = re.compile(r"Stage '([^']+)' (?:didn't change|is cached)")


@dataclass(slots=True)
class Estimate:
    """How much of a run is done, by what its stages took elsewhere and how fast those were that ran here."""

    left: dict[str, float] = field(default_factory=lambda: dict(SECONDS))
    current: str = ""
    began_s: float = 0.0
    expected_s: float = 0.0
    measured_s: float = 0.0

    def read(self, line: str, now_s: float) -> bool:
        """Take in a line of DVC's; say whether a stage began."""
        if found := PASSED.search(line):
            self.left.pop(found[1], None)
        if not (found := RUNS.search(line)):
            return False
        self.end(now_s)
        self.current, self.began_s = found[1], now_s
        return True

    def end(self, now_s: float) -> None:
        """Count the current stage as done."""
        if self.current:
            self.expected_s += self.left.pop(self.current, 0.0)
            self.measured_s += now_s - self.began_s
            self.current = ""

    def left_s(self, now_s: float) -> float:
        """Estimate the seconds to the end of the last stage."""
        speed = self.measured_s / self.expected_s if self.expected_s else 1.0
        spent = min(now_s - self.began_s, 0.98 * self.left.get(self.current, 0.0) * speed) if self.current else 0.0
        return speed * sum(self.left.values()) - spent


def minutes_left(estimate: Estimate, now_s: float) -> str:
    """Say how long it takes yet."""
    return f"about {estimate.left_s(now_s) / 60:.0f} min left"


def main() -> None:
    began, timed = time.monotonic(), load_params().profile == "demo"
    estimate, console = Estimate(), Console(stderr=True)

    def status() -> str:
        now = time.monotonic()
        share = (now - began) / (now - began + estimate.left_s(now))
        return f"all stages: {share:.0%}, {minutes_left(estimate, now)}" if timed else ""

    process = subprocess.Popen(
        ["dvc", "repro", *sys.argv[1:]], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    with Live(get_renderable=status, console=console, transient=True, refresh_per_second=2):
        try:
            for line in process.stdout or ():
                stage_began = estimate.read(line, time.monotonic())
                console.print(line.rstrip("\n"), markup=False, highlight=False, soft_wrap=True)
                if stage_began:
                    left = f", {minutes_left(estimate, time.monotonic())} in all" if timed else ""
                    console.print(f"stage {len(SECONDS) - len(estimate.left) + 1} of {len(SECONDS)}{left}", style="dim")
        except KeyboardInterrupt:  # DVC and the stage end by it too; their last lines are wanted
            console.print(process.communicate()[0], markup=False, highlight=False, soft_wrap=True)
            raise
    if process.wait():
        sys.exit(process.returncode)
    summary.main()


if __name__ == "__main__":
    run(main)
