"""Boosted hazards: gradient-boosted trees over the spans of a life, by LightGBM where installed.

Discrete-time survival as classification (Singer & Willett 1993): a row is asked once for every
span it was seen in, with the number of the span as one more feature, whether it fails there; what
that makes of a row is a survival curve that never rises. The dump of LightGBM's trees is public.
Each is cut into trees for the spans that it does not tell apart, which part rows by features
alone, so that a row passes once; these are all that is kept.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from threading import Lock
from typing import Any, Final

import numpy as np

from pm_app.learning.data.case_control import sample_rows
from pm_app.learning.data.targets import Rows, Targets, encode_targets
from pm_app.learning.dataset import LearningTask
from pm_app.learning.pool.forest import OTHERS_SAMPLED
from pm_app.learning.pool.nodes import Constants, TreeNodes, ask_nodes, make_node, single
from pm_app.records.readings import Float32, Float64, Index

# What the graph names its answer.
ANSWER: Final = "boosted"
# Spans asked of rows: all that fail there, and a weighed sample of the others.
MOST_PERIODS: Final = 60_000
MOST_ROUNDS, PATIENCE_ROUNDS = 1_500, 30
# LightGBM crashes now and then where several threads train at once.
_ALONE: Final = Lock()
_MANY_FEATURES: Final = 100
# LightGBM reads what is nearer to 0 as 0.
_ZERO: Final = 1e-34
# Rows read at once, and rows on which borders of values are found.
_BATCH_ROWS, _BORDER_ROWS = 4_096, 20_000


@dataclass(frozen=True, eq=False)
class Boosted:
    """Boosted trees whose summed answer, behind a link, is that of a head of this kind.

    trees: attributes of a TreeEnsembleRegressor of raw features. rounds: how often was boosted. A
    regressed value is `zero` where trees answer 0, and `unit` more where they answer 1.
    """

    kind: str
    features: int
    outputs: int
    rounds: int
    trees: Mapping[str, Any]
    zero: float = 0.0
    unit: float = 1.0

    def __call__(self, values: Float32) -> Float32:
        """Answers to raw features, NaN for missing: (n, n_features) to (n, outputs)."""
        answer: Float32 = self._ask(values)
        return answer

    @property
    def splits(self) -> tuple[Index, Float64]:
        """The feature and the threshold, as float32 has it, of each node that parts by a value,
        (n_splits,) each."""
        inner = np.flatnonzero(np.array(self.trees["nodes_modes"]) != "LEAF")
        feature, threshold = (
            np.array(self.trees[name])[inner] for name in ("nodes_featureids", "nodes_values")
        )
        # One that parts by what is missing alone has no threshold to speak of; one nearer to 0
        # than LightGBM tells from 0 stands for it.
        spoken = (np.abs(threshold) < np.finfo(np.float32).max) & (np.abs(threshold) > _ZERO)
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
        nodes = [
            trees,
            make_node("Softplus", ["boosted_score"], "boosted_lost"),
            make_node("CumSum", ["boosted_lost", "boosted_axis"], "boosted_sum"),
            make_node("Neg", ["boosted_sum"], "boosted_log"),
            make_node("Exp", ["boosted_log"], ANSWER),
        ]
        return nodes, {"boosted_axis": np.array(1)}


@dataclass(frozen=True, eq=False)
class _Periods:
    """Spans that rows were seen in, all (n_periods,): the row, the number of its span, whether it
    failed there (or its value), and what that weighs."""

    rows: Rows
    span: Index
    happened: Float64
    weights: Float64


def can_boost() -> tuple[bool, str]:
    """Whether LightGBM can be used; where it is installed and cannot, why, in words."""
    if find_spec("lightgbm") is None:
        return False, ""
    try:
        import lightgbm  # noqa: F401
    except (ImportError, OSError) as error:
        return False, f"no trees are boosted: LightGBM is installed and cannot be loaded ({error})"
    return True, ""


def fit_boosted(task: LearningTask, rows: Rows, *, seed: int, rounds: int | None = None) -> Boosted:
    """Boosted trees of these rows; the same arguments give the same trees.

    rounds: by default until validation rows lose no less.
    """
    periods, targets = _periods_of(task, rows, MOST_PERIODS, seed)
    stops = None
    if rounds is None:
        stops, _ = _periods_of(task, task.split.validation, MOST_PERIODS // 3, seed)
    with _ALONE:
        dump = _boost(task, periods, stops, rounds or MOST_ROUNDS, seed)
    spans, width = targets.happened.shape[1], task.frame.values.shape[1]
    trees = _Ensemble(spans, width)
    for tree in dump:
        trees.add(tree["tree_structure"])
    attributes = trees.attributes()
    kind = task.head.kind
    return Boosted(kind, width, spans, len(dump), attributes, targets.zero, targets.unit)


def _boost(
    task: LearningTask, periods: _Periods, stops: _Periods | None, rounds: int, seed: int
) -> list[dict[str, Any]]:
    """Trees of a dump, a dict a round: as many as lose least on `stops`, or all."""
    import lightgbm

    learned, held = _table(task, periods), {}
    if stops is not None:
        stopping = lightgbm.early_stopping(PATIENCE_ROUNDS, verbose=False)
        held = {"valid_sets": [_table(task, stops, learned)], "callbacks": [stopping]}
    model = lightgbm.train(_settings(task, seed), learned, rounds, **held)
    best = max(1, model.best_iteration) if held else rounds
    found: list[dict[str, Any]] = model.dump_model(num_iteration=best)["tree_info"]
    return found


def _settings(task: LearningTask, seed: int) -> dict[str, Any]:
    many = task.frame.values.shape[1] >= _MANY_FEATURES
    return {
        "objective": "regression" if task.head.kind == "regression" else "binary",
        "learning_rate": 0.12,
        "num_leaves": 15,
        "min_data_in_leaf": 20,
        "lambda_l2": 1.0,
        "feature_fraction": 0.25 if many else 1.0,
        "bagging_fraction": 0.7,
        "bagging_freq": 1,
        "max_bin": 63 if many else 255,
        "num_threads": 1,
        "seed": seed,
        "deterministic": True,
        "force_row_wise": True,
        "verbosity": -1,
    }


def _periods_of(task: LearningTask, rows: Rows, most: int, seed: int) -> tuple[_Periods, Targets]:
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
    return _Periods(sample.rows[place], span, came, weights / weights.mean()), targets


def _table(task: LearningTask, periods: _Periods, like: Any = None) -> Any:
    """A table of LightGBM's, made batch by batch: the rows of all spans at once would be many."""
    import lightgbm

    class PeriodBatches(lightgbm.Sequence):  # type: ignore[misc]  # no types
        batch_size = _BATCH_ROWS

        def __getitem__(self, at: Any) -> Float64:
            values = task.frame.values[periods.rows[at]].astype(np.float64)
            return np.hstack([values, np.asarray(periods.span[at], float)[..., None]])

        def __len__(self) -> int:
            return len(periods.rows)

    how = {"verbosity": -1, "bin_construct_sample_cnt": _BORDER_ROWS}
    weights = periods.weights
    return lightgbm.Dataset(
        PeriodBatches(), periods.happened, weight=weights, reference=like, params=how
    )


class _Ensemble:
    """Trees on their way into a graph. The last feature of a tree that comes is the span."""

    def __init__(self, spans: int, features: int) -> None:
        self.spans, self.features, self.trees = spans, features, 0
        self.nodes: list[tuple[int, int, int, int, int, float, bool]] = []
        self.leaves: list[tuple[int, int, int, float]] = []

    def add(self, root: Mapping[str, Any]) -> None:
        """Add a tree of a dump, once for each of the stretches of spans that it tells apart."""
        borders = sorted(
            {
                node["threshold"]
                for node in _nodes_of(root)
                if node["split_feature"] == self.features
            }
        )
        stretch = np.searchsorted(borders, np.arange(self.spans))
        for number in np.unique(stretch):
            self._add(root, np.flatnonzero(stretch == number))

    def _add(self, root: Mapping[str, Any], spans: Index) -> None:
        waiting = [(root, 0)]
        count = 1
        while waiting:
            node, at = waiting.pop()
            node = self._on_span(node, int(spans[0]))
            if "split_feature" not in node:
                self.nodes.append((self.trees, at, -1, -1, 0, 0.0, False))
                self.leaves += [(self.trees, at, int(to), node["leaf_value"]) for to in spans]
                continue
            left, right, count = count, count + 1, count + 2
            split = node["split_feature"], node["threshold"], _missing_goes_left(node)
            self.nodes.append((self.trees, at, left, right, *split))
            waiting += [(node["left_child"], left), (node["right_child"], right)]
        self.trees += 1

    def _on_span(self, node: Mapping[str, Any], span: int) -> Mapping[str, Any]:
        while node.get("split_feature") == self.features:
            node = node["left_child" if span <= node["threshold"] else "right_child"]
        return node

    def attributes(self) -> dict[str, Any]:
        """As a TreeEnsembleRegressor takes them."""
        nodes = TreeNodes(*(np.array(column) for column in zip(*self.nodes, strict=True)))
        tree, node, target, value = zip(*self.leaves, strict=True)
        return {
            **nodes.attributes(),
            "target_treeids": tree,
            "target_nodeids": node,
            "target_ids": target,
            "target_weights": value,
            "n_targets": self.spans,
            "aggregate_function": "SUM",
        }


def _nodes_of(root: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Nodes that part rows."""
    waiting = [root]
    while waiting:
        node = waiting.pop()
        if "split_feature" in node:
            yield node
            waiting += [node["left_child"], node["right_child"]]


def _missing_goes_left(node: Mapping[str, Any]) -> bool:
    """As learned; where nothing was missing to learn from, with most rows."""
    if node["missing_type"] == "NaN":
        return bool(node["default_left"])
    left, right = (
        node[side].get("internal_count", node[side].get("leaf_count", 0))
        for side in ("left_child", "right_child")
    )
    return bool(left >= right)
