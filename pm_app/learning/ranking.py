"""What one retraining works on, how it ranks the sensors, and what networks it may build."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np

from pm_app.features.frame import select_features
from pm_app.jobs.retrain.dataset import Dataset
from pm_app.jobs.retrain.messages import TrainingRequest
from pm_app.learning.allocation.planner import Planner, make_planner
from pm_app.learning.allocation.strategies import moved_units
from pm_app.learning.data.labels import count_failures
from pm_app.learning.data.splits import censor_at_parts, newest_part, split_rows
from pm_app.learning.data.sufficiency import (
    name_some,
    require_changing_sensor,
    require_enough,
    require_foreseeable,
    sensors_without_values,
)
from pm_app.learning.data.targets import choose_head
from pm_app.learning.importance.attribution import Attributions, attribute_failures
from pm_app.learning.importance.drift import (
    DriftContext,
    change_of_failures,
    change_of_rankings,
    decide,
    first_drift,
)
from pm_app.learning.importance.leakage import find_leakage_suspects, suspect_text
from pm_app.learning.importance.permutation import measure_importance
from pm_app.records.features import Frame
from pm_app.records.labels import Labels, Split
from pm_app.records.learning import Drift, Head, Importance, LeakageSuspect, VersionCard
from pm_app.settings.plant import Settings
from pm_app.times import HOUR_NS, to_nanoseconds


@dataclass(frozen=True, eq=False)
class ChampionVersion:
    """A version as the trainer needs it."""

    card: VersionCard
    onnx: bytes
    keras: bytes

    @property
    def trained_until_ns(self) -> int:
        """The newest cutoff it learned from, in nanoseconds UTC."""
        return to_nanoseconds(datetime.fromisoformat(self.card.trained_until))

    def can_read(self, frame: Frame) -> bool:
        """Whether its features can still be made."""
        return set(self.card.features) <= set(frame.features)


# Verdicts by which the champion stays, and nothing is trained.
CHAMPION_STAYS = ("keep", "not_enough_data")
# Failures a ranking comes from that are compared; older ones make it no surer.
MOST_BEFORE = 200


@dataclass(frozen=True, eq=False)
class LearningTask:
    """What one retraining works on."""

    task: str
    frame: Frame
    labels: Labels
    split: Split
    head: Head


def make_task(known: Dataset, settings: Settings) -> LearningTask:
    """Features worth learning from, parts that do not leak, and the head that fits them.

    Raises NotEnoughData where what is known cannot teach what is asked.
    """
    horizons = settings.target.horizons_hours
    task = settings.target.task if settings.target.kind == "column" else "life"
    minimum = settings.retraining.minimum_failures
    require_enough(known.labels, minimum_failures=minimum, missed=known.missed)
    require_changing_sensor(known.frame, known.labels, sensors=known.spec.sensors)
    require_foreseeable(known.frame, known.labels, horizon_hours=horizons[-1])
    frame = select_features(known.frame, known.informative)
    split = split_rows(
        frame, known.labels, horizon_hours=horizons[-1], seed=settings.retraining.seed
    )
    labels = censor_at_parts(frame, known.labels, split)
    head = choose_head(
        labels,
        np.concatenate([split.train, split.validation]),
        task=task,
        horizons_hours=horizons,
        cap_hours=settings.target.cap_hours,
    )
    return LearningTask(task, frame, labels, split, head)


@dataclass(frozen=True, eq=False)
class ComparedFailures:
    """The failures that are compared: those a ranking comes from, and the newest."""

    before: Attributions
    after: Attributions


@dataclass(frozen=True, eq=False)
class Ranking:
    """What guides a plan, how it compares with the champion's, and the failures it comes from.

    span: nanoseconds of the first and the last of them, None where the target is no life.
    compared: what drift was asked of, None where that was no failures.
    """

    importance: Importance
    drift: Drift
    span: tuple[int, int] | None
    compared: ComparedFailures | None = None


def rank_sensors(
    study: LearningTask,
    settings: Settings,
    order: TrainingRequest,
    rival: ChampionVersion | None,
    failures: int,
    *,
    goes_on: bool,
) -> Ranking:
    """The ranking that guides this retraining, and whether the champion's still holds.

    Lives are asked which sensors told the newest failures, and which told those the champion's
    ranking comes from: over all of history a change would be noticed only when most of history
    came after it. Where they differ, the newest also guide. A table is ranked as a whole.
    goes_on: whether a refit may continue the rival's weights; it then keeps the ranking its
    allocation was built from, for against it drift is measured.
    """
    if rival is None:
        return Ranking(_measure(study, study.split, settings), first_drift(), _span(study))
    if study.task != "life":
        now = _measure(study, study.split, settings)
        drift = decide(
            lambda: change_of_rankings(rival.card.importance, now),
            _standing(settings, order, failures),
            before=rival.card.importance.sensors,
            now=now.sensors,
        )
        return Ranking(now, _with_moves(drift, rival, now, study, settings), None)
    sides = _sides(study, settings, rival)
    drift = _ask_failures(sides, study, settings, order, rival, failures)
    if drift.verdict in CHAMPION_STAYS or (drift.verdict == "refit" and goes_on):
        return Ranking(rival.card.importance, drift, rival.card.ranked, sides)
    recent = _newest(study, settings, rival) if drift.verdict == "rebuild" else None
    now = _measure(study, recent or study.split, settings)
    drift = _with_moves(drift, rival, now, study, settings)
    return Ranking(now, drift, _span(study, recent), sides)


def _sides(study: LearningTask, settings: Settings, rival: ChampionVersion) -> ComparedFailures:
    """Both sides, apart in time; the newest are `2 * retraining.minimum_failures`, or half.

    A champion that does not say what its ranking comes from knew all failures until it learned.
    """
    told = attribute_failures(
        study.frame,
        study.labels,
        study.split,
        horizons_hours=settings.target.horizons_hours,
        seed=settings.retraining.seed,
    )
    # What is made of events and age grows with the record, however the plant fails.
    told = told.only(rival.card.spec.sensors)
    first, last = rival.card.ranked or (0, rival.trained_until_ns)
    told = told.take(told.time >= first)
    newest = min(2 * _minimum(settings), len(told.time) // 2)
    is_newest = np.arange(len(told.time)) >= len(told.time) - newest
    known = np.flatnonzero((told.time <= last) & ~is_newest)[-MOST_BEFORE:]
    is_before = np.isin(np.arange(len(told.time)), known)
    return ComparedFailures(told.take(is_before), told.take(is_newest))


def _ask_failures(
    sides: ComparedFailures,
    study: LearningTask,
    settings: Settings,
    order: TrainingRequest,
    rival: ChampionVersion,
    failures: int,
) -> Drift:
    compared, minimum = len(sides.before.time) + len(sides.after.time), _minimum(settings)
    standing = _standing(settings, order, failures)
    if compared < minimum or not len(sides.before.time):
        told = f"{compared} failures say which sensors told them, {minimum} needed"
        standing = replace(standing, too_few=told)
    before = rival.card.importance
    return decide(
        lambda: change_of_failures(sides.before, sides.after, before.clusters),
        standing,
        before=before.sensors,
        now=study.frame.sensors,
    )


def _newest(study: LearningTask, settings: Settings, rival: ChampionVersion) -> Split | None:
    """The rows of the newest failures, None where those are all of history."""
    return newest_part(
        study.frame,
        study.labels,
        study.split,
        since_ns=rival.trained_until_ns,
        failures=2 * _minimum(settings),
    )


def planner_of(study: LearningTask, importance: Importance, settings: Settings) -> Planner:
    """What may be built for a study, within allocation.max_parameters."""
    return make_planner(
        study.frame,
        study.split.train,
        importance,
        outputs=max(len(study.head.edges_hours), 1),
        max_parameters=settings.allocation.max_parameters,
    )


def _measure(study: LearningTask, split: Split, settings: Settings) -> Importance:
    return measure_importance(
        study.frame,
        study.labels,
        split,
        horizons_hours=settings.target.horizons_hours,
        task=study.task,
        seed=settings.retraining.seed,
    )


def _standing(settings: Settings, order: TrainingRequest, failures: int) -> DriftContext:
    return DriftContext(
        p_value=settings.drift.p_value,
        in_a_row_needed=settings.drift.in_a_row,
        in_a_row_before=order.in_a_row_before,
        has_new_failures=failures > order.failures_before,
        has_new_evidence=failures > order.failures_last,
        forced=order.force,
    )


def _with_moves(
    drift: Drift, rival: ChampionVersion, now: Importance, study: LearningTask, settings: Settings
) -> Drift:
    """The drift with the share of units that a plan by the ranking of now would move."""
    before = rival.card.allocation
    after = planner_of(study, now, settings).plan(before.strategy)
    return replace(drift, moved_units=moved_units(before, after))


def _span(study: LearningTask, split: Split | None = None) -> tuple[int, int] | None:
    """When the first and the last failure was that the rows of a ranking come before."""
    split = split or study.split
    rows = np.concatenate([split.train, split.validation])
    rows = rows[study.labels.failed[rows]]
    if not len(rows):
        return None
    left = np.round(study.labels.duration_hours[rows] * HOUR_NS).astype(np.int64)
    end = study.frame.cutoff[rows] + left
    return int(end.min()), int(end.max())


def _minimum(settings: Settings) -> int:
    return settings.retraining.minimum_failures


def find_suspects(
    study: LearningTask, known: Dataset, settings: Settings
) -> tuple[LeakageSuspect, ...]:
    """Sensors of the readings that may know the outcome."""
    return find_leakage_suspects(
        study.frame,
        study.labels,
        study.split,
        sensors=known.spec.sensors,
        horizons_hours=settings.target.horizons_hours,
        task=study.task,
        seed=settings.retraining.seed,
    )


def remarks(known: Dataset, suspicions: Sequence[LeakageSuspect]) -> list[str]:
    """What a person should know about the readings, in words."""
    told = [suspect_text(one) for one in suspicions]
    if known.told:
        failures = count_failures(known.labels)
        events = failures - known.told
        told.append(f"{failures} failures: {events} from events, {known.told} from verdicts")
    silent = sensors_without_values(known.frame, known.labels, sensors=known.spec.sensors)
    if silent:
        told.append(f"no value of {name_some(silent)} in any reading")
    if known.too_fine:
        told.append(
            f"{name_some(known.too_fine)} changes by less than 32-bit numbers of its size can "
            "tell: subtract a constant from it"
        )
    return told
