"""The few numbers that runs are compared by, and the same in the terminal: python -m monokd.report.summary"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from monokd.errors import DataError, run
from monokd.report.metrics import read_metrics
from monokd.report.tables import HEADLINE, Metrics, classes_of, headline, to_rich, value_of

FOLDER = Path("metrics")
MODELS = ("teacher", "baseline", "student")


def summary(models: Mapping[str, Metrics]) -> dict[str, dict[str, dict[str, float | None]]]:
    """Moderate AP|R40 by network, class and `METRIC_SET` (3d_loose, bev_strict and so on), in percent."""
    return {
        name: {
            class_name: {
                f"{metric.removesuffix('_R40')}_{threshold_set}": value_of(metrics, threshold_set, class_name, metric)
                for threshold_set, metric in HEADLINE
            }
            for class_name in classes_of([metrics])
        }
        for name, metrics in models.items()
    }


def main() -> None:
    """Print the headline tables of the results in `metrics`, one a class."""
    from rich.console import Console  # noqa: PLC0415  (slow to import)

    files = {name: FOLDER / name / "kitti.json" for name in MODELS}
    models = {name: read_metrics(path) for name, path in files.items() if path.exists()}
    if not models:
        raise DataError("expected results, found none; `make repro` makes them", FOLDER)
    for class_name in classes_of(list(models.values())):
        Console().print(to_rich(headline(models, class_name=class_name)))


if __name__ == "__main__":
    run(main)
