"""The stages of learning in their order: one retraining, from features to a decision."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from importlib.metadata import version as installed
from platform import python_version
from typing import Any

import numpy as np

from pm_app.features.frame import select_features
from pm_app.jobs.known import Known
from pm_app.jobs.site import to_nanoseconds
from pm_app.jobs.training_order import TrainingAnswer, TrainingOrder
from pm_app.learning.allocation import MEMBERS, STRATEGIES, budget
from pm_app.learning.candidate import Candidate, train_candidate
from pm_app.learning.drift import compare_rankings
from pm_app.learning.gate import judge
from pm_app.learning.importance import measure_importance
from pm_app.learning.labels import count_failures, require_enough
from pm_app.learning.splits import censor_at_parts, newest_part, split_rows
from pm_app.learning.targets import choose_head
from pm_app.records.features import Frame
from pm_app.records.labels import Labels, Split
from pm_app.records.learning import Allocation, Drift, Head, Importance, VersionCard
from pm_app.records.readings import Float64
from pm_app.scoring.predictor import Predictor
from pm_app.settings import Settings
from pm_app.times import utc_text

Progress = Callable[[float, str], None]
SOFTWARE = ("pm-app", "tensorflow", "keras", "onnx", "onnxruntime", "numpy", "scikit-learn")


@dataclass(frozen=True, eq=False)
class Rival:
    """The champion as the trainer needs it."""

    card: VersionCard
    onnx: bytes
    keras: bytes


@dataclass(frozen=True, eq=False)
class Made:
    """A version that is not published yet."""

    candidate: Candidate
    card: VersionCard


@dataclass(frozen=True, eq=False)
class Learned:
    """A retraining's answer, and the version it made, if it made one."""

    answer: TrainingAnswer
    made: Made | None = None


def learn(
    known: Known,
    settings: Settings,
    order: TrainingOrder,
    *,
    rival: Rival | None,
    progress: Progress,
) -> Learned:
    """Importance, drift, and where it says so a candidate and its judgement.

    The same arguments give the same answer and the same weights on the same machine.
    Raises NotEnoughData, and BadVersion when the exported graph is not the network's.
    """
    study = _study(known, settings)
    failures = count_failures(known.labels)
    progress(0.05, "measuring importance")
    importance, drift = _rank(study, settings, order, rival, failures)
    if drift.verdict == "keep":
        return Learned(_answer(drift, failures, drift.reason, importance))
    plans = plan_allocations(study, importance, settings)
    goes_on = drift.verdict == "refit" and rival is not None and can_go_on(rival, known)
    if goes_on and rival is not None:
        study = replace(
            study, frame=select_features(known.frame, rival.card.features), head=rival.card.head
        )
        plans = {"uniform": plans["uniform"], **_as_before(rival)}
    candidate = train_candidate(
        study.frame,
        study.labels,
        study.split,
        allocations=plans,
        head=study.head,
        strategy=_strategy(settings, rival if goes_on else None),
        warm_start=rival.keras if goes_on and rival is not None else None,
        seed=settings.retraining.seed,
        progress=lambda done, text: progress(0.25 + 0.7 * done, text),
    )
    # A refit keeps the ranking its allocation was built from: against it drift is measured.
    basis = rival.card.importance if goes_on and rival is not None else importance
    card = _make_card(known, study, candidate, basis, drift, settings, order, failures)
    promote, reason = _judge(known, study, candidate, card, rival, drift)
    answer = _answer(drift, failures, reason, importance, promote=promote, card=card)
    return Learned(answer, Made(candidate, card))


@dataclass(frozen=True, eq=False)
class _Study:
    """What one retraining works on."""

    task: str
    frame: Frame
    labels: Labels
    split: Split
    head: Head


def _study(known: Known, settings: Settings) -> _Study:
    """Features worth learning from, parts that do not leak, and the head that fits them."""
    horizons = settings.target.horizons_hours
    task = settings.target.task if settings.target.kind == "column" else "life"
    require_enough(known.labels, minimum_failures=settings.retraining.minimum_failures)
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
    return _Study(task, frame, labels, split, head)


def _rank(
    study: _Study,
    settings: Settings,
    order: TrainingOrder,
    rival: Rival | None,
    failures: int,
) -> tuple[Importance, Drift]:
    """The ranking that guides this retraining, and how it compares with the champion's.

    Drift is asked of the newest failures: over all of history a change would be noticed only
    when most of history came after it. Where the newest tell another ranking, it also guides.
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

    def compare(now: Importance) -> Drift:
        return _compare(rival, now, study, settings, order, failures)

    recent = None
    if rival is not None:
        recent = newest_part(
            study.frame,
            study.labels,
            study.split,
            since_ns=_trained_until(rival),
            failures=2 * settings.retraining.minimum_failures,
        )
    if recent is None:
        whole = measure(study.split)
        return whole, compare(whole)
    now = measure(recent)
    drift = compare(now)
    # The whole of history ranks more surely where nothing changed.
    return (now if drift.verdict == "rebuild" else measure(study.split)), drift


def _trained_until(rival: Rival) -> int:
    return to_nanoseconds(datetime.fromisoformat(rival.card.trained_until))


def _strategy(settings: Settings, goes_on_from: Rival | None) -> str:
    if goes_on_from is None:
        return settings.allocation.strategy
    return goes_on_from.card.allocation.strategy


def plan_allocations(
    study: _Study, importance: Importance, settings: Settings
) -> dict[str, Allocation]:
    """A plan of every strategy that may be chosen, all of one size; uniform, the control, always.

    The size follows the number of training rows, within allocation.max_parameters.
    """
    chosen = settings.allocation.strategy
    names = list(STRATEGIES) if chosen == "auto" else list(dict.fromkeys(["uniform", chosen]))
    frame = study.frame
    outputs = max(len(study.head.edges_hours), 1)
    features = {sensor: frame.sensor_of.count(sensor) for sensor in frame.sensors}
    size = budget(
        len(study.split.train),
        settings.allocation.max_parameters,
        features=len(frame.features),
        members=MEMBERS,
        outputs=outputs,
    )
    return {
        name: STRATEGIES[name](importance, features, max_parameters=size, outputs=outputs)
        for name in names
    }


def _compare(
    rival: Rival | None,
    importance: Importance,
    study: _Study,
    settings: Settings,
    order: TrainingOrder,
    failures: int,
) -> Drift:
    plans = plan_allocations(study, importance, settings)
    before = rival.card.allocation if rival else None
    strategy = before.strategy if before and before.strategy in plans else next(iter(plans))
    return compare_rankings(
        rival.card.importance if rival else None,
        importance,
        allocation_before=before,
        allocation_after=plans[strategy],
        p_value=settings.drift.p_value,
        in_a_row_needed=settings.drift.in_a_row,
        in_a_row_before=order.in_a_row_before,
        has_new_failures=failures > order.failures_before,
        forced=order.force,
    )


def _fits(rival: Rival, frame: Frame) -> bool:
    """Whether the champion's features can still be made."""
    return set(rival.card.features) <= set(frame.features)


def can_go_on(rival: Rival, known: Known) -> bool:
    """Whether the champion's weights can be continued: its features are there, and mean the
    same. Where regimes changed they do not."""
    return known.before is None and _fits(rival, known.frame)


def _as_before(rival: Rival) -> dict[str, Allocation]:
    return {rival.card.allocation.strategy: rival.card.allocation}


def _answer(
    drift: Drift,
    failures: int,
    reason: str,
    importance: Importance,
    *,
    promote: bool = False,
    card: VersionCard | None = None,
) -> TrainingAnswer:
    metrics: dict[str, Any] = {
        "tau": drift.tau,
        "p_value": drift.p_value,
        "moved_units": drift.moved_units,
    }
    if card is not None:
        metrics |= {report.model: dict(report.metrics) for report in card.reports}
    return TrainingAnswer(
        decision=drift.verdict,
        reason=reason,
        made=card is not None,
        promote=promote,
        in_a_row=drift.in_a_row,
        failures=failures,
        metrics=metrics,
    )


def _make_card(
    known: Known,
    study: _Study,
    candidate: Candidate,
    importance: Importance,
    drift: Drift,
    settings: Settings,
    order: TrainingOrder,
    failures: int,
) -> VersionCard:
    frame, split = study.frame, study.split
    return VersionCard(
        spec=known.spec,
        features=frame.features,
        sensor_of=frame.sensor_of,
        head=candidate.head,
        calibration=candidate.calibration,
        importance=importance,
        allocation=candidate.allocation,
        drift=drift,
        reports=candidate.reports,
        feature_low=candidate.feature_low,
        feature_high=candidate.feature_high,
        reference=candidate.reference,
        split=split.how,
        rows=len(split.train),
        failures=failures,
        seed=settings.retraining.seed,
        settings_digest=settings.digest,
        created_at=order.now,
        trained_until=utc_text(int(frame.cutoff.max())),
        parity=candidate.parity,
        software={name: installed(name) for name in SOFTWARE} | {"python": python_version()},
    )


def _judge(
    known: Known,
    study: _Study,
    candidate: Candidate,
    card: VersionCard,
    rival: Rival | None,
    drift: Drift,
) -> tuple[bool, str]:
    """Whether the candidate should score, and why, on the newest held-out rows."""
    test = study.split.test
    truth = study.labels.value[test]
    if study.task == "life":
        truth = study.labels.fails_within(candidate.head.horizons_hours[-1])[test]
    # Each version sees the same cutoffs through its own regimes.
    before = known.frame if known.before is None else known.before
    other = None
    if rival is not None and _fits(rival, before):
        other = _said(rival.card, rival.onnx, before.take(test))
    judgement = judge(
        _said(card, candidate.onnx, known.frame.take(test)),
        other,
        labels=truth,
        groups=study.split.group[test],
        task=study.task,
        verdict=drift.verdict,
        seed=card.seed,
    )
    return judgement.promote, f"{drift.reason}; {judgement.reason}"


def _said(card: VersionCard, onnx: bytes, rows: Frame) -> Float64:
    """What a version says of these rows: risk at its longest horizon, or the value."""
    predictor = Predictor(
        onnx, head=card.head, calibration=card.calibration, features=card.features
    )
    scores = predictor.predict(select_features(rows, card.features).values)
    return scores.value if card.head.kind == "regression" else scores.risk[:, -1]
