"""What one retraining works on, how it ranks the sensors, and what networks it may build."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pm_app.features.frame import select_features
from pm_app.jobs.known import Known
from pm_app.jobs.rival import Rival
from pm_app.jobs.training_order import TrainingOrder
from pm_app.learning.drift import compare_rankings
from pm_app.learning.importance import measure_importance
from pm_app.learning.leaks import suspect_leaks, tell_suspicion
from pm_app.learning.planning import CONTROL, Planner, make_planner
from pm_app.learning.splits import censor_at_parts, newest_part, split_rows
from pm_app.learning.sufficiency import (
    name_some,
    require_enough,
    require_news,
    require_warnings,
    unheard,
)
from pm_app.learning.targets import choose_head
from pm_app.records.features import Frame
from pm_app.records.labels import Labels, Split
from pm_app.records.learning import Drift, Head, Importance, Suspicion
from pm_app.settings import Settings


@dataclass(frozen=True, eq=False)
class Study:
    """What one retraining works on."""

    task: str
    frame: Frame
    labels: Labels
    split: Split
    head: Head


def make_study(known: Known, settings: Settings) -> Study:
    """Features worth learning from, parts that do not leak, and the head that fits them.

    Raises NotEnoughData where what is known cannot teach what is asked.
    """
    horizons = settings.target.horizons_hours
    task = settings.target.task if settings.target.kind == "column" else "life"
    minimum = settings.retraining.minimum_failures
    require_enough(known.labels, minimum_failures=minimum, missed=known.missed)
    require_news(known.frame, known.labels, sensors=known.spec.sensors)
    require_warnings(known.frame, known.labels, horizon_hours=horizons[-1])
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
    return Study(task, frame, labels, split, head)


def rank_sensors(
    study: Study,
    settings: Settings,
    order: TrainingOrder,
    rival: Rival | None,
    failures: int,
    *,
    goes_on: bool,
) -> tuple[Importance, Drift]:
    """The ranking that guides this retraining, and how it compares with the champion's.

    Drift is asked of the newest failures: over all of history a change would be noticed only
    when most of history came after it. Where the newest tell another ranking, it also guides.
    goes_on: whether a refit may continue the rival's weights; it then keeps the ranking its
    allocation was built from, for against it drift is measured.
    """

    def measure(split: Split) -> Importance:
        return measure_importance(
            study.frame,
            study.labels,
            split,
            horizons_hours=settings.target.horizons_hours,
            task=study.task,
            seed=settings.retraining.seed,
        )

    recent = None if rival is None else newest_failures(study, settings, rival)
    now = measure(recent or study.split)
    drift = _compare(rival, now, recent or study.split, study, settings, order, failures)
    if drift.verdict == "refit" and goes_on and rival is not None:
        return rival.card.importance, drift
    # The whole of history ranks more surely where nothing changed.
    again = recent is not None and drift.verdict == "refit"
    return (measure(study.split) if again else now), drift


def newest_failures(study: Study, settings: Settings, rival: Rival) -> Split | None:
    """The rows that drift is asked of, None where those are all of history.

    They hold the failures since the rival was trained, and at least
    `2 * retraining.minimum_failures` of the newest.
    """
    return newest_part(
        study.frame,
        study.labels,
        study.split,
        since_ns=rival.trained_until_ns,
        failures=2 * settings.retraining.minimum_failures,
    )


def planner_of(study: Study, importance: Importance, settings: Settings) -> Planner:
    """What may be built for a study, within allocation.max_parameters."""
    return make_planner(
        study.frame,
        study.split.train,
        importance,
        outputs=max(len(study.head.edges_hours), 1),
        max_parameters=settings.allocation.max_parameters,
    )


def _compare(
    rival: Rival | None,
    importance: Importance,
    asked: Split,
    study: Study,
    settings: Settings,
    order: TrainingOrder,
    failures: int,
) -> Drift:
    before = rival.card.allocation if rival else None
    after = planner_of(study, importance, settings).plan(before.strategy if before else CONTROL)
    return compare_rankings(
        rival.card.importance if rival else None,
        importance,
        allocation_before=before,
        allocation_after=after,
        p_value=settings.drift.p_value,
        in_a_row_needed=settings.drift.in_a_row,
        in_a_row_before=order.in_a_row_before,
        has_new_failures=failures > order.failures_before,
        has_new_evidence=failures > order.failures_last,
        too_few=_tell_too_few(study, asked, settings.retraining.minimum_failures),
        forced=order.force,
    )


def _tell_too_few(study: Study, asked: Split, minimum: int) -> str:
    """Why these rows cannot rank sensors, "" where they can; a table's rows always can."""
    rows = np.concatenate([asked.train, asked.validation])
    failures = len(np.unique(study.labels.life[rows[study.labels.failed[rows]]]))
    if study.task != "life" or failures >= minimum:
        return ""
    return f"{failures} failures to rank sensors by, {minimum} needed"


def look_for_leaks(study: Study, known: Known, settings: Settings) -> tuple[Suspicion, ...]:
    """Sensors of the readings that may know the outcome."""
    return suspect_leaks(
        study.frame,
        study.labels,
        study.split,
        sensors=known.spec.sensors,
        horizons_hours=settings.target.horizons_hours,
        task=study.task,
        seed=settings.retraining.seed,
    )


def remarks(known: Known, suspicions: Sequence[Suspicion]) -> list[str]:
    """What a person should know about the readings, in words."""
    told = [tell_suspicion(one) for one in suspicions]
    silent = unheard(known.frame, known.labels, sensors=known.spec.sensors)
    if silent:
        told.append(f"no value of {name_some(silent)} in any reading")
    if known.blurred:
        told.append(
            f"{name_some(known.blurred)} changes by less than 32-bit numbers of its size can "
            "tell: subtract a constant from it"
        )
    return told
