"""Boosting by LightGBM, where it is installed, and its trees on their way into a graph.

The dump of a model's trees is public; it is all that is kept.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from threading import Lock
from typing import Any, Final

import numpy as np

from pm_app.learning.data.targets import Rows
from pm_app.learning.pool.nodes import TreeNodes
from pm_app.records.readings import Float32, Float64, Index

# Of a tree in a dump.
Node = Mapping[str, Any]
MOST_ROUNDS, PATIENCE_ROUNDS = 1_500, 30
# LightGBM crashes now and then where several threads train at once.
_ALONE: Final = Lock()
_MANY_FEATURES: Final = 100
# LightGBM reads what is nearer to 0 as 0.
ZERO: Final = 1e-34
# Rows read at once, and rows on which borders of values are found.
_BATCH_ROWS, _BORDER_ROWS = 4_096, 20_000


@dataclass(frozen=True, eq=False)
class Periods:
    """Periods that rows were seen in, all (n_periods,): the row, the number of its span, whether
    it failed there (or its value), and what that weighs; span is None where there is but one."""

    rows: Rows
    span: Index | None
    happened: Float64
    weights: Float64


@dataclass(frozen=True)
class BoostSettings:
    """How is boosted: what by LightGBM's name, the learning rate, leaves of a tree, and of many
    features the share that a tree sees."""

    objective: str
    rate: float
    leaves: int
    features: float


def can_boost() -> tuple[bool, str]:
    """Whether LightGBM can be used; where it is installed and cannot, why, in words."""
    if find_spec("lightgbm") is None:
        return False, ""
    try:
        import lightgbm  # noqa: F401
    except (ImportError, OSError) as error:
        return False, f"no trees are boosted: LightGBM is installed and cannot be loaded ({error})"
    return True, ""


def boost(
    values: Float32,
    learned: Periods,
    stops: Periods | None,
    *,
    rounds: int,
    settings: BoostSettings,
    seed: int,
) -> list[Node]:
    """Trees of a dump, one a round: as many as lose least on `stops`, or all; one thread, and the
    same for the same arguments.

    values: features of all rows there are, (n, n_features).
    """
    import lightgbm

    given = _settings(values.shape[1], settings) | {"seed": seed}
    with _ALONE:
        table, held = _table(values, learned), {}
        if stops is not None:
            stopping = lightgbm.early_stopping(PATIENCE_ROUNDS, verbose=False)
            others = _table(values, stops, table)
            held = {"valid_sets": [others], "callbacks": [stopping]}
        model = lightgbm.train(given, table, rounds, **held)
        best = max(1, model.best_iteration) if held else rounds
        return [
            tree["tree_structure"] for tree in model.dump_model(num_iteration=best)["tree_info"]
        ]


def _settings(features: int, settings: BoostSettings) -> dict[str, Any]:
    many = features >= _MANY_FEATURES
    return {
        "objective": settings.objective,
        "learning_rate": settings.rate,
        "num_leaves": settings.leaves,
        "min_data_in_leaf": 20,
        "lambda_l2": 1.0,
        "feature_fraction": settings.features if many else 1.0,
        "bagging_fraction": 0.7,
        "bagging_freq": 1,
        "max_bin": 63 if many else 255,
        "num_threads": 1,
        "deterministic": True,
        "force_row_wise": True,
        "verbosity": -1,
    }


def _table(values: Float32, periods: Periods, like: Any = None) -> Any:
    """A table of LightGBM's, made batch by batch: the rows of all spans at once would be many."""
    import lightgbm

    class PeriodBatches(lightgbm.Sequence):  # type: ignore[misc]  # no types
        batch_size = _BATCH_ROWS

        def __getitem__(self, at: Any) -> Float64:
            asked: Float64 = values[periods.rows[at]].astype(np.float64)
            if periods.span is None:
                return asked
            return np.hstack([asked, np.asarray(periods.span[at], float)[..., None]])

        def __len__(self) -> int:
            return len(periods.rows)

    how = {"verbosity": -1, "bin_construct_sample_cnt": _BORDER_ROWS}
    weights = periods.weights
    return lightgbm.Dataset(
        PeriodBatches(), periods.happened, weight=weights, reference=like, params=how
    )


class Ensemble:
    """Trees on their way into a graph, whose sum answers so many outputs."""

    def __init__(self, outputs: int, features: int) -> None:
        self.outputs, self.features, self.trees = outputs, features, 0
        self.nodes: list[tuple[int, int, int, int, int, float, bool]] = []
        self.leaves: list[tuple[int, int, int, float]] = []

    def add(self, root: Node, to: int, *, share: float) -> None:
        """Add a tree of a dump that answers one output, as so much of it."""
        self._add(root, np.array([to]), share)

    def add_by_span(self, root: Node) -> None:
        """Add a tree whose last feature is the span, once for each stretch of those that it does
        not tell apart; outputs are spans."""
        borders = sorted(
            {
                node["threshold"]
                for node in _nodes_of(root)
                if node["split_feature"] == self.features
            }
        )
        stretch = np.searchsorted(borders, np.arange(self.outputs))
        for number in np.unique(stretch):
            self._add(root, np.flatnonzero(stretch == number), 1.0)

    def _add(self, root: Node, to: Index, share: float) -> None:
        waiting = [(root, 0)]
        count = 1
        while waiting:
            node, at = waiting.pop()
            node = self._on_span(node, int(to[0]))
            if "split_feature" not in node:
                self.nodes.append((self.trees, at, -1, -1, 0, 0.0, False))
                value = share * node["leaf_value"]
                self.leaves += [(self.trees, at, int(output), value) for output in to]
                continue
            left, right, count = count, count + 1, count + 2
            split = node["split_feature"], node["threshold"], _missing_goes_left(node)
            self.nodes.append((self.trees, at, left, right, *split))
            waiting += [(node["left_child"], left), (node["right_child"], right)]
        self.trees += 1

    def _on_span(self, node: Node, span: int) -> Node:
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
            "n_targets": self.outputs,
            "aggregate_function": "SUM",
        }


def _nodes_of(root: Node) -> Iterator[Node]:
    """Nodes that part rows."""
    waiting = [root]
    while waiting:
        node = waiting.pop()
        if "split_feature" in node:
            yield node
            waiting += [node["left_child"], node["right_child"]]


def _missing_goes_left(node: Node) -> bool:
    """As learned; where nothing was missing to learn from, with most rows."""
    if node["missing_type"] == "NaN":
        return bool(node["default_left"])
    left, right = (
        node[side].get("internal_count", node[side].get("leaf_count", 0))
        for side in ("left_child", "right_child")
    )
    return bool(left >= right)
