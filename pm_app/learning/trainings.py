"""Several trainings of one study: each as plain values, and who does them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pm_app.learning.side_by_side import side_by_side
from pm_app.learning.training import Study, Trained, train_network
from pm_app.records.learning import Allocation


@dataclass(frozen=True)
class Training:
    """A network of this plan, trained at this rate: the same wherever it is done."""

    allocation: Allocation
    rate: float
    seed: int


Done = Callable[[int, Trained], None]
# (study, trainings, done) to what became of each, in order; done hears of each in order as well,
# with how many there are so far.
TrainAll = Callable[[Study, Sequence[Training], Done], list[Trained]]


def train_one(study: Study, training: Training) -> Trained:
    """The network of a training."""
    return train_network(study, training.allocation, seed=training.seed, rate=training.rate)


def train_here(study: Study, trainings: Sequence[Training], done: Done) -> list[Trained]:
    """All of them in this process."""
    return side_by_side(lambda training: train_one(study, training), trainings, done=done)
