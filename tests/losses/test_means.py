"""Means over a batch that processes share."""

import torch
from torch import Tensor

from monokd.losses.means import Mean, Processes, over_processes


def test_all_terms_of_a_step_take_one_sum_over_the_processes() -> None:
    """The other one of two has 3 and 0 elements; nobody has one of the last term."""
    sums: list[Tensor] = []

    def total(counts: Tensor) -> Tensor:
        sums.append(counts)
        return counts + torch.tensor([3.0, 0.0, 0.0])

    terms = {
        "depth": (Mean(torch.tensor(8.0), 1), Mean(torch.tensor(6.0), 2)),
        "head": (Mean(torch.tensor(0.0), torch.tensor(0), empty=0.0),),
    }
    found = over_processes(terms, Processes(2, total))
    assert [counts.tolist() for counts in sums] == [[1, 2, 0]]
    assert {name: float(value) for name, value in found.items()} == {"depth": 2 * 8 / 4 + 2 * 6 / 2, "head": 0}
    assert over_processes({}, Processes(2, total)) == {}
    assert len(sums) == 1


def test_weights_that_sum_to_less_than_one_still_make_a_mean() -> None:
    """One element of error 2, weighted by its score 0.3; without elements a mean is its value for that."""
    assert float(Mean(torch.tensor(0.6), torch.tensor(0.3)).here()) == 2
    assert float(Mean(torch.tensor(0.0), torch.tensor(0.0), empty=1.0).here()) == 1
