"""Pipeline of learning: one retraining, from a dataset to a version and its promotion test."""

from dataclasses import dataclass, replace
from importlib.metadata import version as installed
from platform import python_version
from typing import Final

import numpy as np

from pm_app.features.frame import select_features
from pm_app.features.limits import learn_limits, limit_features
from pm_app.learning.data.labels import count_failures, renewed_lives
from pm_app.learning.data.targets import Rows
from pm_app.learning.dataset import Dataset, Evidence, LearningTask
from pm_app.learning.evaluation.metrics import worse_beyond_noise
from pm_app.learning.importance.leakage import find_leakage_suspects
from pm_app.learning.pool.forest import fit_forest
from pm_app.learning.pool.shares import BOOSTED
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
from pm_app.learning.training.losses import row_losses
from pm_app.progress import Progress, part_of, silent
from pm_app.records.features import Frame
from pm_app.records.labels import Split
from pm_app.records.learning import Drift, VersionCard
from pm_app.records.readings import Float64
from pm_app.scoring.deviation import DEVIATION
from pm_app.settings.plant import Settings
from pm_app.times import utc_text

# Whose releases a card names.
SOFTWARE = ("pm-app", "tensorflow", "keras", "onnx", "onnxruntime", "numpy", "scikit-learn")
# Standard errors of the paired difference: one in forty by chance.
DEVIATION_NOISE: Final = 2.0
# With fewer lives or spells nothing is known of noise.
FEWEST_HELD_OUT: Final = 10
_NOTHING: Final = 1e-12


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
    task, deviation = settle_deviation(task, seed=settings.retraining.seed)
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
    remarks = [*remarks_on(dataset, suspects), *filter(None, (deviation, dataset.no_deviation))]
    if candidate.pool is not None:
        remarks = [*remarks, candidate.pool.reason]
    reason = "; ".join((drift.reason, decision.reason, *remarks))
    return Learned(drift, reason, failures, confirmed, version, decision.promote)


def settle_deviation(task: LearningTask, *, seed: int) -> tuple[LearningTask, str]:
    """The task with its deviation only where that earns its place, and why, in words; "" where
    the task has none.

    A deviation tells nothing that sensors do not. It is read where it spares a model something: a
    forest with it loses less than the same forest without, on rows that neither has seen, beyond
    noise. Read in vain it would hide sensors from importance, for what is told twice is missed by
    nobody when one of both is permuted.
    """
    if DEVIATION not in task.frame.features:
        return task, ""
    plain = tuple(name for name in task.frame.features if name != DEVIATION)
    without = replace(task, frame=select_features(task.frame, plain))
    rows = np.concatenate([task.split.validation, task.split.calibration])
    group = task.split.group[rows]
    if len(np.unique(group)) < FEWEST_HELD_OUT:
        return without, "deviation is not read: too few lives held out to tell whether it helps"
    others, losses = (_losses(each, rows, seed) for each in (without, task))
    # A tenth less of one figure is worth a tenth less of another.
    usual = np.maximum(others.mean(axis=0), _NOTHING)
    others, losses = ((each / usual).mean(axis=1, keepdims=True) for each in (others, losses))
    figures = f"a forest with it loses {losses.mean():.3f} of what it loses without"
    if worse_beyond_noise(others, losses, group, noise=DEVIATION_NOISE):
        return task, f"deviation is read beside the sensors: {figures}"
    return without, f"deviation is not read: {figures}, no gain beyond chance"


def _losses(task: LearningTask, rows: Rows, seed: int) -> Float64:
    """What a forest of the training rows loses on other rows, (n_rows, n_figures)."""
    forest = fit_forest(task, task.split.train, seed=seed)
    return row_losses(forest(task.frame.values[rows]), task.labels, rows, task.head)


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
        normal_version=dataset.normal_version if DEVIATION in frame.features else 0,
        software=_software(candidate),
    )


def _software(candidate: Candidate) -> dict[str, str]:
    """Versions of what made a candidate, by name."""
    boosts = candidate.pool is not None and candidate.pool.share(BOOSTED) > 0.0
    names = (*SOFTWARE, "lightgbm") if boosts else SOFTWARE
    return {name: installed(name) for name in names} | {"python": python_version()}


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
