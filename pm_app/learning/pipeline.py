"""The stages of learning in their order: one retraining, from features to a decision."""

from dataclasses import dataclass, replace
from importlib.metadata import version as installed
from platform import python_version
from typing import Any

from pm_app.features.frame import select_features
from pm_app.jobs.retrain.dataset import Dataset
from pm_app.jobs.retrain.messages import TrainingRequest, TrainingResponse
from pm_app.learning.data.labels import count_failures
from pm_app.learning.evaluation.promotion import judge
from pm_app.learning.ranking import (
    CHAMPION_STAYS,
    ChampionVersion,
    LearningTask,
    Ranking,
    find_suspects,
    make_task,
    planner_of,
    rank_sensors,
    remarks,
)
from pm_app.learning.training.candidate import Candidate, WarmStart, train_candidate
from pm_app.learning.training.executor import TrainAll, train_here
from pm_app.progress import Progress
from pm_app.records.features import Frame
from pm_app.records.learning import Drift, VersionCard
from pm_app.records.readings import Float64
from pm_app.scoring.predictor import Predictor
from pm_app.settings.plant import Settings
from pm_app.times import utc_text

SOFTWARE = ("pm-app", "tensorflow", "keras", "onnx", "onnxruntime", "numpy", "scikit-learn")


@dataclass(frozen=True, eq=False)
class UnpublishedVersion:
    """A version that is not published yet."""

    candidate: Candidate
    card: VersionCard


@dataclass(frozen=True, eq=False)
class Learned:
    """A retraining's answer, and the version it made, if it made one."""

    answer: TrainingResponse
    made: UnpublishedVersion | None = None


def learn(
    known: Dataset,
    settings: Settings,
    order: TrainingRequest,
    *,
    rival: ChampionVersion | None,
    progress: Progress,
    train: TrainAll | None = None,
) -> Learned:
    """Importance, drift, and where it says so a candidate and its judgement.

    The same arguments give the same answer and the same weights on the same machine.
    train: who tries networks, in place of this process.
    Raises NotEnoughData, and BadVersion when the exported graph is not the network's.
    """
    study = make_task(known, settings)
    failures = count_failures(known.labels)
    progress(0.05, "measuring importance")
    can_continue = rival is not None and can_go_on(rival, known)
    ranking = rank_sensors(study, settings, order, rival, failures, goes_on=can_continue)
    drift = ranking.drift
    if drift.verdict in CHAMPION_STAYS:
        return Learned(_answer(drift, failures, drift.reason, told=known.told))
    warm = None
    if drift.verdict == "refit" and can_continue and rival is not None:
        study = replace(
            study, frame=select_features(known.frame, rival.card.features), head=rival.card.head
        )
        warm = WarmStart(rival.card.allocation, rival.keras)
    candidate = train_candidate(
        study.frame,
        study.labels,
        study.split,
        planner=planner_of(study, ranking.importance, settings),
        head=study.head,
        strategy=settings.allocation.strategy,
        warm_start=warm,
        seed=settings.retraining.seed,
        progress=lambda done, text: progress(0.25 + 0.7 * done, text),
        train=train or train_here,
    )
    card = _make_card(known, study, candidate, ranking, settings, order, failures)
    progress(0.97, "looking for sensors that know the outcome")
    card = replace(card, suspicions=find_suspects(study, known, settings))
    promote, reason = _judge(known, study, candidate, card, rival, drift)
    reason = "; ".join((reason, *remarks(known, card.suspicions)))
    answer = _answer(drift, failures, reason, told=known.told, promote=promote, card=card)
    return Learned(answer, UnpublishedVersion(candidate, card))


def can_go_on(rival: ChampionVersion, known: Dataset) -> bool:
    """Whether the champion's weights can be continued: its features are there, and mean the
    same. Where regimes changed they do not."""
    return known.before is None and rival.can_read(known.frame)


def _answer(
    drift: Drift,
    failures: int,
    reason: str,
    *,
    told: int,
    promote: bool = False,
    card: VersionCard | None = None,
) -> TrainingResponse:
    metrics: dict[str, Any] = {
        "tau": drift.tau,
        "p_value": drift.p_value,
        "top_overlap": drift.top_overlap,
        "moved_units": drift.moved_units,
    }
    if card is not None:
        metrics |= {report.model: dict(report.metrics) for report in card.reports}
    return TrainingResponse(
        decision=drift.verdict,
        reason=reason,
        made=card is not None,
        promote=promote,
        in_a_row=drift.in_a_row,
        failures=failures,
        told=told,
        metrics=metrics,
    )


def _make_card(
    known: Dataset,
    study: LearningTask,
    candidate: Candidate,
    ranking: Ranking,
    settings: Settings,
    order: TrainingRequest,
    failures: int,
) -> VersionCard:
    frame, split = study.frame, study.split
    return VersionCard(
        spec=known.spec,
        features=frame.features,
        sensor_of=frame.sensor_of,
        head=candidate.head,
        calibration=candidate.calibration,
        importance=ranking.importance,
        allocation=candidate.allocation,
        drift=ranking.drift,
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
        revision=candidate.revision,
        failures_from_verdicts=known.told,
        ranked=ranking.span,
        software={name: installed(name) for name in SOFTWARE} | {"python": python_version()},
    )


def _judge(
    known: Dataset,
    study: LearningTask,
    candidate: Candidate,
    card: VersionCard,
    rival: ChampionVersion | None,
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
    if rival is not None and rival.can_read(before):
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
