"""Boosted trees of a life: hazards span by span, and failing within each horizon asked directly.

Discrete-time survival as classification (Singer & Willett 1993): a row is asked once for every
span it was seen in, with the number of the span as one more feature, whether it fails there; what
that makes of a row is a survival curve that never rises. Each tree is cut into trees for the spans
that it does not tell apart, which part rows by features alone, so that a row passes once.

Where failures are few these trees spend themselves on when rows fail, most of them late and
unannounced. Whether a row fails within a horizon is then better asked by itself, of those that
outlive the horizon before; spans say how a horizon's risk is spread. Validation says which.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Final

import numpy as np

from pm_app.learning.data.case_control import sample_rows
from pm_app.learning.data.targets import Rows, Targets, encode_targets
from pm_app.learning.dataset import LearningTask
from pm_app.learning.evaluation.calibration import event_truths, event_weights, mean_by
from pm_app.learning.pool.boosting import (
    MOST_ROUNDS,
    ZERO,
    BoostSettings,
    Ensemble,
    Periods,
    boost,
)
from pm_app.learning.pool.forest import OTHERS_SAMPLED
from pm_app.learning.pool.nodes import Constants, ask_nodes, make_node, single
from pm_app.records.readings import Float32, Float64, Index
from pm_app.records.scores import raw_risk

# What the graph names its answer.
ANSWER: Final = "boosted"
# Spans asked of rows: all that fail there, and a weighed sample of the others.
MOST_PERIODS: Final = 60_000
# By span trees are many and rows repeated; a horizon is asked of each row once, for which slower
# and wider trees are better.
_BY_SPAN: Final = BoostSettings("binary", rate=0.12, leaves=15, features=0.25)
_DIRECTLY: Final = BoostSettings("binary", rate=0.05, leaves=31, features=0.5)
# Times a horizon is asked with rows and features drawn anew: the mean varies less.
_DRAWS: Final = 2
_TINY: Final = 1e-30

# How often was boosted: by span, then for each horizon where these are asked directly.
Rounds = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class HorizonTrees:
    """Trees that say by horizon the log-odds of failing within it where the one before is outlived.

    trees: as of `Boosted`. within: which spans a horizon adds to the one before,
    (n_spans, n_horizons), 0 or 1.
    """

    trees: Mapping[str, Any]
    within: Float32


@dataclass(frozen=True, eq=False)
class Boosted:
    """Boosted trees whose summed answer, behind a link, is that of a head of this kind.

    trees: attributes of a TreeEnsembleRegressor of raw features. A regressed value is `zero` where
    trees answer 0, and `unit` more where they answer 1. direct: horizons asked directly, if any.
    """

    kind: str
    features: int
    outputs: int
    rounds: Rounds
    trees: Mapping[str, Any]
    zero: float = 0.0
    unit: float = 1.0
    direct: HorizonTrees | None = None

    def __call__(self, values: Float32) -> Float32:
        """Answers to raw features, NaN for missing: (n, n_features) to (n, outputs)."""
        answer: Float32 = self._ask(values)
        return answer

    @property
    def splits(self) -> tuple[Index, Float64]:
        """The feature and the threshold, as float32 has it, of each node that parts by a value,
        (n_splits,) each."""
        every = [self.trees] if self.direct is None else [self.trees, self.direct.trees]
        modes, features, values = (
            np.concatenate([np.array(trees[name]) for trees in every])
            for name in ("nodes_modes", "nodes_featureids", "nodes_values")
        )
        inner = np.flatnonzero(modes != "LEAF")
        feature, threshold = features[inner], values[inner]
        # One that parts by what is missing alone has no threshold to speak of; one nearer to 0
        # than LightGBM tells from 0 stands for it.
        spoken = (np.abs(threshold) < np.finfo(np.float32).max) & (np.abs(threshold) > ZERO)
        return feature[spoken], threshold[spoken]

    @cached_property
    def _ask(self) -> Any:
        return ask_nodes(self.nodes, ANSWER, features=self.features, outputs=self.outputs)

    def nodes(self, asked: str) -> tuple[list[Any], Constants]:
        """Nodes of an ONNX graph from the features of this name to `ANSWER`."""
        trees = make_node("TreeEnsembleRegressor", [asked], "boosted_score", **self.trees)
        if self.kind == "classification":
            return [trees, make_node("Sigmoid", ["boosted_score"], ANSWER)], {}
        if self.kind == "regression":
            scaled = make_node("Mul", ["boosted_score", "boosted_unit"], "boosted_scaled")
            moved = make_node("Add", ["boosted_scaled", "boosted_zero"], ANSWER)
            constants = {"boosted_unit": single(self.unit), "boosted_zero": single(self.zero)}
            return [trees, scaled, moved], constants
        # log(1 - sigmoid(score)) is -softplus(score); survival is the product over spans.
        lost, constants = "boosted_lost", {"boosted_axis": np.array(1)}
        nodes = [trees, make_node("Softplus", ["boosted_score"], lost)]
        if self.direct is not None:
            lost, steps, more = _spread_nodes(self.direct, asked, lost)
            nodes, constants = [*nodes, *steps], constants | more
        nodes += [
            make_node("CumSum", [lost, "boosted_axis"], "boosted_sum"),
            make_node("Neg", ["boosted_sum"], "boosted_log"),
            make_node("Exp", ["boosted_log"], ANSWER),
        ]
        return nodes, constants


def _spread_nodes(direct: HorizonTrees, asked: str, lost: str) -> tuple[str, list[Any], Constants]:
    """Nodes to what is lost by span where each horizon loses what is asked directly, and the name
    of that. lost: what spans say they lose."""
    trees = make_node("TreeEnsembleRegressor", [asked], "boosted_horizon_score", **direct.trees)
    nodes = [
        trees,
        make_node("Softplus", ["boosted_horizon_score"], "boosted_horizon_lost"),
        make_node("MatMul", [lost, "boosted_within"], "boosted_within_sum"),
        make_node("Max", ["boosted_within_sum", "boosted_tiny"], "boosted_within_lost"),
        make_node("Div", ["boosted_horizon_lost", "boosted_within_lost"], "boosted_ratio"),
        make_node("MatMul", ["boosted_ratio", "boosted_by_span"], "boosted_ratio_by_span"),
        make_node("Add", ["boosted_ratio_by_span", "boosted_beyond"], "boosted_scale"),
        make_node("Mul", [lost, "boosted_scale"], "boosted_lost_directly"),
    ]
    constants = {
        "boosted_within": direct.within,
        "boosted_by_span": np.ascontiguousarray(direct.within.T),
        "boosted_beyond": 1.0 - direct.within.sum(axis=1),
        "boosted_tiny": single(_TINY),
    }
    return "boosted_lost_directly", nodes, constants


def fit_boosted(task: LearningTask, rows: Rows, *, seed: int, rounds: Rounds = ()) -> Boosted:
    """Boosted trees of these rows; the same arguments give the same trees.

    rounds: by default until validation rows lose no less, and horizons are asked directly where
    these rows then lose less.
    """
    found = _boost_spans(task, rows, seed, rounds[:1])
    if task.head.kind != "hazard" or len(rounds) == 1:
        return found
    direct = _ask_directly(found, task, rows, seed, rounds[1:])
    if rounds or direct is None:
        return direct or found
    return direct if _risk_loss(direct, task) < _risk_loss(found, task) else found


def _boost_spans(task: LearningTask, rows: Rows, seed: int, rounds: Rounds) -> Boosted:
    periods, targets = _periods_of(task, rows, MOST_PERIODS, seed)
    stops = None
    if not rounds:
        stops, _ = _periods_of(task, task.split.validation, MOST_PERIODS // 3, seed)
    kind, values = task.head.kind, task.frame.values
    settings = replace(_BY_SPAN, objective="regression") if kind == "regression" else _BY_SPAN
    most = rounds[0] if rounds else MOST_ROUNDS
    dump = boost(values, periods, stops, rounds=most, settings=settings, seed=seed)
    spans, width = targets.happened.shape[1], values.shape[1]
    trees = Ensemble(spans, width)
    for tree in dump:
        trees.add_by_span(tree)
    return Boosted(kind, width, spans, (len(dump),), trees.attributes(), targets.zero, targets.unit)


def _ask_directly(
    found: Boosted, task: LearningTask, rows: Rows, seed: int, rounds: Rounds
) -> Boosted | None:
    """The same with horizons asked directly; None where nothing of these rows fails within one."""
    head, values = task.head, task.frame.values
    trees, counts = Ensemble(len(head.horizons_hours), values.shape[1]), []
    for number in range(len(head.horizons_hours)):
        learned = _horizon_periods(task, rows, number)
        stops = None if rounds else _horizon_periods(task, task.split.validation, number)
        if not learned.happened.any() or (stops is not None and not len(stops.rows)):
            return None
        most = rounds[number] if rounds else MOST_ROUNDS
        dumps = [
            boost(values, learned, stops, rounds=most, settings=_DIRECTLY, seed=seed + draw)
            for draw in range(_DRAWS)
        ]
        for tree in (tree for dump in dumps for tree in dump):
            trees.add(tree, number, share=1.0 / _DRAWS)
        counts.append(round(np.mean([len(dump) for dump in dumps])))
    ends = [head.edges_hours.index(horizon) + 1 for horizon in head.horizons_hours]
    span = np.arange(found.outputs)[:, None]
    within = ((span >= [0, *ends[:-1]]) & (span < ends)).astype(np.float32)
    direct = HorizonTrees(trees.attributes(), within)
    return replace(found, rounds=(*found.rounds, *counts), direct=direct)


def _horizon_periods(task: LearningTask, rows: Rows, number: int) -> Periods:
    """Whether rows fail within a horizon, of those known to outlive the one before."""
    sample = sample_rows(task, rows, others=OTHERS_SAMPLED)
    truths = event_truths(task.labels, sample.rows, task.head)
    labelled = np.isfinite(truths[:, number])
    if number:
        labelled &= truths[:, number - 1] == 0.0
    heavy = np.ones(len(sample.rows)) if sample.weights is None else sample.weights
    seen = event_weights(task.labels, sample.rows, task.head)[number]
    heavy = (heavy if seen is None else heavy * seen)[labelled]
    usual = heavy.mean() if len(heavy) else 1.0
    return Periods(sample.rows[labelled], None, truths[labelled, number], heavy / usual)


def _risk_loss(boosted: Boosted, task: LearningTask) -> float:
    """What risks of validation rows lose, the mean over horizons."""
    rows = task.split.validation
    risk = np.clip(raw_risk(boosted(task.frame.values[rows]), task.head), _TINY, 1.0 - 1e-7)
    truths = event_truths(task.labels, rows, task.head)
    weights = event_weights(task.labels, rows, task.head)
    losses = []
    for number, heavy in enumerate(weights):
        labelled = np.isfinite(truths[:, number])
        right = np.where(
            truths[labelled, number] == 1.0, risk[labelled, number], 1.0 - risk[labelled, number]
        )
        losses.append(mean_by(-np.log(right), None if heavy is None else heavy[labelled]))
    return float(np.mean(losses))


def _periods_of(task: LearningTask, rows: Rows, most: int, seed: int) -> tuple[Periods, Targets]:
    sample = sample_rows(task, rows, others=OTHERS_SAMPLED)
    targets = encode_targets(task.labels, sample.rows, task.head)
    heavy = np.ones(len(sample.rows)) if sample.weights is None else sample.weights
    happened = targets.happened.astype(np.float64)
    seen = np.ones_like(happened)
    if task.head.kind == "hazard":
        seen = happened + targets.survived
    place, span = np.nonzero(seen > 0.0)
    came, weights = happened[place, span], heavy[place] * seen[place, span]
    if len(place) > most:
        is_case = (came > 0.0) & (task.head.kind != "regression")
        case, other = np.flatnonzero(is_case), np.flatnonzero(~is_case)
        kept = max(most - len(case), most // 2)
        drawn = np.random.default_rng(seed).choice(other, min(kept, len(other)), replace=False)
        weights[other] *= len(other) / len(drawn)
        chosen = np.sort(np.concatenate([case, drawn]))
        place, span, came, weights = (each[chosen] for each in (place, span, came, weights))
    return Periods(sample.rows[place], span, came, weights / weights.mean()), targets
