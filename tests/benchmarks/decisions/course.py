"""A plant learned again and again as its history grows: verdicts, without networks.

Features, splits, rankings and verdicts are the product's, and so is what one retraining hands to
the next. Where the product would train a network, its version is taken to pass the gate; it then
carries the ranking its plan was built from, as `jobs.recipe` has it.
"""

import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace

import numpy as np
from benchmarks.decisions.plants import Grown
from factories import make_card

from pm_app.errors import NotEnoughData
from pm_app.learning.data.labels import count_failures
from pm_app.learning.dataset import Dataset, Evidence, LearningTask
from pm_app.learning.ranking import (
    CHAMPION_STAYS,
    ChampionVersion,
    Ranking,
    make_task,
    planner_of,
    rank_sensors,
)
from pm_app.times import utc_text

# A failure is known to the nanosecond, time left to the rounding of hours.
ROUNDING_NS = 1_000_000
STRATEGY = "tiers"


@dataclass(frozen=True)
class Step:
    """One retraining: what came of it, and what it was asked of.

    window: failures of the rows that drift was asked of; of_kind: how many of them are of the
    mode watched for. seconds: of one processor.
    """

    day: float
    verdict: str
    p_value: float | None
    tau: float | None
    in_a_row: int
    failures: int
    window: int
    of_kind: int
    reason: str
    seconds: float

    def as_row(self) -> dict[str, object]:
        """As JSON has it."""
        return {**asdict(self), "seconds": round(self.seconds, 2)}


@dataclass(frozen=True)
class Course:
    """What one retraining hands to the next."""

    champion: ChampionVersion | None = None
    in_a_row: int = 0
    failures: int = 0


def follow(plant: Grown, days: Iterable[float], *, watch: str) -> Iterator[Step]:
    """A retraining on each of these days, in turn."""
    standing = Course()
    for day in days:
        step, standing = _retrain(plant, day, standing, watch)
        yield step


def _retrain(plant: Grown, day: float, standing: Course, watch: str) -> tuple[Step, Course]:
    start = time.process_time()
    champion = standing.champion
    known = plant.known(day, champion.card.spec if champion else None)
    failures = count_failures(known.labels)
    try:
        study = make_task(known, plant.settings)
    except NotEnoughData as error:
        step = Step(day, "not_enough_data", None, None, standing.in_a_row, failures, 0, 0,
                    str(error), time.process_time() - start)  # fmt: skip
        return step, standing
    continues = champion is not None and champion.can_continue(known)
    evidence = Evidence(
        now="",
        in_a_row_before=standing.in_a_row,
        failures_before=champion.card.failures if champion else 0,
        failures_last=standing.failures,
    )
    ranking = rank_sensors(study, plant.settings, evidence, champion, failures, continues=continues)
    drift = ranking.drift
    window, of_kind = _window(plant, ranking, watch)
    seconds = time.process_time() - start
    step = Step(day, drift.verdict, drift.p_value, drift.tau, drift.in_a_row, failures,
                window, of_kind, drift.reason, seconds)  # fmt: skip
    return step, _hand_on(known, study, plant, standing, ranking, failures)


def _hand_on(
    known: Dataset,
    study: LearningTask,
    plant: Grown,
    standing: Course,
    ranking: Ranking,
    failures: int,
) -> Course:
    drift, importance = ranking.drift, ranking.importance
    if drift.verdict in CHAMPION_STAYS:
        return replace(standing, in_a_row=drift.in_a_row, failures=failures)
    old = standing.champion.card if standing.champion else None
    kept = old is not None and importance is old.importance
    plan = old.allocation if old is not None and kept else None
    card = make_card(
        known.spec,
        importance=importance,
        allocation=plan or planner_of(study, importance, plant.settings).plan(STRATEGY),
        failures=failures,
        features=study.frame.features,
        trained_until=utc_text(int(study.frame.cutoff.max())),
        ranked=ranking.span,
    )
    # A version with a ranking of its own begins the count anew.
    in_a_row = drift.in_a_row if drift.verdict == "refit" else 0
    return Course(ChampionVersion(card, b"", b""), in_a_row, failures)


def _window(plant: Grown, ranking: Ranking, watch: str) -> tuple[int, int]:
    """The newest failures that were compared, and how many are of the mode watched for."""
    if ranking.compared is None:
        return 0, 0
    newest = ranking.compared.after.time // ROUNDING_NS
    watched = np.array([time // ROUNDING_NS for _, time in plant.failures(watch)], dtype=np.int64)
    near = np.abs(newest[:, None] - watched) <= 1
    return len(newest), int(near.any(axis=1).sum())
