"""Every model by name, in families that are measured together."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from benchmarks.quality.blocks import MEAN
from benchmarks.quality.models.boosters import BOOSTERS
from benchmarks.quality.models.judging import Said
from benchmarks.quality.models.ours import OURS, code_digest, said_by_ours
from benchmarks.quality.models.peers import PEERS, Learner, ask, said_by
from benchmarks.quality.results import digest_of_files
from benchmarks.quality.sets.folds import Fold, Task

Measured = tuple[str, Said, float]


@dataclass(frozen=True)
class Family:
    """Models that share work: those of a booster's mean, the strategies of one network.

    measure(fold, task, seed): name, what is said, processor seconds, of every model of the family.
    """

    name: str
    models: tuple[str, ...]
    code: str
    measure: Callable[[Fold, Task, int], Iterator[Measured]]


def families() -> tuple[Family, ...]:
    """All of them, ours first."""
    here = Path(__file__).parent
    learners = f"scikit-learn {version('scikit-learn')}, {digest_of_files([here / 'peers.py'])}"
    versions = [f"{name} {version(name.lower())}" for name in BOOSTERS]
    boosters = ", ".join([*versions, digest_of_files([here / "boosters.py"])])
    ours = Family("ours", OURS, code_digest(), lambda f, t, s: iter(said_by_ours(f, t, seed=s)))
    peers = (Family(name, (name,), learners, _one(name, PEERS[name])) for name in PEERS)
    return ours, *peers, Family("boosters", (*BOOSTERS, MEAN), boosters, _boosters)


def _one(name: str, learner: Learner) -> Callable[[Fold, Task, int], Iterator[Measured]]:
    def measure(fold: Fold, task: Task, seed: int) -> Iterator[Measured]:
        start = time.process_time()
        said = said_by([ask(fold, learner, task, seed=seed)], fold, task)
        yield name, said, time.process_time() - start

    return measure


def _boosters(fold: Fold, task: Task, seed: int) -> Iterator[Measured]:
    every, began = [], time.process_time()
    for name, learner in BOOSTERS.items():
        start = time.process_time()
        every.append(ask(fold, learner, task, seed=seed))
        yield name, said_by(every[-1:], fold, task), time.process_time() - start
    yield MEAN, said_by(every, fold, task), time.process_time() - began
