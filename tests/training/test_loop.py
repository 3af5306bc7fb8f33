"""The loop on a one-parameter problem: what it minimises, what it records, where it stops, how it goes on."""

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from monokd.errors import DataError
from monokd.losses.task_weights import TaskWeights
from monokd.samples.batch import Batch
from monokd.samples.loader import EpochLoader
from monokd.training.loop import FitSettings, _Losses, fit
from monokd.training.steps import DetectionStep


class Pull(nn.Module):
    """Terms that pull one number to the batch's value; `extra` is a distillation term."""

    def __init__(self, bad: str = "") -> None:
        super().__init__()
        self.x = nn.Parameter(torch.zeros(()))
        self.bad = bad

    def forward(self, chunks: Sequence[Batch]) -> dict[str, Tensor]:
        target = torch.stack([chunk.inputs["image"].mean() for chunk in chunks]).mean()
        terms = {name: (self.x - target).square() for name in ("seg", "offset2d", "size2d", "depth")}
        terms |= dict.fromkeys(("offset3d", "size3d", "heading"), self.x * 0) | {"extra": (self.x + 1).abs()}
        if any(self.bad in chunk.frames for chunk in chunks):
            terms["depth"] = terms["depth"] * float("nan")
        return terms


class Loader:
    """Three batches of one frame; their values depend on the epoch."""

    def __len__(self) -> int:
        return 3

    def batches(self, epoch: int) -> Iterator[Batch]:
        nothing = torch.zeros(0)
        for index in range(3):
            image = torch.full((1, 3, 2, 2), epoch + index / 3)
            yield Batch((f"{epoch}{index}",), {"image": image}, nothing, nothing, nothing)


def train(folder: Path, step: Pull, epochs: int, **changes: Any) -> list[dict[str, str]]:
    """Train by `fit`; `changes` are of its settings, or `fabric`, `optimiser` and `tasks`."""
    fabric = changes.pop("fabric", None) or Fabric(accelerator="cpu", devices=1)
    optimiser = changes.pop("optimiser", None) or torch.optim.Adam(step.parameters(), lr=0.1)
    tasks = changes.pop("tasks", TaskWeights(enabled=False))
    settings: dict[str, Any] = {
        "name": "test",
        "epochs": epochs,
        "rate": lambda epoch, share: 0.1 / (1 + epoch + share),
        "weights": {"extra": 0.5},
    }
    fit(
        cast(DetectionStep, step), cast(EpochLoader, Loader()), FitSettings(**settings | changes), fabric=fabric,
        optimiser=optimiser, tasks=tasks, checkpoint=folder / "state.pt", history=folder / "history.csv",
    )  # fmt: skip
    with (folder / "history.csv").open() as stream:
        return list(csv.DictReader(stream))


Run = tuple[list[dict[str, str]], float]


def run(folder: Path, epochs: int = 4, **changes: Any) -> Run:
    """The history and the number after training."""
    step = Pull()
    return train(folder, step, epochs, **changes), step.x.item()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Four epochs that nothing disturbs."""
    return run(tmp_path_factory.mktemp("whole"))


def test_the_history_holds_means_weights_and_their_sum(tmp_path: Path) -> None:
    rows = train(tmp_path, Pull(), 2)
    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert float(rows[1]["lr"]) == pytest.approx(0.05)
    first = {name: float(value) for name, value in rows[0].items()}
    assert first["weight_extra"] == 0.5
    assert first["total"] == pytest.approx(4 * first["seg"] + 0.5 * first["extra"], rel=1e-6)


@pytest.mark.parametrize("stop", [1, 2, 3])
def test_stopping_after_any_epoch_and_going_on_changes_no_bit(tmp_path: Path, whole: Run, stop: int) -> None:
    train(tmp_path, Pull(), stop)
    assert run(tmp_path) == whole


def test_going_on_takes_the_optimisers_tensors_to_where_the_weights_are(tmp_path: Path) -> None:
    """Fabric moves the module in `setup`; here to another type instead of a GPU: torch casts both when it loads."""
    run(tmp_path, 2)
    step = Pull()
    optimiser = torch.optim.Adam(step.parameters(), lr=0.1)
    train(tmp_path, step, 2, fabric=Fabric(accelerator="cpu", devices=1, precision="64-true"), optimiser=optimiser)
    moments = [optimiser.state[step.x][name] for name in ("exp_avg", "exp_avg_sq")]
    assert {tensor.dtype for tensor in (step.x, *moments)} == {torch.float64}


def test_task_weights_go_on_where_they_stopped(tmp_path: Path) -> None:
    def tasks() -> TaskWeights:
        return TaskWeights(window=3, ramp_epochs=8)

    rows = train(tmp_path / "whole", Pull(), 6, tasks=tasks())
    assert len({row["weight_depth"] for row in rows}) > 1
    train(tmp_path / "half", Pull(), 4, tasks=tasks())
    assert train(tmp_path / "half", Pull(), 6, tasks=tasks()) == rows


def test_a_loss_that_is_not_finite_stops_the_run_by_name_and_keeps_the_last_epoch(tmp_path: Path, whole: Run) -> None:
    """Once its cause is gone, the kept state leads to the bits of a run that never failed."""
    with pytest.raises(DataError, match=r"^training stopped: .* found depth = nan in epoch 2, frames 21; the .* kept$"):
        train(tmp_path, Pull(bad="21"), 4)
    assert torch.load(tmp_path / "state.pt", weights_only=True)["epoch"] == 2
    assert run(tmp_path) == whole


def test_a_damaged_state_gives_way_to_the_one_before_it_to_the_same_bits(
    tmp_path: Path, whole: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    train(tmp_path, Pull(), 3)
    path = tmp_path / "state.pt"
    path.write_bytes(path.read_bytes()[:-100])
    assert run(tmp_path) == whole
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("monokd: ")]
    assert lines == [
        f"monokd: {path}: this saved training state is damaged and cannot be used",
        "monokd: test: goes on after epoch 2 of 4",
    ]


def test_without_any_whole_state_training_says_so_and_starts_anew(
    tmp_path: Path, whole: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("state.pt", "previous-state.pt"):
        (tmp_path / name).write_bytes(b"half a file")
    assert run(tmp_path) == whole
    assert capsys.readouterr().err.count("this saved training state is damaged and cannot be used") == 2


@pytest.mark.parametrize(
    ("changes", "end"),
    [
        ({"gradient_clip": 1e-3}, 0.01 * (-1e-3 + 1e-3 + 1e-3)),
        ({"accumulate": 3}, -0.01 * (-8 * 1 / 3 + 0.5)),
        ({"accumulate": 2}, -0.01 * (-8 * 1 / 6 + 0.5)),
        ({"chunks": 3}, -0.01 * (-8 * 1 / 3 + 0.5)),
    ],
)
def test_an_epoch_of_plain_descent_ends_where_its_gradients_say(
    tmp_path: Path, changes: dict[str, Any], end: float
) -> None:
    """Clipped steps; accumulated batches and chunks make one step of their mean; a batch left over is left out."""
    step = Pull()
    optimiser = torch.optim.SGD(step.parameters())
    (row,) = train(tmp_path, step, 1, optimiser=optimiser, rate=lambda epoch, share: 0.01, **changes)
    assert step.x.item() == pytest.approx(end, rel=1e-5)
    if changes.get("accumulate") == 2:
        assert float(row["seg"]) == pytest.approx(1 / 9 / 2)


def test_fewer_batches_than_a_step_takes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="at least 4 batches a step, found 3"):
        train(tmp_path, Pull(), 1, accumulate=4)


def test_losses_on_an_accelerator_are_read_late_but_all_and_in_order() -> None:
    """What is summed and where it stops do not depend on how often the device is read."""
    for every in (1, 2, 3, 50):
        losses = _Losses(0, every)
        for step in range(1, 8):
            losses.add(("f",), {"a": torch.tensor(float(step)), "b": torch.tensor(2.0 * step)})
        assert losses.means() == {"a": 4.0, "b": 8.0}
    late = _Losses(3, 50)
    for step in range(3):
        bad = torch.tensor(float("inf") if step == 1 else 1.0)
        late.add((f"{6 + step:06d}",), {"a": torch.ones(()), "b": bad})
    with pytest.raises(DataError, match=r"found b = inf in epoch 3, frames 000007"):
        late.means()


@pytest.mark.parametrize("published", [True, False])
def test_q18_weight_decay_of_a_part_whose_term_is_off(tmp_path: Path, published: bool) -> None:
    """Adam turns the decay of a parameter without other gradient into steps of full length, as published."""

    class Waiting(Pull):
        def __init__(self) -> None:
            super().__init__()
            self.waits = nn.Parameter(torch.ones(()))

        def forward(self, chunks: Sequence[Batch]) -> dict[str, Tensor]:
            return super().forward(chunks) | {"extra": (self.waits - 5).square()}

    step = Waiting()
    optimiser = torch.optim.Adam(step.parameters(), lr=0.1, weight_decay=1e-5)
    train(tmp_path, step, 1, optimiser=optimiser, weights={"extra": 0.0}, zero_weight_gradients=published)
    assert (step.waits.item() < 0.9) == published


def test_a_state_is_saved_at_most_every_few_minutes(tmp_path: Path, whole: Run) -> None:
    train(tmp_path, Pull(), 2, save_minutes=60.0)
    assert not (tmp_path / "state.pt").exists()
    assert run(tmp_path, save_minutes=1e-9) == whole
    assert (tmp_path / "state.pt").exists()
