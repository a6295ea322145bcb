"""Pipeline of learning: one retraining, from a dataset to a version and its promotion test."""

from dataclasses import dataclass, replace
from importlib.metadata import version as installed
from platform import python_version

import numpy as np

from pm_app.features.frame import select_features
from pm_app.features.limits import learn_limits, limit_features
from pm_app.learning.data.labels import count_failures, renewed_lives
from pm_app.learning.dataset import Dataset, Evidence, LearningTask
from pm_app.learning.importance.leakage import find_leakage_suspects
from pm_app.learning.ranking import (
    CHAMPION_STAYS,
    ChampionVersion,
    Ranking,
    make_task,
    planner_of,
    rank_sensors,
    remarks_on,
)
from pm_app.learning.rolling import decide_promotion
from pm_app.learning.training.candidate import (
    AllocationSearch,
    Candidate,
    WarmStart,
    train_candidate,
)
from pm_app.learning.training.executor import TrainAll, train_here
from pm_app.progress import Progress, part_of, silent
from pm_app.records.features import Frame
from pm_app.records.labels import Split
from pm_app.records.learning import Drift, VersionCard
from pm_app.settings.plant import Settings
from pm_app.times import utc_text

# Whose releases a card names.
SOFTWARE = ("pm-app", "tensorflow", "keras", "onnx", "onnxruntime", "numpy", "scikit-learn")


@dataclass(frozen=True, eq=False)
class UnpublishedVersion:
    """A version that is not published yet."""

    candidate: Candidate
    card: VersionCard


@dataclass(frozen=True, eq=False)
class Learned:
    """Result of a retraining, and the version it trained, if it trained one.

    failures: how many teach, failures_from_verdicts: how many of them verdicts confirmed.
    promote: whether the version should score. reason: in words, of all of it.
    """

    drift: Drift
    reason: str
    failures: int
    failures_from_verdicts: int
    version: UnpublishedVersion | None = None
    promote: bool = False


def learn(
    dataset: Dataset,
    settings: Settings,
    evidence: Evidence,
    champion: ChampionVersion | None,
    *,
    progress: Progress = silent,
    train: TrainAll = train_here,
) -> Learned:
    """Importance, drift, and where that asks for one a candidate and its promotion test.

    The same arguments give the same answer and the same weights on the same machine.
    train: who tries networks, in place of this process.
    Raises NotEnoughData, and BadVersion when the exported graph is not the network's.
    """
    task = make_task(dataset, settings)
    failures, confirmed = count_failures(dataset.labels), dataset.failures_from_verdicts
    progress(0.05, "measuring importance")
    continues = champion is not None and champion.can_continue(dataset)
    ranking = rank_sensors(task, settings, evidence, champion, failures, continues=continues)
    drift = ranking.drift
    if drift.verdict in CHAMPION_STAYS:
        return Learned(drift, drift.reason, failures, confirmed)
    warm = None
    if drift.verdict == "refit" and continues and champion is not None:
        task = _continued(task, dataset, champion.card)
        warm = WarmStart(champion.card.allocation, champion.keras)
    planner = planner_of(task, ranking.importance, settings)
    allocation = settings.allocation
    pooling = allocation.pool == "auto"
    search = AllocationSearch(planner, allocation.strategy, warm, pooling)
    seed, later = settings.retraining.seed, part_of(progress, 0.25, 0.95)
    candidate = train_candidate(task, search, seed=seed, progress=later, train=train)
    card = _card_of(dataset, task, candidate, ranking, settings, evidence)
    progress(0.97, "looking for sensors that know the outcome")
    suspects = find_leakage_suspects(task, sensors=dataset.spec.sensors, seed=seed)
    renewed = renewed_lives(dataset.labels, task.horizons_hours)
    card = replace(card, suspicions=suspects, renewed=renewed, modes_text=_modes(dataset, champion))
    version = UnpublishedVersion(candidate, card)
    later = part_of(progress, 0.97, 1.0)
    decision = decide_promotion(dataset, task, card, candidate, champion, later)
    remarks = remarks_on(dataset, suspects)
    if candidate.pool is not None:
        remarks = [*remarks, candidate.pool.reason]
    reason = "; ".join((drift.reason, decision.reason, *remarks))
    return Learned(drift, reason, failures, confirmed, version, decision.promote)


def _continued(task: LearningTask, dataset: Dataset, card: VersionCard) -> LearningTask:
    """The task with the features and the head of a version that is continued."""
    frame = select_features(dataset.frame, card.features)
    limits = learn_limits(frame, task.split.train, dataset.paces, renews=dataset.renews)
    frame = limit_features(frame, limits, in_place=True)
    return replace(task, frame=frame, limits=limits, head=card.head)


def _card_of(
    dataset: Dataset,
    task: LearningTask,
    candidate: Candidate,
    ranking: Ranking,
    settings: Settings,
    evidence: Evidence,
) -> VersionCard:
    """The card of a candidate; leakage suspects are added once it is known which there are."""
    frame, split = task.frame, task.split
    return VersionCard(
        spec=replace(dataset.spec, limits=task.limits),
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
        failures=count_failures(dataset.labels),
        seed=settings.retraining.seed,
        settings_digest=settings.digest,
        created_at=evidence.now,
        trained_until=utc_text(int(frame.cutoff.max())),
        learned_until=utc_text(int(frame.cutoff[split.learned].max())),
        held_out=_untouched_assets(frame, split),
        parity=candidate.parity,
        revision=candidate.revision,
        reliance=candidate.reliance,
        usual_risk=candidate.usual_risk,
        pool=candidate.pool,
        spread=candidate.spread,
        failures_from_verdicts=dataset.failures_from_verdicts,
        ranked=ranking.span,
        mode_failures=dataset.modes.failures,
        software={name: installed(name) for name in SOFTWARE} | {"python": python_version()},
    )


def _modes(dataset: Dataset, champion: ChampionVersion | None) -> str:
    """As `VersionCard.modes_text`, with what became of the champion's modes where it had others."""
    text, names = dataset.modes.text, dataset.modes.names
    before = names if champion is None else champion.card.head.modes
    if before == names:
        return text
    others = f"the version before told apart {', '.join(before) or 'none'}: trained anew"
    return f"{text}; {others}" if text else others


def _untouched_assets(frame: Frame, split: Split) -> tuple[str, ...]:
    """Assets of the test that nothing was learned from."""
    untouched = np.setdiff1d(frame.asset[split.test], frame.asset[split.learned])
    return tuple(frame.assets[number] for number in untouched)
