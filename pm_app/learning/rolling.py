"""Promotion test on rolling origins: held-out failures pooled until there are enough to judge by.

The newest part of the split comes first. Where it holds too few failures, the version is made
anew as it would have been some failures earlier, by the same plan and for as many epochs, and
asked about what came next. Nothing is tuned again, so an origin costs about one training.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from pm_app.features.frame import select_features
from pm_app.features.limits import learn_limits, limit_features
from pm_app.learning.data.origins import Origin, earlier_origins, known_until
from pm_app.learning.data.targets import Rows
from pm_app.learning.dataset import Dataset, LearningTask
from pm_app.learning.evaluation.calibration import event_weights, mean_by, supported_risks
from pm_app.learning.evaluation.first_version import FirstVersionRows, judge_first
from pm_app.learning.evaluation.promotion import HeldOutRows, PromotionDecision, judge
from pm_app.learning.ranking import ChampionVersion
from pm_app.learning.training.candidate import Candidate
from pm_app.learning.training.refitting import Recipe, refit_answers
from pm_app.progress import Progress, silent
from pm_app.records.features import Frame
from pm_app.records.learning import Calibration, VersionCard
from pm_app.records.readings import Float64
from pm_app.records.scores import scores_of
from pm_app.scoring.deviation import DeviationPredictor, add_deviation
from pm_app.scoring.predictor import Predictor

# So many held-out failures are enough; with fewer, earlier origins are asked.
ENOUGH_FAILURES = 10


@dataclass(frozen=True, eq=False)
class AskedRows:
    """Rows that a version was asked about, by number in the frame, what it answered, (n_rows,),
    and the share of failures, or the mean value, among the rows it had learned from."""

    rows: Rows
    risk: Float64
    guess: float


# Asks a version that is made anew at an origin: its risks of the held-out rows.
AskAt = Callable[[Origin], Float64]


def decide_promotion(
    dataset: Dataset,
    task: LearningTask,
    card: VersionCard,
    candidate: Candidate,
    champion: ChampionVersion | None,
    progress: Progress = silent,
) -> PromotionDecision:
    """Whether the candidate should score, and why, on rows that neither side has learned from."""
    # Each version sees the same cutoffs through its own regimes.
    before = dataset.frame if dataset.champion_frame is None else dataset.champion_frame
    champion = champion if champion is not None and champion.can_read(before) else None
    truth = task.labels.value
    if task.kind == "life":
        truth = dataset.labels.fails_within(card.head.horizons_hours[-1])
    guess, test = _guess(truth, task.split.learned, task), task.split.test
    asked = [AskedRows(test, _predict(card, candidate.onnx, dataset.frame.take(test)), guess)]
    if champion is not None:
        truth = np.where(champion.has_learned(before), np.nan, truth)
    if candidate.recipe is not None:
        ask = ask_recipe(dataset, task, candidate.recipe, progress)
        asked += ask_earlier(dataset, task, truth, ask)
    rows, risk = (
        np.concatenate(each) for each in zip(*((a.rows, a.risk) for a in asked), strict=True)
    )
    held_out = held_out_rows(task, asked, truth, seed=card.seed)
    if champion is None:
        return judge_first(risk, held_out, first_version_rows(dataset, task, asked))
    seen = before.take(rows)
    if champion.normal is not None:
        kept = champion.normal
        seen = add_deviation(seen, seen, DeviationPredictor(kept.onnx, kept.card))
    other = _predict(champion.card, champion.onnx, seen)
    decision = judge(risk, other, held_out, verdict=card.drift.verdict)
    return decision if task.kind != "life" else _with_failures(decision, dataset, asked, truth)


def ask_earlier(
    dataset: Dataset, task: LearningTask, truth: Float64, ask: AskAt
) -> list[AskedRows]:
    """Rows held out at earlier origins of a life target, until there are enough failures.

    truth: (n_rows,) of the frame, NaN where a row is no evidence. Origins are asked in turn, the
    newest first; one that holds out no failure is passed over.
    """
    if task.kind != "life":
        return []
    frame, labels, split = dataset.frame, dataset.labels, task.split
    seen = set(labels.life[split.test][truth[split.test] == 1.0].tolist())
    origins = earlier_origins(
        frame,
        labels,
        split,
        horizon_hours=task.head.horizons_hours[-1],
        failures=ENOUGH_FAILURES - len(seen),
    )
    asked = []
    for origin in origins:
        rows = origin.held_out[np.isfinite(truth[origin.held_out])]
        new = set(labels.life[rows][truth[rows] == 1.0].tolist()) - seen
        then = known_until(frame, labels, origin).fails_within(task.head.horizons_hours[-1])
        learned = origin.learned[np.isfinite(then[origin.learned])]
        guess = _guess(then, learned, task) if len(learned) else 0.0
        if not new or not 0.0 < guess < 1.0:
            continue
        seen |= new
        asked.append(AskedRows(rows, ask(replace(origin, held_out=rows)), guess))
    return asked


def held_out_rows(
    task: LearningTask, asked: list[AskedRows], truth: Float64, *, seed: int
) -> HeldOutRows:
    """The rows asked about, origin by origin, as the tests take them."""
    rows = np.concatenate([each.rows for each in asked])
    weights = _weights(rows, task)
    ranks = task.kind != "regression"
    return HeldOutRows(truth[rows], task.split.group[rows], ranks, seed, _origins(asked), weights)


def _guess(truth: Float64, rows: Rows, task: LearningTask) -> float:
    """The share of failures, or the mean value, among rows that were learned from."""
    weights = _weights(rows, task)
    if weights is None:
        return float(np.nanmean(truth[rows]))
    labelled = np.isfinite(truth[rows])
    return mean_by(truth[rows][labelled], weights[labelled])


def _weights(rows: Rows, task: LearningTask) -> Float64 | None:
    """At the longest horizon what these rows weigh; None where all are alike."""
    return event_weights(task.labels, rows, task.head)[-1]


def _origins(asked: list[AskedRows]) -> np.ndarray:
    return np.repeat(np.arange(len(asked), dtype=np.int32), [len(each.rows) for each in asked])


def first_version_rows(
    dataset: Dataset, task: LearningTask, asked: list[AskedRows]
) -> FirstVersionRows:
    rows = np.concatenate([each.rows for each in asked])
    guess = np.repeat([each.guess for each in asked], [len(each.rows) for each in asked])
    group, life = task.split.group[rows], task.kind == "life"
    # In a table without assets and time no two rows belong together.
    single = len(np.unique(group)) == len(group)
    return FirstVersionRows(
        group if single else task.frame.asset[rows],
        task.frame.cutoff[rows],
        guess,
        apart=life and task.split.by_asset,
        life=dataset.labels.life[rows] if life else np.empty(0, dtype=np.int32),
        code=dataset.codes[rows] if life and len(dataset.codes) else np.empty(0, dtype=object),
    )


def _with_failures(
    decision: PromotionDecision, dataset: Dataset, asked: list[AskedRows], truth: Float64
) -> PromotionDecision:
    """The decision, with how many failures it rests on."""
    rows = np.concatenate([each.rows for each in asked])
    failures = len(np.unique(dataset.labels.life[rows][truth[rows] == 1.0]))
    where = f" at {len(asked)} origins" if len(asked) > 1 else ""
    return replace(decision, reason=f"{decision.reason}, {failures} failures{where}")


def ask_recipe(dataset: Dataset, task: LearningTask, recipe: Recipe, progress: Progress) -> AskAt:
    """Risks at the longest horizon of the recipe's version as it would have been at an origin.

    Limits of features, labels and the support of risks are those of the time. Risks are raw: the
    published map has learned from rows that are held out here.
    """
    head = task.head

    def ask(origin: Origin) -> Float64:
        progress(0.5, "too few failures held out: refitting at an earlier origin")
        rows, asked = origin.learned, origin.held_out
        frame = select_features(dataset.frame, task.frame.features)
        labels = known_until(frame, dataset.labels, origin)
        limits = learn_limits(frame, rows, dataset.paces, renews=dataset.renews)
        limited = limit_features(frame, limits, in_place=True)
        then = replace(task, frame=limited, labels=labels)
        output = refit_answers(then, recipe, rows, asked)
        least, most = supported_risks(labels, rows, head, task.split.group[rows])
        many = len(head.horizons_hours)
        raw = Calibration((1.0,) * many, (0.0,) * many, 0.0, 0.0, least, most)
        return np.asarray(scores_of(output, head, raw).risk[:, -1])

    return ask


def _predict(card: VersionCard, onnx: bytes, rows: Frame) -> Float64:
    """A version's risk of these rows at its longest horizon, or the value."""
    predictor = Predictor(
        onnx, head=card.head, calibration=card.calibration, features=card.features
    )
    limited = limit_features(rows, card.spec.limits)
    scores = predictor.predict(select_features(limited, card.features).values)
    return scores.value if card.head.kind == "regression" else scores.risk[:, -1]
