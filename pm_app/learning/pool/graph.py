"""Graph of a pool: the network's ONNX graph and a forest's trees, mixed into one answer.

Survival curves and classes are mixed in log-odds (logarithmic opinion pool, Genest & Zidek 1986),
which keeps what falls along a row falling; values and shares of modes are mixed as they are.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from pm_app.learning.pool.forest import Forest, GrownTree
from pm_app.records.readings import Float32

Constants = dict[str, NDArray[Any]]

# Nearer to 0 and 1 log-odds tell of rounding: float32 knows 1 - 1e-7 and nothing between. Both
# answers are drawn in by this much, mixed, and what comes is drawn out by as much again.
DRAWN_IN = 5e-3
_FOREST, _TREES_DOMAIN, _TREES_VERSION = "forest", "ai.onnx.ml", 3
_MODES = "_modes"
_ROWS_TIED = 3


def mix_answers(network: Float32, forest: Float32, share: float, kind: str) -> Float32:
    """The pool's answers, (n, outputs), given both members' and the share of the network."""
    if kind == "regression":
        return np.asarray(network + np.float32(1.0 - share) * (forest - network))
    score = sum(
        part * (np.log(_drawn_in(answer)) - np.log(_drawn_in(1.0 - answer)))
        for part, answer in ((share, network), (1.0 - share, forest))
    )
    mixed = (1.0 / (1.0 + np.exp(-score)) - DRAWN_IN) / (1.0 - 2.0 * DRAWN_IN)
    return np.clip(mixed, 0.0, 1.0).astype(np.float32)


def mix_shares(network: Float32, forest: Float32, share: float) -> Float32:
    """The pool's shares of modes, (n, outputs, modes), given both members'."""
    return np.asarray(network + np.float32(1.0 - share) * (forest - network))


def _drawn_in(answer: Float32) -> Float32:
    return np.asarray(np.float32(DRAWN_IN) + np.float32(1.0 - 2.0 * DRAWN_IN) * answer)


def pool_graph(network: bytes, forest: Forest, share: float) -> bytes:
    """The network's graph with its answers, and shares of modes, mixed with the forest's.

    share: of the network, in [0, 1); where it is 0 the forest answers alone. Further outputs,
    a gate's attention, stay where the network has a share.
    """
    model = onnx.load_from_string(network)
    graph = model.graph
    asked, outputs = graph.input[0].name, [output.name for output in graph.output]
    nodes, constants = _forest_nodes(forest, asked)
    if share > 0.0:
        more = _mixing_nodes(forest, outputs, share)
        nodes, constants = nodes + more[0], {**constants, **more[1]}
    else:
        del graph.node[:], graph.initializer[:], graph.output[2 if forest.modes else 1 :]
    name, shape = "pool" if share > 0.0 else _FOREST, [None, forest.outputs]
    _set_output(graph.output[0], name, shape)
    if forest.modes:
        _set_output(graph.output[1], f"{name}{_MODES}", [*shape, forest.modes])
    graph.node.extend(nodes)
    graph.initializer.extend(
        numpy_helper.from_array(np.asarray(value), key) for key, value in constants.items()
    )
    if not any(each.domain == _TREES_DOMAIN for each in model.opset_import):
        model.opset_import.append(helper.make_opsetid(_TREES_DOMAIN, _TREES_VERSION))
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def _set_output(output: Any, name: str, shape: Sequence[int | None]) -> None:
    output.CopyFrom(helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape)))


def at_thresholds(forest: Forest, values: Float32, *, seed: int) -> Float32:
    """The rows, a few values of each replaced by thresholds of the trees as float32 has them.

    There a graph whose thresholds are rounded otherwise than down parts ways with its forest.
    """
    rng = np.random.default_rng(seed)
    grown = [tree.grown for tree in forest.trees]
    feature = np.concatenate([tree.feature for tree in grown])
    threshold = np.concatenate([tree.threshold for tree in grown])
    # A split by what is missing alone has an infinite threshold.
    inner = np.flatnonzero((feature >= 0) & np.isfinite(threshold))
    tied = values.copy()
    if len(inner):
        for _ in range(_ROWS_TIED):
            drawn = rng.choice(inner, size=len(values))
            tied[np.arange(len(values)), feature[drawn]] = threshold[drawn]
    return tied


def _forest_nodes(forest: Forest, asked: str) -> tuple[list[Any], Constants]:
    trees = _tree_attributes(forest.trees)
    if forest.modes:
        return _forest_modes_nodes(forest, asked, trees)
    if forest.kind != "regression":
        return [_make("TreeEnsembleRegressor", [asked], _FOREST, **trees)], {}
    nodes = [
        _make("TreeEnsembleRegressor", [asked], "forest_units", **trees),
        _make("Mul", ["forest_units", "forest_unit"], "forest_scaled"),
        _make("Add", ["forest_scaled", "forest_zero"], _FOREST),
    ]
    return nodes, {"forest_unit": _single(forest.unit), "forest_zero": _single(forest.zero)}


def _forest_modes_nodes(
    forest: Forest, asked: str, trees: dict[str, Any]
) -> tuple[list[Any], Constants]:
    """Nodes to the forest's answers, and its shares of modes as `Forest.mode_shares` has them."""
    parts = [_FOREST, "forest_incidence"]
    nodes = [
        _make("TreeEnsembleRegressor", [asked], "forest_all", **trees),
        helper.make_node("Split", ["forest_all", "forest_parts"], parts, "forest_split", axis=1),
        _make("ReduceSum", ["forest_incidence", "forest_modes_axis"], "forest_total"),
        _make("Div", ["forest_incidence", "forest_total"], "forest_share"),
        _make("Unsqueeze", ["forest_share", "forest_modes_axis"], "forest_spanless"),
        _make("Mul", ["forest_spanless", "forest_spans"], f"{_FOREST}{_MODES}"),
    ]
    constants = {
        "forest_parts": np.array([forest.outputs, forest.modes]),
        "forest_modes_axis": np.array([1]),
        "forest_spans": np.ones((forest.outputs, 1), dtype=np.float32),
    }
    return nodes, constants


def _tree_attributes(trees: Sequence[GrownTree]) -> dict[str, Any]:
    """Attributes of ai.onnx.ml's TreeEnsembleRegressor.

    A tree sends x to the left where x <= threshold in double precision, x being single: that is
    x <= the threshold rounded down to single precision.
    """
    nodes = np.concatenate([np.arange(tree.grown.node_count) for tree in trees])
    number = np.repeat(np.arange(len(trees)), [tree.grown.node_count for tree in trees])
    left, right, feature, threshold, missing = (
        np.concatenate([getattr(tree.grown, name) for tree in trees])
        for name in (
            "children_left",
            "children_right",
            "feature",
            "threshold",
            "missing_go_to_left",
        )
    )
    is_leaf = left < 0
    single = threshold.astype(np.float32)
    single = np.where(single > threshold, np.nextafter(single, np.float32(-np.inf)), single)
    answers = np.concatenate([tree.answers for tree in trees])[is_leaf]
    outputs = answers.shape[1]
    return {
        "nodes_treeids": number.tolist(),
        "nodes_nodeids": nodes.tolist(),
        "nodes_featureids": np.where(is_leaf, 0, feature).tolist(),
        "nodes_modes": np.where(is_leaf, "LEAF", "BRANCH_LEQ").tolist(),
        "nodes_values": np.where(is_leaf, 0.0, single).tolist(),
        "nodes_truenodeids": np.where(is_leaf, 0, left).tolist(),
        "nodes_falsenodeids": np.where(is_leaf, 0, right).tolist(),
        "nodes_missing_value_tracks_true": np.where(is_leaf, 0, missing).tolist(),
        "target_treeids": np.repeat(number[is_leaf], outputs).tolist(),
        "target_nodeids": np.repeat(nodes[is_leaf], outputs).tolist(),
        "target_ids": np.tile(np.arange(outputs), len(answers)).tolist(),
        "target_weights": answers.ravel().tolist(),
        "n_targets": outputs,
        "aggregate_function": "AVERAGE",
        "domain": _TREES_DOMAIN,
    }


def _mixing_nodes(
    forest: Forest, outputs: Sequence[str], share: float
) -> tuple[list[Any], Constants]:
    """Nodes from both answers to "pool", step by step as `mix_answers` and `mix_shares` go.

    outputs: outputs of the network's graph.
    """
    answer = outputs[0]
    constants = {"pool_network_share": _single(share), "pool_forest_share": _single(1.0 - share)}
    if forest.kind == "regression":
        return _moved_nodes(answer, _FOREST, "pool"), constants
    more = _moved_nodes(outputs[1], f"{_FOREST}{_MODES}", f"pool{_MODES}") if forest.modes else []
    nodes = [
        *more,
        *_log_odds_nodes(answer, "pool_network"),
        *_log_odds_nodes(_FOREST, "pool_forest"),
        _make("Add", ["pool_network_part", "pool_forest_part"], "pool_score"),
        _make("Sigmoid", ["pool_score"], "pool_inside"),
        _make("Sub", ["pool_inside", "pool_edge"], "pool_lowered"),
        _make("Div", ["pool_lowered", "pool_range"], "pool_wide"),
        _make("Clip", ["pool_wide", "pool_nothing", "pool_one"], "pool"),
    ]
    drawn = {"pool_edge": DRAWN_IN, "pool_range": 1.0 - 2.0 * DRAWN_IN}
    drawn |= {"pool_nothing": 0.0, "pool_one": 1.0}
    return nodes, {**constants, **{key: _single(value) for key, value in drawn.items()}}


def _moved_nodes(network: str, forest: str, name: str) -> list[Any]:
    """Nodes that move the network's values towards the forest's by that one's share."""
    return [
        _make("Sub", [forest, network], f"{name}_apart"),
        _make("Mul", [f"{name}_apart", "pool_forest_share"], f"{name}_moved"),
        _make("Add", [network, f"{name}_moved"], name),
    ]


def _single(value: float) -> NDArray[Any]:
    return np.array(value, dtype=np.float32)


def _log_odds_nodes(answer: str, name: str) -> list[Any]:
    nodes = [_make("Sub", ["pool_one", answer], f"{name}_rest")]
    for side, given in (("yes", answer), ("no", f"{name}_rest")):
        nodes += [
            _make("Mul", [given, "pool_range"], f"{name}_{side}_scaled"),
            _make("Add", [f"{name}_{side}_scaled", "pool_edge"], f"{name}_{side}_inside"),
            _make("Log", [f"{name}_{side}_inside"], f"{name}_{side}"),
        ]
    return [
        *nodes,
        _make("Sub", [f"{name}_yes", f"{name}_no"], f"{name}_odds"),
        _make("Mul", [f"{name}_odds", f"{name}_share"], f"{name}_part"),
    ]


def _make(kind: str, inputs: Sequence[str], output: str, **attributes: Any) -> Any:
    return helper.make_node(kind, list(inputs), [output], name=output, **attributes)
