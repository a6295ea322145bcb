"""Nodes of an ONNX graph: trees of any library, and steps from names to a name."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from pm_app.records.readings import Flags, Float32, Float64, Index
from pm_app.scoring.predictor import open_graph

Constants = dict[str, NDArray[Any]]
# Of the name of what is asked: nodes to the answer, and their constants.
Nodes = Callable[[str], tuple[list[Any], Constants]]

TREES_DOMAIN, TREES_VERSION = "ai.onnx.ml", 3
_FINITE = (np.finfo(np.float32).min, np.finfo(np.float32).max)
_ASKED, _ROWS, _OPSET, _IR = "features", 8_192, 18, 9


def make_node(kind: str, inputs: Sequence[str], output: str, **attributes: Any) -> Any:
    """A node with one output, whose name it bears."""
    return helper.make_node(kind, list(inputs), [output], name=output, **attributes)


def single(value: float) -> NDArray[Any]:
    """A constant of single precision."""
    return np.array(value, dtype=np.float32)


def initializers(constants: Constants) -> list[Any]:
    """Constants as a graph takes them."""
    return [numpy_helper.from_array(np.asarray(value), key) for key, value in constants.items()]


@dataclass(frozen=True, eq=False)
class TreeNodes:
    """Nodes of trees, all (n_nodes,): the numbers of the tree, of the node in it and of those it
    sends rows to (negative at leaves), what it parts by, and whether what is missing goes left."""

    tree: Index
    node: Index
    left: Index
    right: Index
    feature: Index
    threshold: Float64
    missing_left: Flags

    def attributes(self) -> dict[str, Any]:
        """Of ai.onnx.ml's TreeEnsembleRegressor, but for its targets.

        A tree sends x to the left where x <= threshold in double precision, x being single: that
        is x <= the threshold rounded down to single precision.
        """
        is_leaf, exact = self.left < 0, self.threshold
        # What parts by what is missing alone has a threshold beyond single precision.
        rounded = np.clip(exact, *_FINITE).astype(np.float32)
        rounded = np.where(rounded > exact, np.nextafter(rounded, np.float32(-np.inf)), rounded)
        return {
            "nodes_treeids": self.tree.tolist(),
            "nodes_nodeids": self.node.tolist(),
            "nodes_featureids": np.where(is_leaf, 0, self.feature).tolist(),
            "nodes_modes": np.where(is_leaf, "LEAF", "BRANCH_LEQ").tolist(),
            "nodes_values": np.where(is_leaf, 0.0, rounded).tolist(),
            "nodes_truenodeids": np.where(is_leaf, 0, self.left).tolist(),
            "nodes_falsenodeids": np.where(is_leaf, 0, self.right).tolist(),
            "nodes_missing_value_tracks_true": np.where(is_leaf, 0, self.missing_left).tolist(),
            "domain": TREES_DOMAIN,
        }


def ask_nodes(nodes: Nodes, name: str, *, features: int, outputs: int) -> Callable[..., Float32]:
    """What answers feature rows (n, features) as these nodes do, (n, outputs)."""
    steps, constants = nodes(_ASKED)
    asked, answered = (
        helper.make_tensor_value_info(each, TensorProto.FLOAT, [None, width])
        for each, width in ((_ASKED, features), (name, outputs))
    )
    graph = helper.make_graph(steps, name, [asked], [answered], initializers(constants))
    versions = (("", _OPSET), (TREES_DOMAIN, TREES_VERSION))
    model = helper.make_model(
        graph, ir_version=_IR, opset_imports=[helper.make_opsetid(*each) for each in versions]
    )
    onnx.checker.check_model(model)
    session = open_graph(model.SerializeToString())

    def ask(values: Float32) -> Float32:
        parts = [values[at : at + _ROWS] for at in range(0, max(len(values), 1), _ROWS)]
        answers = [session.run(None, {_ASKED: np.ascontiguousarray(each)})[0] for each in parts]
        return np.concatenate(answers)

    return ask
