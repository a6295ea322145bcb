"""Survival forest: one forest for all spans of a life; of classes and values where those are asked.

A tree parts rows by whether they outlive each edge of the head, all edges at once; a leaf answers
with the discrete hazards of its rows (random survival forests, Ishwaran et al. 2008), so that its
curve never rises, and a censored row counts for as long as it was seen. Trees are grown by
scikit-learn and read by their public arrays; nothing of them is stored but in the graph.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from onnx import helper
from sklearn.tree import DecisionTreeRegressor

from pm_app.learning.data.case_control import TrainingRows, sample_rows
from pm_app.learning.data.targets import Rows, Targets, encode_targets, weigh_targets
from pm_app.learning.dataset import LearningTask
from pm_app.learning.pool.nodes import Constants, TreeNodes, make_node, single
from pm_app.records.readings import Float32, Float64, Index
from pm_app.threads import on_threads

# What a graph names its answer, and its shares of modes.
ANSWER, MODES_ANSWER = "forest", "forest_modes"
# Trees of few rows are small, and there are up to so many times as many for the same work: an
# average of more varies less.
TREES, MOST_TIMES = 80, 3
# Rows of one life repeat each other: a tree on 40 % of them ranks as well, in a third of the
# time, and more rows than these make none better. Rows of a table do not.
LEAF_ROWS, SHARE_OF_ROWS = 5, 0.4
TABLE_LEAF_ROWS, TABLE_SHARE = 3, 1.0
ROWS_PER_TREE = 6_000
# Where rows that fail are sampled apart from others a tree draws so many of each: drawn as often
# as they occur, twenty rows that fail would teach it all it knows. Trees draw others from many,
# for what looks like a failure and is none is rare among few.
CASES_PER_TREE, OTHERS_PER_TREE, OTHERS_SAMPLED = 6_000, 14_000, 200_000
# The square root of many correlated features is enough; of a few all, for their products decide.
MANY_FEATURES, FEW_FEATURES = 100, 20
# A leaf answers as if it held this many average rows besides its own: none is ever sure.
PRIOR_ROWS = 0.1
_CHUNK_ROWS = 8_192
_FINITE = (np.finfo(np.float32).min, np.finfo(np.float32).max)
_NOTHING = 1e-9


@dataclass(frozen=True, eq=False)
class GrownTree:
    """A tree as scikit-learn grew it, and what each of its nodes answers, (n_nodes, outputs), then
    the incidence of each mode where modes are told apart, (n_nodes, outputs + modes)."""

    grown: Any
    answers: Float32


@dataclass(frozen=True, eq=False)
class Forest:
    """Trees whose mean answer is that of a head of this kind.

    A regressed value is `zero` where trees answer 0, and `unit` more where they answer 1. modes:
    how many are told apart, 0 for none.
    """

    kind: str
    trees: tuple[GrownTree, ...]
    zero: float = 0.0
    unit: float = 1.0
    modes: int = 0

    @property
    def outputs(self) -> int:
        """How many numbers answer a row, shares of modes apart."""
        return int(self.trees[0].answers.shape[1]) - self.modes

    def nodes(self, asked: str) -> tuple[list[Any], Constants]:
        """Nodes of an ONNX graph from the features of this name to `ANSWER`, and `MODES_ANSWER`
        where modes are told apart."""
        return _forest_nodes(self, asked)

    @property
    def splits(self) -> tuple[Index, Float64]:
        """The feature and the threshold of each node that parts by a value, (n_splits,) each."""
        grown = [tree.grown for tree in self.trees]
        feature = np.concatenate([each.feature for each in grown])
        threshold = np.concatenate([each.threshold for each in grown])
        # One that parts by what is missing alone has an infinite threshold.
        inner = np.flatnonzero((feature >= 0) & np.isfinite(threshold))
        return feature[inner], threshold[inner]

    def __call__(self, values: Float32) -> Float32:
        """Answers to raw features, NaN for missing: (n, n_features) to (n, outputs)."""
        mean = self._mean(values)[:, : self.outputs]
        if self.kind != "regression":
            return mean
        return np.asarray(mean * np.float32(self.unit) + np.float32(self.zero))

    def mode_shares(self, values: Float32) -> Float32:
        """Shares of modes among what fails within the longest horizon, for every span the same;
        (n, n_features) to (n, outputs, modes)."""
        incidence = self._mean(values)[:, self.outputs :]
        shares = incidence / incidence.sum(axis=1, keepdims=True)
        return np.repeat(shares[:, None], self.outputs, axis=1)

    def _mean(self, values: Float32) -> Float32:
        starts = range(0, max(len(values), 1), _CHUNK_ROWS)
        return np.concatenate([self._mean_of(values[at : at + _CHUNK_ROWS]) for at in starts])

    def _mean_of(self, values: Float32) -> Float32:
        block = np.ascontiguousarray(values, dtype=np.float32)
        total = np.zeros((len(block), self.trees[0].answers.shape[1]))
        for tree in self.trees:
            total += tree.answers[tree.grown.apply(block)]
        return (total / len(self.trees)).astype(np.float32)


@dataclass(frozen=True, eq=False)
class _Lesson:
    """What trees learn from: rows of the frame, what they part by, and what leaves count.

    values: features of all rows there are; all else is of the rows of the sample. whole: the
    targets, each as heavy as the rows it stands for. of_mode: whether it fails within the longest
    horizon, by modes, (n_rows, modes); usual_modes: of all rows, (modes,).
    """

    values: Float32
    sample: TrainingRows
    parted_by: Float64
    targets: Targets
    kind: str
    whole: Targets
    of_mode: Float64
    usual_modes: Float64


def fit_forest(task: LearningTask, rows: Rows, *, seed: int) -> Forest:
    """The forest of these rows; the same arguments give the same forest.

    There is nothing to go on from: a refit grows it anew.
    """
    sample = sample_rows(task, rows, others=OTHERS_SAMPLED)
    rows = sample.rows
    targets = encode_targets(task.labels, rows, task.head)
    whole = weigh_targets(targets, sample.weights)
    of_mode = _modes_of(task, rows)
    parted_by = _in_deviations(_parted_by(task, rows, whole), of_mode, task.head.kind)
    heavy = np.ones(len(rows)) if sample.weights is None else sample.weights
    usual = np.asarray((of_mode * heavy[:, None]).mean(axis=0))
    lesson = _Lesson(
        task.frame.values, sample, parted_by, targets, task.head.kind, whole, of_mode, usual
    )
    count = round(TREES * min(max(ROWS_PER_TREE / sum(_rows_drawn(lesson)), 1.0), MOST_TIMES))
    seeds = np.random.SeedSequence(seed).spawn(count)
    trees: dict[int, GrownTree] = {}

    def grow(at: int) -> None:
        trees[at] = _grow(lesson, np.random.default_rng(seeds[at]))

    on_threads(grow, range(count), least=2)
    every = tuple(trees[at] for at in range(count))
    return Forest(task.head.kind, every, targets.zero, targets.unit, of_mode.shape[1])


def _modes_of(task: LearningTask, rows: Rows) -> Float64:
    """Whether rows fail within the longest horizon, by modes: (n_rows, modes)."""
    modes, labels, head = task.head.modes, task.labels, task.head
    within = labels.value[rows]
    if head.kind == "hazard" and modes:
        within = labels.fails_within(head.horizons_hours[-1])[rows]
    of_mode = labels.mode[rows][:, None] == np.arange(len(modes))
    return np.asarray((within == 1.0)[:, None] & of_mode, dtype=np.float64)


def _parted_by(task: LearningTask, rows: Rows, targets: Targets) -> Float64:
    """What trees part rows by, (n_rows, outputs): of a life whether it outlives the edge.

    Beyond where a censored row was seen, the share of all rows that live on from there.
    """
    if task.head.kind != "hazard":
        return targets.happened.astype(np.float64)
    duration, failed = task.labels.duration_hours[rows][:, None], task.labels.failed[rows]
    edges = np.array(task.head.edges_hours)
    whole = _answers_of(targets.happened.sum(axis=0), targets.survived.sum(axis=0), "hazard")
    seen = np.interp(duration, np.append(0.0, edges), np.append(1.0, whole))
    onward = np.minimum(whole / np.maximum(seen, _NOTHING), 1.0)
    unknown = ~failed[:, None] & (duration < edges)
    return np.asarray(np.where(unknown, onward, duration > edges), dtype=np.float64)


def _in_deviations(parted_by: Float64, of_mode: Float64, kind: str) -> Float64:
    """What trees part rows by: columns that count alike, each in its own deviations.

    Few rows fail before the first edges, and a tree would part rows by the late ones alone, which
    say least of the risk. Modes are told apart among rows that fail: others say nothing of them.
    """
    if kind != "hazard" and not of_mode.shape[1]:
        return parted_by
    fails = of_mode.sum(axis=1, keepdims=True)
    usual = of_mode.sum(axis=0) / np.maximum(fails.sum(), 1.0)
    columns = np.hstack([parted_by, of_mode - fails * usual])
    deviation = columns.std(axis=0)
    return np.asarray(columns / np.where(deviation > _NOTHING, deviation, 1.0))


def _grow(lesson: _Lesson, rng: np.random.Generator) -> GrownTree:
    """A tree of rows drawn with replacement."""
    # Trees one by one, not a forest of scikit-learn: those juggle global warning filters in
    # every call, and in threads of ours that ends in thousands of warnings.
    drawn, weights = _draw(lesson, rng)
    # A copy of these rows alone: all of a sample would be as large as the frame.
    values = np.clip(lesson.values[lesson.sample.rows[drawn]], *_FINITE)
    tree = DecisionTreeRegressor(
        min_samples_leaf=LEAF_ROWS if lesson.kind == "hazard" else TABLE_LEAF_ROWS,
        max_features=_tried(values.shape[1]),
        random_state=int(rng.integers(2**31)),
    )
    grown = tree.fit(values, lesson.parted_by[drawn], sample_weight=weights).tree_
    placed = _Placed(drawn, grown.apply(values), weights, grown.node_count)
    return GrownTree(grown, _node_answers(lesson, placed))


def _rows_drawn(lesson: _Lesson) -> tuple[int, ...]:
    """How many rows a tree draws of each stratum."""
    if lesson.sample.strata:
        most = (CASES_PER_TREE, OTHERS_PER_TREE)
        return tuple(min(len(part), n) for part, n in zip(lesson.sample.strata, most, strict=True))
    share = SHARE_OF_ROWS if lesson.kind == "hazard" else TABLE_SHARE
    return (min(max(1, round(share * len(lesson.sample.rows))), ROWS_PER_TREE),)


def _draw(lesson: _Lesson, rng: np.random.Generator) -> tuple[Rows, Float64]:
    """Rows of a tree, drawn with replacement, and the weight of each, 1 on average."""
    sample, parts, heavy = lesson.sample, [], []
    strata = sample.strata or (np.arange(len(sample.rows)),)
    for part, size in zip(strata, _rows_drawn(lesson), strict=True):
        stands_for = len(part) if sample.weights is None else sample.weights[part].sum()
        parts.append(rng.choice(part, size=size) if size else part)
        heavy.append(np.full(size, stands_for / max(size, 1)))
    weights = np.concatenate(heavy)
    return np.concatenate(parts), weights / weights.mean()


def _tried(features: int) -> int:
    """Features tried at a split."""
    if features <= FEW_FEATURES:
        return features
    return round(features**0.5 if features > MANY_FEATURES else features / 3)


@dataclass(frozen=True, eq=False)
class _Placed:
    """Rows a tree was grown on, the leaf and the weight of each, and how many nodes there are."""

    rows: Rows
    leaf: Rows
    weights: Float64
    nodes: int

    def sum_by_node(self, values: Float64 | Float32) -> Float64:
        """Sums of each column of the sample's rows, (n_rows, n) to (n_nodes, n)."""
        heavy = values[self.rows] * self.weights[:, None]
        sums = [np.bincount(self.leaf, column, self.nodes) for column in heavy.T]
        return np.stack(sums, axis=1) if sums else np.empty((self.nodes, 0))


def _node_answers(lesson: _Lesson, placed: _Placed) -> Float32:
    """What each node answers, (n_nodes, outputs); only leaves are ever asked."""
    targets = lesson.targets
    happened, survived = map(placed.sum_by_node, (targets.happened, targets.survived))
    held = np.bincount(placed.leaf, placed.weights, placed.nodes)[:, None]
    if lesson.kind == "regression":
        return (happened / np.maximum(held, 1.0)).astype(np.float32)
    all_rows = lesson.whole.happened.sum(axis=0), lesson.whole.survived.sum(axis=0)
    average = PRIOR_ROWS / np.maximum(all_rows[0] + all_rows[1], _NOTHING)
    happened, survived = happened + average * all_rows[0], survived + average * all_rows[1]
    answers = _answers_of(happened, survived, lesson.kind)
    # Over trees shares add up, so that a leaf says as much of modes as it holds failures.
    usual = lesson.usual_modes + _NOTHING
    shares = (placed.sum_by_node(lesson.of_mode) + PRIOR_ROWS * usual) / (held + PRIOR_ROWS)
    return np.hstack([answers, shares]).astype(np.float32)


def _answers_of(happened: Float64, survived: Float64, kind: str) -> Float64:
    """Survival at the edges, or the share of a class, given counts by span, (..., outputs)."""
    share = happened / np.maximum(happened + survived, _NOTHING)
    return np.asarray(np.cumprod(1.0 - share, axis=-1) if kind == "hazard" else share)


def _forest_nodes(forest: Forest, asked: str) -> tuple[list[Any], Constants]:
    trees = _forest_trees(forest)
    if forest.modes:
        return _forest_modes_nodes(forest, asked, trees)
    if forest.kind != "regression":
        return [make_node("TreeEnsembleRegressor", [asked], ANSWER, **trees)], {}
    nodes = [
        make_node("TreeEnsembleRegressor", [asked], "forest_units", **trees),
        make_node("Mul", ["forest_units", "forest_unit"], "forest_scaled"),
        make_node("Add", ["forest_scaled", "forest_zero"], ANSWER),
    ]
    return nodes, {"forest_unit": single(forest.unit), "forest_zero": single(forest.zero)}


def _forest_modes_nodes(
    forest: Forest, asked: str, trees: dict[str, Any]
) -> tuple[list[Any], Constants]:
    """Nodes to the forest's answers, and its shares of modes as `Forest.mode_shares` has them."""
    parts = [ANSWER, "forest_incidence"]
    nodes = [
        make_node("TreeEnsembleRegressor", [asked], "forest_all", **trees),
        helper.make_node("Split", ["forest_all", "forest_parts"], parts, "forest_split", axis=1),
        make_node("ReduceSum", ["forest_incidence", "forest_modes_axis"], "forest_total"),
        make_node("Div", ["forest_incidence", "forest_total"], "forest_share"),
        make_node("Unsqueeze", ["forest_share", "forest_modes_axis"], "forest_spanless"),
        make_node("Mul", ["forest_spanless", "forest_spans"], MODES_ANSWER),
    ]
    constants = {
        "forest_parts": np.array([forest.outputs, forest.modes]),
        "forest_modes_axis": np.array([1]),
        "forest_spans": np.ones((forest.outputs, 1), dtype=np.float32),
    }
    return nodes, constants


def _forest_trees(forest: Forest) -> dict[str, Any]:
    """Attributes of its trees, whose mean answers."""
    grown = [tree.grown for tree in forest.trees]
    number = np.repeat(np.arange(len(grown)), [each.node_count for each in grown])
    node = np.concatenate([np.arange(each.node_count) for each in grown])
    left, right, feature, threshold, missing = (
        np.concatenate([getattr(each, name) for each in grown])
        for name in (
            "children_left",
            "children_right",
            "feature",
            "threshold",
            "missing_go_to_left",
        )
    )
    is_leaf = left < 0
    answers = np.concatenate([tree.answers for tree in forest.trees])[is_leaf]
    outputs = answers.shape[1]
    nodes = TreeNodes(number, node, left, right, feature, threshold, missing)
    return {
        **nodes.attributes(),
        "target_treeids": np.repeat(number[is_leaf], outputs).tolist(),
        "target_nodeids": np.repeat(node[is_leaf], outputs).tolist(),
        "target_ids": np.tile(np.arange(outputs), len(answers)).tolist(),
        "target_weights": answers.ravel().tolist(),
        "n_targets": outputs,
        "aggregate_function": "AVERAGE",
    }
