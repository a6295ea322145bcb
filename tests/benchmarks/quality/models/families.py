"""Every model by name, in families that are measured together."""

import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from benchmarks.quality.blocks import AUTO, CONTROL, MEAN, TREES
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

    measure(fold, task, seed, wanted): name, what is said, processor seconds, of these models of
    the family. repeated: models whose spread over seeds is worth knowing.
    """

    name: str
    models: tuple[str, ...]
    code: str
    measure: Callable[[Fold, Task, int, Collection[str]], Iterator[Measured]]
    repeated: tuple[str, ...] = ()


def families() -> tuple[Family, ...]:
    """All of them, ours first."""
    here = Path(__file__).parent
    learners = f"scikit-learn {version('scikit-learn')}, {digest_of_files([here / 'peers.py'])}"
    ours = Family("ours", OURS, code_digest(), _ours, (AUTO, CONTROL))
    peers = (
        Family(name, (name,), learners, _one(name, PEERS[name]), (name,) if name in TREES else ())
        for name in PEERS
    )
    return ours, *peers, _boosters(digest_of_files([here / "boosters.py"]))


def _ours(fold: Fold, task: Task, seed: int, wanted: Collection[str]) -> Iterator[Measured]:
    return iter(said_by_ours(fold, task, seed=seed, wanted=wanted))


def _one(name: str, learner: Learner) -> Callable[..., Iterator[Measured]]:
    def measure(fold: Fold, task: Task, seed: int, wanted: Collection[str]) -> Iterator[Measured]:
        start = time.process_time()
        said = said_by([ask(fold, learner, task, seed=seed)], fold, task)
        yield name, said, time.process_time() - start

    return measure


def _boosters(code: str) -> Family:
    """Those that are installed; the mean of them only where all three are."""
    installed = {name: each for name, each in BOOSTERS.items() if find_spec(name.lower())}
    for name in BOOSTERS:
        if name not in installed:
            print(f"{name} is not installed: not measured, nor is the {MEAN}")

    def measure(fold: Fold, task: Task, seed: int, wanted: Collection[str]) -> Iterator[Measured]:
        every, began = [], time.process_time()
        for name, learner in installed.items():
            if name in wanted or MEAN in wanted:
                start = time.process_time()
                every.append(ask(fold, learner, task, seed=seed))
                yield name, said_by(every[-1:], fold, task), time.process_time() - start
        if MEAN in wanted:
            yield MEAN, said_by(every, fold, task), time.process_time() - began

    models = (*installed, MEAN) if len(installed) == len(BOOSTERS) else tuple(installed)
    versions = ", ".join([*(f"{name} {version(name.lower())}" for name in installed), code])
    return Family("boosters", models, versions, measure, models)
