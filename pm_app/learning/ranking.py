"""Ranking of a retraining's sensors: its task, importance, drift, and what follows from them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial

import numpy as np

from pm_app.features.frame import select_features
from pm_app.features.limits import learn_limits, limit_features
from pm_app.features.physical_limits import limited_features
from pm_app.learning.allocation.planner import Planner, make_planner
from pm_app.learning.allocation.strategies import moved_units
from pm_app.learning.data.feed_gaps import FeedGaps
from pm_app.learning.data.labels import count_failures, failure_times
from pm_app.learning.data.splits import censor_at_parts, censor_at_test, newest_part, split_rows
from pm_app.learning.data.sufficiency import (
    name_some,
    require_changing_sensor,
    require_enough,
    require_foreseeable,
    sensors_without_values,
)
from pm_app.learning.data.targets import choose_head
from pm_app.learning.dataset import Dataset, Evidence, LearningTask
from pm_app.learning.importance.attribution import Attributions, attribute_failures
from pm_app.learning.importance.drift import (
    DriftContext,
    change_by_mode,
    change_of_rankings,
    decide,
    first_drift,
    frequent_text,
)
from pm_app.learning.importance.leakage import suspect_text
from pm_app.learning.importance.permutation import measure_importance
from pm_app.records.features import Frame
from pm_app.records.learning import Drift, Importance, LeakageSuspect, VersionCard
from pm_app.records.normality import FrozenNormal
from pm_app.records.readings import Flags
from pm_app.scoring.deviation import DEVIATION
from pm_app.settings.plant import Settings
from pm_app.times import HOUR_NS, to_moment, to_nanoseconds

_WEEK_NS = 7 * 24 * HOUR_NS


@dataclass(frozen=True, eq=False)
class ChampionVersion:
    """The version that scores, to be compared with and continued from.

    normal: the normal behaviour whose deviation it reads, None where it reads none.
    """

    card: VersionCard
    onnx: bytes
    keras: bytes
    normal: FrozenNormal | None = None

    @property
    def trained_until_ns(self) -> int:
        """The newest cutoff it learned from, in nanoseconds UTC."""
        return to_nanoseconds(datetime.fromisoformat(self.card.trained_until))

    def has_learned(self, rows: Frame) -> Flags:
        """Where it has learned from a row, or from the failure the row comes before, (n_rows,).

        What it learned from reaches one horizon further, and of a version that does not say how
        far, up to all that it knew. Without time, rows cannot be told apart but by asset.
        """
        card, held_out = self.card, set(self.card.held_out)
        until = to_nanoseconds(datetime.fromisoformat(card.learned_until or card.trained_until))
        until += round(card.head.horizons_hours[-1] * HOUR_NS)
        apart = np.array([name in held_out for name in rows.assets], dtype=np.bool_)[rows.asset]
        timeless = not held_out and not np.ptp(rows.cutoff)
        return np.asarray((rows.cutoff <= until) & ~apart & (not timeless))

    def can_read(self, frame: Frame) -> bool:
        """Whether its features can still be made; its deviation is what its own normal says."""
        read = set(self.card.features)
        if self.normal is not None:
            card = self.normal.card
            read = (read - {DEVIATION}) | {
                *card.features,
                *limited_features(card.spec, card.limits),
            }
        return read <= set(frame.features)

    def can_continue(self, dataset: Dataset) -> bool:
        """Whether its weights can be trained further: its features are there, and mean the
        same, and so do its modes. Where regimes changed features do not."""
        same = dataset.champion_frame is None and dataset.modes.names == self.card.head.modes
        return same and set(self.card.features) <= set(dataset.frame.features)


# Verdicts by which the champion stays, and nothing is trained.
CHAMPION_STAYS = ("keep", "not_enough_data")
# Failures a ranking comes from that are compared; older ones make it no surer.
MOST_BEFORE = 200


def make_task(dataset: Dataset, settings: Settings) -> LearningTask:
    """Features worth learning from, parts that do not leak, and the head that fits them.

    Raises NotEnoughData where the dataset cannot teach what is asked.
    """
    horizons = settings.target.horizons_hours
    kind = settings.target.task if settings.target.kind == "column" else "life"
    labels, minimum = dataset.labels, settings.retraining.minimum_failures
    weeks = float(np.ptp(dataset.frame.cutoff)) / _WEEK_NS if len(labels.value) else 0.0
    require_enough(labels, minimum_failures=minimum, missed=dataset.missed, span_weeks=weeks)
    require_changing_sensor(dataset.frame, labels, sensors=dataset.spec.sensors)
    require_foreseeable(dataset.frame, labels, horizon_hours=horizons[-1])
    frame = select_features(dataset.frame, dataset.informative)
    split = split_rows(frame, labels, horizon_hours=horizons[-1], seed=settings.retraining.seed)
    before_test = censor_at_test(frame, labels, split)
    labels = censor_at_parts(frame, before_test, split)
    limits = learn_limits(frame, split.train, dataset.paces, renews=dataset.renews)
    frame = limit_features(frame, limits, in_place=True)
    head = choose_head(
        labels,
        np.concatenate([split.train, split.validation]),
        task=kind,
        horizons_hours=horizons,
        cap_hours=settings.target.cap_hours,
        modes=dataset.modes.names,
    )
    return LearningTask(kind, horizons, frame, labels, split, head, limits, before_test)


@dataclass(frozen=True, eq=False)
class ComparedFailures:
    """Attributions that are compared: of failures a ranking comes from, and of the newest."""

    before: Attributions
    after: Attributions


@dataclass(frozen=True, eq=False)
class Ranking:
    """Importance that guides a plan, its drift from the champion's, and what it comes from.

    span: nanoseconds of the first and the last such failure, None where the target is no life.
    compared: what drift was asked of, None where that was no failures.
    """

    importance: Importance
    drift: Drift
    span: tuple[int, int] | None
    compared: ComparedFailures | None = None


def rank_sensors(
    task: LearningTask,
    settings: Settings,
    evidence: Evidence,
    champion: ChampionVersion | None,
    failures: int,
    *,
    continues: bool,
) -> Ranking:
    """The ranking that guides this retraining, and whether the champion's still holds.

    The newest failures are attributed to sensors, and so are those the champion's ranking comes
    from: over all of history a change would be noticed only when most of history
    came after it. Where they differ, the newest also guide. A table is ranked as a whole.
    continues: whether a refit may continue the champion's weights; it then keeps the ranking its
    allocation was built from, for against it drift is measured.
    """
    seed = settings.retraining.seed
    if champion is None:
        return Ranking(measure_importance(task, seed=seed), first_drift(), _span(task))
    context = _context(settings, evidence, failures)
    before = champion.card.importance
    if task.kind != "life":
        now = measure_importance(task, seed=seed)
        change = partial(change_of_rankings, before, now)
        drift = decide(change, context, before=before.sensors, now=now.sensors)
        return Ranking(now, _with_moves(drift, champion, now, task, settings), None)
    compared = _compare(task, settings, champion)
    drift = _drift_of(compared, context, before, task, settings.retraining.minimum_failures)
    if drift.verdict in CHAMPION_STAYS or (drift.verdict == "refit" and continues):
        return Ranking(before, drift, champion.card.ranked, compared)
    guide = _newest(task, settings, champion) if drift.verdict == "rebuild" else task
    now = measure_importance(guide, seed=seed)
    drift = _with_moves(drift, champion, now, task, settings)
    return Ranking(now, drift, _span(guide), compared)


def _compare(task: LearningTask, settings: Settings, champion: ChampionVersion) -> ComparedFailures:
    """Both sides, apart in time; the newest are `2 * retraining.minimum_failures`, or half.

    A champion whose ranking has no span knew all failures until it learned.
    """
    # What is made of events and age grows with the record, however the plant fails.
    every = attribute_failures(task, seed=settings.retraining.seed)
    every = every.only(champion.card.spec.sensors)
    first, last = champion.card.ranked or (0, champion.trained_until_ns)
    every = every.take(every.time >= first)
    count = len(every.time)
    is_newest = np.arange(count) >= count - min(
        2 * settings.retraining.minimum_failures, count // 2
    )
    older = np.flatnonzero((every.time <= last) & ~is_newest)[-MOST_BEFORE:]
    is_before = np.isin(np.arange(count), older)
    return ComparedFailures(every.take(is_before), every.take(is_newest))


def _drift_of(
    compared: ComparedFailures,
    context: DriftContext,
    before: Importance,
    task: LearningTask,
    minimum: int,
) -> Drift:
    count = len(compared.before.time) + len(compared.after.time)
    if count < minimum or not len(compared.before.time):
        too_few = f"{count} failures say which sensors told them, {minimum} needed"
        context = replace(context, too_few=too_few)
    sides, modes = (compared.before, compared.after), task.head.modes
    change = partial(change_by_mode, *sides, before.clusters, modes, least=max(minimum // 2, 1))
    drift = decide(change, context, before=before.sensors, now=task.frame.sensors)
    frequent = frequent_text(*sides, modes)
    return replace(drift, reason=f"{drift.reason}; {frequent}") if frequent else drift


def _newest(task: LearningTask, settings: Settings, champion: ChampionVersion) -> LearningTask:
    """The task cut to the rows of the newest failures, whole where those are all of history."""
    split = newest_part(
        task.frame,
        task.labels,
        task.split,
        since_ns=champion.trained_until_ns,
        failures=2 * settings.retraining.minimum_failures,
    )
    return task if split is None else replace(task, split=split)


def planner_of(task: LearningTask, importance: Importance, settings: Settings) -> Planner:
    """The planner of a task, within allocation.max_parameters."""
    gaps = FeedGaps(task.frame, task.split.train, seed=settings.retraining.seed)
    # Values are those with gaps: taking the others as well would copy most of the frame.
    bare = replace(task.frame, values=task.frame.values[:, :0])
    learned = replace(bare.take(gaps.rows), values=gaps.values())
    return make_planner(
        learned,
        np.arange(len(gaps.rows)),
        importance,
        outputs=max(len(task.head.edges_hours), 1) * max(len(task.head.modes), 1),
        max_parameters=settings.allocation.max_parameters,
    )


def _context(settings: Settings, evidence: Evidence, failures: int) -> DriftContext:
    return DriftContext(
        p_value=settings.drift.p_value,
        in_a_row_needed=settings.drift.in_a_row,
        in_a_row_before=evidence.in_a_row_before,
        has_new_failures=failures > evidence.failures_before,
        has_new_evidence=failures > evidence.failures_last,
        forced=evidence.forced,
    )


def _with_moves(
    drift: Drift, champion: ChampionVersion, now: Importance, task: LearningTask, settings: Settings
) -> Drift:
    """The drift with the share of units that a plan by the ranking of now would move."""
    before = champion.card.allocation
    after = planner_of(task, now, settings).plan_like(before)
    return replace(drift, moved_units=moved_units(before, after))


def _span(task: LearningTask) -> tuple[int, int] | None:
    """When the first and the last failure was that the rows of a ranking come before."""
    rows = np.concatenate([task.split.train, task.split.validation])
    rows = rows[task.labels.failed[rows]]
    if not len(rows):
        return None
    end = failure_times(task.frame, task.labels, rows)
    return int(end.min()), int(end.max())


def remarks_on(dataset: Dataset, suspects: Sequence[LeakageSuspect]) -> list[str]:
    """Remarks on the readings for a person, in words."""
    remarks = [suspect_text(one) for one in suspects]
    confirmed = dataset.failures_from_verdicts
    if confirmed:
        failures = count_failures(dataset.labels)
        events = failures - confirmed
        remarks.append(f"{failures} failures: {events} from events, {confirmed} from verdicts")
    if dataset.heard_until is not None:
        last = to_moment(dataset.heard_until)
        remarks.append(
            f"neither failures nor maintenance are told of since {last:%Y-%m-%d %H:%M} UTC: nobody "
            "knows what survived since then, and readings of that time teach nothing"
        )
    silent = sensors_without_values(dataset.frame, dataset.labels, sensors=dataset.spec.sensors)
    if silent:
        remarks.append(f"no value of {name_some(silent)} in any reading")
    if dataset.too_fine:
        remarks.append(
            f"{name_some(dataset.too_fine)} changes by less than 32-bit numbers of its size can "
            "tell: subtract a constant from it"
        )
    return remarks
