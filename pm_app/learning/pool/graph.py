"""Graph of a pool: the network's ONNX graph and trees of its other members, mixed to one answer.

Survival curves and classes are mixed in log-odds (logarithmic opinion pool, Genest & Zidek 1986),
which keeps what falls along a row falling; values and shares of modes are mixed as they are.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from pm_app.learning.pool import boosted as boosting
from pm_app.learning.pool import forest as forests
from pm_app.learning.pool.boosted import Boosted
from pm_app.learning.pool.forest import Forest
from pm_app.learning.pool.nodes import (
    TREES_DOMAIN,
    TREES_VERSION,
    Constants,
    initializers,
    make_node,
    single,
)
from pm_app.learning.pool.shares import BOOSTED, FOREST, NETWORK, Shares
from pm_app.records.readings import Float32

# Nearer to 0 and 1 log-odds tell of rounding: float32 knows 1 - 1e-7 and nothing between. All
# answers are drawn in by this much, mixed, and what comes is drawn out by as much again.
DRAWN_IN = 5e-3
_ROWS_TIED = 3

# Names of what is mixed, each with its share.
_Parts = list[tuple[str, float]]


def mix_answers(answers: Sequence[Float32], shares: Sequence[float], kind: str) -> Float32:
    """The pool's answers, (n, outputs), given those of its members and their shares, none 0."""
    if kind == "regression":
        return _mix_values(answers, shares)
    score = sum(
        part * (np.log(_drawn_in(answer)) - np.log(_drawn_in(1.0 - answer)))
        for part, answer in zip(shares, answers, strict=True)
    )
    mixed = (1.0 / (1.0 + np.exp(-score)) - DRAWN_IN) / (1.0 - 2.0 * DRAWN_IN)
    return np.clip(mixed, 0.0, 1.0).astype(np.float32)


def mix_mode_shares(given: Sequence[Float32], shares: Sequence[float]) -> Float32:
    """The pool's shares of modes, (n, outputs, modes), given those of members that tell modes
    apart, and how much of the answer is whose."""
    return _mix_values(given, [share / sum(shares) for share in shares])


def _mix_values(answers: Sequence[Float32], shares: Sequence[float]) -> Float32:
    first, mixed = answers[0], answers[0]
    for answer, share in zip(answers[1:], shares[1:], strict=True):
        mixed = mixed + np.float32(share) * (answer - first)
    return np.asarray(mixed)


def _drawn_in(answer: Float32) -> Float32:
    return np.asarray(np.float32(DRAWN_IN) + np.float32(1.0 - 2.0 * DRAWN_IN) * answer)


def pool_graph(
    network: bytes, shares: Shares, *, forest: Forest | None, boosted: Boosted | None = None
) -> bytes:
    """The network's graph with its answers, and shares of modes, mixed with those of trees.

    shares: of the answer, by member; forest, boosted: where they have one. Further outputs of the
    network, a gate's attention, stay where it has a share.
    """
    model = onnx.load_from_string(network)
    graph, trees = model.graph, [each for each in (forest, boosted) if each is not None]
    asked, outputs = graph.input[0].name, [output.name for output in graph.output]
    modes = forest.modes if forest is not None else 0
    if not shares.get(NETWORK, 0.0):
        del graph.node[:], graph.initializer[:], graph.output[2 if modes else 1 :]
    for each in trees:
        _extend(graph, each.nodes(asked))
    names = {NETWORK: outputs[0], FOREST: forests.ANSWER, BOOSTED: boosting.ANSWER}
    mix = _moved_nodes if trees[0].kind == "regression" else _mixed_nodes
    _mix_into(graph, 0, _parts(shares, names), mix, "pool", (trees[0].outputs,))
    if modes:
        names = {NETWORK: outputs[1], FOREST: forests.MODES_ANSWER}
        shape = trees[0].outputs, modes
        _mix_into(graph, 1, _parts(shares, names), _moved_nodes, "pool_modes", shape)
    if not any(each.domain == TREES_DOMAIN for each in model.opset_import):
        model.opset_import.append(helper.make_opsetid(TREES_DOMAIN, TREES_VERSION))
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def _extend(graph: Any, more: tuple[list[Any], Constants]) -> None:
    graph.node.extend(more[0])
    graph.initializer.extend(initializers(more[1]))


def _parts(shares: Shares, names: Mapping[str, str]) -> _Parts:
    """What has a share under these names, as much of the whole as it has of them together."""
    parts = [(names[name], share) for name, share in shares.items() if share and name in names]
    whole = sum(share for _, share in parts)
    return [(name, share / whole) for name, share in parts]


def _mix_into(
    graph: Any,
    output: int,
    parts: _Parts,
    mix: Callable[[str, _Parts], tuple[list[Any], Constants]],
    name: str,
    shape: Sequence[int],
) -> None:
    """Make the mixed parts, or what is there alone, the output of this number."""
    if len(parts) > 1:
        _extend(graph, mix(name, parts))
    else:
        name = parts[0][0]
    value = helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, *shape])
    graph.output[output].CopyFrom(value)


def at_thresholds(trees: Sequence[Forest | Boosted], values: Float32, *, seed: int) -> Float32:
    """The rows, a few values of each replaced by thresholds of the trees as float32 has them.

    There a graph whose thresholds are rounded otherwise than down parts ways with its trees.
    """
    rng = np.random.default_rng(seed)
    pairs = [each.splits for each in trees]
    feature = np.concatenate([each for each, _ in pairs])
    threshold = np.concatenate([each for _, each in pairs])
    tied = values.copy()
    if len(feature):
        for _ in range(_ROWS_TIED):
            drawn = rng.integers(len(feature), size=len(values))
            tied[np.arange(len(values)), feature[drawn]] = threshold[drawn]
    return tied


def _mixed_nodes(name: str, parts: _Parts) -> tuple[list[Any], Constants]:
    """Nodes from answers to `name`, step by step as `mix_answers` goes."""
    nodes, scores, constants = [], [], {}
    for number, (answer, share) in enumerate(parts):
        nodes += _log_odds_nodes(answer, f"pool_{number}")
        scores.append(f"pool_{number}_part")
        constants[f"pool_{number}_share"] = single(share)
    nodes += [
        make_node("Sum", scores, "pool_score"),
        make_node("Sigmoid", ["pool_score"], "pool_inside"),
        make_node("Sub", ["pool_inside", "pool_edge"], "pool_lowered"),
        make_node("Div", ["pool_lowered", "pool_range"], "pool_wide"),
        make_node("Clip", ["pool_wide", "pool_nothing", "pool_one"], name),
    ]
    drawn = {"pool_edge": DRAWN_IN, "pool_range": 1.0 - 2.0 * DRAWN_IN}
    drawn |= {"pool_nothing": 0.0, "pool_one": 1.0}
    return nodes, {**constants, **{key: single(value) for key, value in drawn.items()}}


def _moved_nodes(name: str, parts: _Parts) -> tuple[list[Any], Constants]:
    """Nodes that move the first values towards each of the others by its share, to `name`."""
    (first, _), *others = parts
    nodes, at, constants = [], first, {}
    for number, (answer, share) in enumerate(others, start=1):
        to = name if number == len(others) else f"{name}_{number}"
        nodes += [
            make_node("Sub", [answer, first], f"{name}_{number}_apart"),
            make_node("Mul", [f"{name}_{number}_apart", f"{name}_{number}_share"], f"{to}_moved"),
            make_node("Add", [at, f"{to}_moved"], to),
        ]
        constants[f"{name}_{number}_share"], at = single(share), to
    return nodes, constants


def _log_odds_nodes(answer: str, name: str) -> list[Any]:
    nodes = [make_node("Sub", ["pool_one", answer], f"{name}_rest")]
    for side, given in (("yes", answer), ("no", f"{name}_rest")):
        nodes += [
            make_node("Mul", [given, "pool_range"], f"{name}_{side}_scaled"),
            make_node("Add", [f"{name}_{side}_scaled", "pool_edge"], f"{name}_{side}_inside"),
            make_node("Log", [f"{name}_{side}_inside"], f"{name}_{side}"),
        ]
    return [
        *nodes,
        make_node("Sub", [f"{name}_yes", f"{name}_no"], f"{name}_odds"),
        make_node("Mul", [f"{name}_odds", f"{name}_share"], f"{name}_part"),
    ]
