"""Figures of scores: ranks of rows, and alarms at the budget."""

from dataclasses import dataclass

import numpy as np
from benchmarks.normality.peers import PEERS, rank_auc, scaled
from benchmarks.normality.sets import NormalSet

from pm_app.features.frame import select_features
from pm_app.learning.normality.history import choose_history
from pm_app.learning.normality.inputs import choose_inputs
from pm_app.learning.normality.learn import (
    HealthyRows,
    LearnedNormal,
    alarm_persistence,
    learn_normal,
)
from pm_app.learning.normality.level import AlarmTerms, QuietScores, episode_starts, find_level
from pm_app.progress import silent
from pm_app.scoring.deviation import DeviationPredictor
from pm_app.settings.deviation import DeviationSettings, read_budget
from pm_app.times import HOUR_NS

OURS = "pm-app"
BUDGET = "1 per asset and quarter"
# These take a minute a fit: their alarms are not asked for.
NO_ALARMS = ("each sensor by boosted trees", "masked autoencoder")
ONE_SET = NO_ALARMS
BLOCKS = 3
_QUARTER_HOURS = 8766 / 4
_PAIRS = 400_000


@dataclass(frozen=True, eq=False)
class Answer:
    """A method's scores of all rows, NaN where none; `level`: the score that keeps the budget;
    held_out: scores of what teaches by a model that did not see it, NaN elsewhere."""

    score: np.ndarray
    level: float = np.nan
    held_out: np.ndarray | None = None


def settings_of(given: NormalSet) -> DeviationSettings:
    """The product's settings, with as short a history as the set has."""
    hours = np.bincount(given.frame.asset[given.teach]).max() * given.spec.pane_ns / HOUR_NS
    shortest = max(1, int(0.3 * 3600 * hours))
    return DeviationSettings(false_alarms=BUDGET, minimum_history=f"{min(shortest, 259200)}s")


def learn_set(given: NormalSet) -> LearnedNormal:
    """What the product learns of a set."""
    rows = HealthyRows(given.frame, given.teach, given.spec)
    return learn_normal(rows, settings=settings_of(given), before=None, seed=0, progress=silent)


def answer_ours(given: NormalSet, learned: LearnedNormal) -> Answer:
    """The product's scores by its graph, and its level."""
    values = select_features(given.frame, learned.card.features).values
    score = DeviationPredictor(learned.onnx, learned.card).raw(values)[:, 0].astype(float)
    return Answer(score, learned.card.level.score)


def taught_rows(given: NormalSet) -> np.ndarray:
    """The rows that teach the product, which teach all others too; (n_rows,)."""
    inputs = choose_inputs(given.frame, np.flatnonzero(given.teach), given.spec)
    chosen = select_features(given.frame, inputs.features)
    taught = choose_history(chosen, given.teach, given.spec, inputs, settings_of(given))
    flags = np.zeros(len(given.teach), dtype=bool)
    flags[taught.rows] = True
    return flags


def answer_peer(given: NormalSet, teach: np.ndarray, name: str, *, alarms: bool) -> Answer:
    """A peer's scores; of levels of sensors or of all their features, what ranks better there.

    Told afterwards, which favours peers. With alarms: the level by the product's own rule, on
    blocks of time that the peer did not learn from.
    """
    asked = given.unusual | given.usual
    asked = asked if given.watched is None else asked | given.watched
    asked = asked if given.left is None else asked | np.isfinite(given.left)
    best, best_auc, best_levels = None, -1.0, True
    for levels in (True, False) if name not in ONE_SET else (True,):
        score = _score(given, teach, asked, name, levels)
        auc = rank_auc(score, given.unusual, given.usual)
        if auc > best_auc:
            best, best_auc, best_levels = score, auc, levels
    if not alarms or name in NO_ALARMS:
        return Answer(best)
    held_out = np.full(len(teach), np.nan)
    rows = np.flatnonzero(teach)
    for block in np.array_split(rows[np.argsort(given.frame.cutoff[rows], kind="stable")], BLOCKS):
        inside = np.zeros(len(teach), dtype=bool)
        inside[block] = True
        held_out[block] = _score(given, teach & ~inside, inside, name, best_levels)[block]
    level = find_level(quiet_scores(given, held_out, teach), terms(given), seed=0)
    return Answer(best, level.score, held_out)


def _score(given, teach, asked, name, levels) -> np.ndarray:
    score = np.full(len(teach), np.nan)
    score[asked] = PEERS[name](scaled(given.frame, teach, asked, levels=levels))
    return score


def terms(given: NormalSet) -> AlarmTerms:
    """Alarms as the product raises them."""
    settings = DeviationSettings()
    assets = len(np.unique(given.frame.asset[given.teach]))
    persistence = alarm_persistence(settings, given.spec)
    return AlarmTerms(read_budget(BUDGET).per_hour(assets), persistence, settings.clear)


def quiet_scores(given: NormalSet, score: np.ndarray, rows: np.ndarray) -> QuietScores:
    """Scores of some rows as they are looked at for episodes."""
    at = np.flatnonzero(rows & np.isfinite(score))
    # Levels are looked for in logarithms.
    positive = np.maximum(score[at] - min(score[at].min(), 0.0), 1e-9)
    frame = given.frame
    return QuietScores(frame.asset[at], frame.cutoff[at], positive, given.spec.pane_ns / HOUR_NS)


def rank_figures(given: NormalSet, answer: Answer) -> dict[str, float]:
    """AUC, what is found where one usual row in a hundred is called unusual, C-index."""
    there = np.isfinite(answer.score)
    unusual, usual = given.unusual & there, given.usual & there
    bound = np.quantile(answer.score[usual], 0.99)
    figures = {
        "auc": rank_auc(answer.score, unusual, usual),
        "found at 1 %": float((answer.score[unusual] > bound).mean()),
    }
    if given.left is not None:
        figures["c-index"] = _concordance(answer.score, given.left, there)
    return figures


def _concordance(score: np.ndarray, left: np.ndarray, there: np.ndarray) -> float:
    """Share of pairs of which the more unusual one has less life left; ties count half."""
    rows = np.flatnonzero(there & np.isfinite(left))
    first, second = np.random.default_rng(0).choice(rows, (2, _PAIRS))
    apart = left[first] != left[second]
    first, second = first[apart], second[apart]
    order = np.sign(score[first] - score[second]) * np.sign(left[second] - left[first])
    return float(((order + 1) / 2).mean())


def alarm_figures(given: NormalSet, answer: Answer, kinds: tuple[str, ...]) -> dict[str, float]:
    """Faults of these kinds found before their end, warning as a share of how long they grew,
    and false alarms of an asset and quarter."""
    score = np.where(given.watched, answer.score, np.nan)
    there = np.isfinite(score)
    scores = QuietScores(
        given.frame.asset[there], given.frame.cutoff[there], score[there],
        given.spec.pane_ns / HOUR_NS,
    )  # fmt: skip
    raised = np.flatnonzero(there)[episode_starts(scores, answer.level, terms(given))]
    quiet = given.quiet & there
    hours = quiet.sum() * given.spec.pane_ns / HOUR_NS
    warnings = []
    for fault in given.faults:
        if fault.kind not in kinds:
            continue
        cutoff = given.frame.cutoff[raised]
        own = (given.frame.asset[raised] == fault.asset) & (cutoff > fault.begin)
        own &= cutoff <= fault.end
        length = max(fault.end - fault.begin, 1)
        first = cutoff[own].min() if own.any() else fault.end
        warnings.append(((fault.end - first) / length, own.any(), (first - fault.begin) / 1e9))
    share, found, delay = (np.array(each, dtype=float) for each in zip(*warnings, strict=True))
    return {
        "faults": float(len(found)),
        "found": float(found.mean()),
        "warning": float(np.median(share)),
        "delay s": float(np.median(delay[found > 0])) if found.any() else np.nan,
        "false alarms": float(quiet[raised].sum() / hours * _QUARTER_HOURS),
    }


def at_one_percent(given: NormalSet, answer: Answer) -> Answer:
    """The same with the level at the 99th percentile of held-out healthy rows."""
    assert answer.held_out is not None
    return Answer(answer.score, float(np.nanquantile(answer.held_out, 0.99)))
