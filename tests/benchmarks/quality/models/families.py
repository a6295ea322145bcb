"""Every model by name, in families that are measured together."""

import time
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from benchmarks.quality.blocks import MEAN, OURS, TREES, VERSION
from benchmarks.quality.models.boosters import BOOSTERS
from benchmarks.quality.models.judging import Measured, Said, judge
from benchmarks.quality.models.ours import (
    STRATEGIES,
    code_digest,
    measure_strategies,
    measure_version,
)
from benchmarks.quality.models.peers import PEERS, Learner, ask, said_by
from benchmarks.quality.results import digest_of_files
from benchmarks.quality.sets.folds import Fold, Task

Measure = Callable[[Fold, Task, int, Collection[str]], Iterable[Measured]]


@dataclass(frozen=True)
class Family:
    """Models that share work: a version and its members, strategies tuned alike, boosters.

    measure(fold, task, seed, wanted): these models of the family. repeated: models whose spread
    over seeds is worth knowing. by_name: whether it is measured only where it is named. peer:
    whether it is none of ours.
    """

    name: str
    models: tuple[str, ...]
    code: str
    measure: Measure
    repeated: tuple[str, ...] = ()
    by_name: bool = False
    peer: bool = True


def families() -> tuple[Family, ...]:
    """All of them, ours first."""
    here = Path(__file__).parent
    learners = f"scikit-learn {version('scikit-learn')}, {digest_of_files([here / 'peers.py'])}"
    code = code_digest()
    ours = Family(VERSION, OURS, code, measure_version, OURS, peer=False)
    strategies = Family(
        "strategies", STRATEGIES, code, measure_strategies, by_name=True, peer=False
    )
    peers = (
        Family(name, (name,), learners, _one(name, PEERS[name]), (name,) if name in TREES else ())
        for name in PEERS
    )
    return ours, strategies, *peers, _boosters(digest_of_files([here / "boosters.py"]))


def _one(name: str, learner: Learner) -> Measure:
    def measure(fold: Fold, task: Task, seed: int, wanted: Collection[str]) -> Iterator[Measured]:
        start = time.process_time()
        said = said_by([ask(fold, learner, task, seed=seed)], fold, task)
        yield _judged(name, said, fold, task, time.process_time() - start)

    return measure


def _judged(name: str, said: Said, fold: Fold, task: Task, seconds: float) -> Measured:
    return name, judge(fold, task, said), said.note, seconds


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
                said = said_by(every[-1:], fold, task)
                yield _judged(name, said, fold, task, time.process_time() - start)
        if MEAN in wanted:
            said = said_by(every, fold, task)
            yield _judged(MEAN, said, fold, task, time.process_time() - began)

    models = (*installed, MEAN) if len(installed) == len(BOOSTERS) else tuple(installed)
    versions = ", ".join([*(f"{name} {version(name.lower())}" for name in installed), code])
    return Family("boosters", models, versions, measure, models)
