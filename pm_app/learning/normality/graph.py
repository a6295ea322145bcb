"""Graph of normal behaviour: the model as ONNX nodes, step by step as it is answered in numpy.

In double precision: levels are differences of large numbers, and what is said of a row must not
depend on those beside it.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from pm_app.errors import BadVersion
from pm_app.learning.normality.inputs import NormalInputs
from pm_app.learning.normality.model import (
    FILLING_STEPS,
    LEAST_THERE,
    SHARPNESS,
    TINY,
    NormalModel,
    ScaleCloud,
)
from pm_app.learning.training.parity import MOST_APART, parity_rows
from pm_app.records.readings import Float32

_OPSET = 17
_INPUT = "features"
_GOLDEN_ROWS = 8


def normal_graph(model: NormalModel) -> bytes:
    """Feature rows (n, n_features) float32 to "score" (n, 1) and "residuals" (n, n_sensors)."""
    nodes = _Nodes()
    inputs = model.inputs
    rows = nodes.add("Cast", _INPUT, to=TensorProto.DOUBLE)
    seen = _Rows(nodes, rows, inputs)
    parts = [
        _scale(nodes, cloud, seen.level(scale), seen.present(scale), seen.clock)
        for scale, cloud in enumerate(model.clouds)
    ]
    sums = [nodes.total(each) for each in zip(*parts, strict=True)]
    inverse, root, scales, residual, there = sums
    some = nodes.add("Greater", scales, nodes.constant(0.0))
    count = nodes.constant(float(len(model.clouds)))
    absent = nodes.add("Mul", nodes.add("Sub", count, scales), nodes.add("Div", root, scales))
    mean = nodes.add("Div", count, nodes.add("Add", inverse, absent))
    score = nodes.add("Pow", mean, nodes.constant(0.5 / SHARPNESS))
    score = nodes.add("Where", some, score, nodes.constant(np.nan))
    each = nodes.add("Div", residual, there)
    each = nodes.add("Mul", each, nodes.constant(np.array(inputs.unit)))
    nodes.add("Cast", score, output="score", to=TensorProto.FLOAT)
    nodes.add("Cast", each, output="residuals", to=TensorProto.FLOAT)
    return nodes.model(len(inputs.features), len(inputs.sensors))


def check_graph(
    model: NormalModel, onnx_bytes: bytes, values: Float32, *, seed: int
) -> tuple[float, Float32, Float32]:
    """The largest difference of a model and its graph, as a share of what is beyond 1; golden
    rows and the graph's answers, (n, 1 + n_sensors).

    Raises BadVersion beyond 1e-5, or where one knows what the other does not.
    """
    rows = parity_rows(values, seed=seed)
    session = onnxruntime.InferenceSession(onnx_bytes, providers=["CPUExecutionProvider"])
    graph = np.hstack(session.run(None, {_INPUT: rows}))
    score, residuals = model.answer(rows)
    numbers = np.hstack([score[:, None], residuals])
    there = np.isfinite(numbers)
    # A residual is as large as its unit is small: it counts in what is usual of it.
    size = np.maximum(np.nanmedian(np.abs(np.where(there, numbers, np.nan)), axis=0), 1e-30)
    size = np.maximum(np.abs(numbers), size)
    apart = np.abs(graph - numbers) / size
    if (np.isfinite(graph) != there).any():
        raise BadVersion("the exported graph must know of rows what the model does, it does not")
    parity = float(apart[there].max(initial=0.0))
    if parity > MOST_APART:
        raise BadVersion(
            f"the exported graph must agree with what was learned within {MOST_APART:g}, "
            f"differs by {parity:.3g}"
        )
    golden = rows[:_GOLDEN_ROWS]
    answers = session.run(None, {_INPUT: golden})
    return parity, golden, np.hstack(answers).astype(np.float32)


class _Nodes:
    """Nodes and constants of a graph that grows."""

    def __init__(self) -> None:
        self._nodes: list[Any] = []
        self._constants: list[Any] = []

    def add(self, kind: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        """A node; the name of its output."""
        name = output or f"{kind}_{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, list(inputs), [name], name=name, **attributes))
        return name

    def constant(self, value: NDArray[Any] | float) -> str:
        """A constant in double precision, or of whole numbers as it is; its name."""
        array = np.asarray(value)
        array = array if array.dtype == np.int64 else array.astype(np.float64)
        name = f"constant_{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(array, name))
        return name

    def columns(self, rows: str, places: Sequence[int]) -> str:
        """Some columns of rows."""
        return self.add("Gather", rows, self.constant(np.array(places, dtype=np.int64)), axis=1)

    def along(self, values: str) -> str:
        """The sum of each row, (n, 1)."""
        axis = self.constant(np.array([1], dtype=np.int64))
        return self.add("ReduceSum", values, axis, keepdims=1)

    def number(self, flags: str) -> str:
        """Flags as 0 and 1."""
        return self.add("Cast", flags, to=TensorProto.DOUBLE)

    def total(self, values: Sequence[str]) -> str:
        """Their sum, in order."""
        first, *others = values
        for each in others:
            first = self.add("Add", first, each)
        return first

    def model(self, features: int, sensors: int) -> bytes:
        """The graph, checked."""
        outputs = [("score", 1), ("residuals", sensors)]
        graph = helper.make_graph(
            self._nodes,
            "normal",
            [helper.make_tensor_value_info(_INPUT, TensorProto.FLOAT, [None, features])],
            [helper.make_tensor_value_info(n, TensorProto.FLOAT, [None, w]) for n, w in outputs],
            self._constants,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)])
        model.ir_version = 9
        onnx.checker.check_model(model)
        return bytes(model.SerializeToString())


class _Rows:
    """Levels of rows as `sensor_levels` makes them."""

    def __init__(self, nodes: _Nodes, rows: str, inputs: NormalInputs) -> None:
        self._nodes, self._rows, self._inputs = nodes, rows, inputs
        self.clock = nodes.columns(rows, inputs.clock) if inputs.clock else ""
        self._own = ""
        if inputs.change:
            recent, change = (nodes.columns(rows, each) for each in (inputs.recent, inputs.change))
            self._own = nodes.add("Sub", recent, change)
        self._unreliable = self._find_unreliable()

    def level(self, scale: int) -> str:
        """Levels at a scale, (n, n_sensors)."""
        level = self._nodes.columns(self._rows, self._inputs.levels[scale])
        return self._nodes.add("Sub", level, self._own) if self._own else level

    def present(self, scale: int) -> str:
        """Where a level is there, its sensor is not stuck and the machine ran, (n, n_sensors)."""
        nodes, level = self._nodes, self.level(scale)
        missing = nodes.add("Or", nodes.add("IsNaN", level), nodes.add("IsInf", level))
        missing = nodes.add("Or", missing, self._unreliable)
        if self._inputs.running:
            lowest = nodes.columns(self._rows, (self._inputs.running[scale],))
            above = nodes.constant(float(np.float32(self._inputs.above)))
            missing = nodes.add("Or", missing, nodes.add("LessOrEqual", lowest, above))
        return nodes.add("Not", missing)

    def _find_unreliable(self) -> str:
        nodes, inputs, found = self._nodes, self._inputs, ""
        for number, (spread, missing) in enumerate(zip(inputs.spread, inputs.missing, strict=True)):
            least, most = (
                nodes.constant(np.array(bounds[number], dtype=np.float32))
                for bounds in (inputs.least_spread, inputs.most_missing)
            )
            stuck = nodes.add("Less", nodes.columns(self._rows, spread), least)
            gone = nodes.add("Greater", nodes.columns(self._rows, missing), most)
            either = nodes.add("Or", stuck, gone)
            found = nodes.add("Or", found, either) if found else either
        return found


def _scale(
    nodes: _Nodes, cloud: ScaleCloud, level: str, present: str, clock: str
) -> tuple[str, str, str, str, str]:
    """What a scale adds to the sums of `NormalModel.answer_levels`."""
    offset = nodes.add("Sub", level, nodes.constant(cloud.centre))
    if clock:
        added = nodes.add("MatMul", clock, nodes.constant(cloud.clock))
        offset = nodes.add("Sub", offset, added)
    offset = nodes.add("Div", offset, nodes.constant(cloud.spread))
    offset = nodes.add("Where", present, offset, nodes.constant(0.0))
    there = nodes.number(present)
    offset = _filled(nodes, cloud, offset, nodes.number(nodes.add("Not", present)))
    pulled = nodes.add("MatMul", offset, nodes.constant(cloud.precision))
    diagonal = np.diagonal(cloud.precision)
    whole = nodes.add("Relu", nodes.along(nodes.add("Mul", pulled, offset)))
    single = nodes.add("Mul", nodes.add("Mul", pulled, pulled), nodes.constant(1.0 / diagonal))
    single = nodes.add("ReduceMax", nodes.add("Mul", single, there), axes=[1], keepdims=1)
    parts = [
        nodes.add("Mul", each, nodes.constant(0.5 / limit))
        for each, limit in ((whole, cloud.whole), (single, cloud.single))
    ]
    squared = nodes.add("Add", nodes.total(parts), nodes.constant(TINY))
    power = nodes.add("Pow", squared, nodes.constant(float(SHARPNESS)))
    least = nodes.constant(LEAST_THERE * len(diagonal))
    usable = nodes.number(nodes.add("GreaterOrEqual", nodes.along(there), least))
    counts = nodes.add("Mul", there, usable)
    residual = nodes.add("MatMul", pulled, nodes.constant(cloud.residual))
    return (
        nodes.add("Div", usable, power),
        nodes.add("Div", usable, nodes.add("Sqrt", power)),
        usable,
        nodes.add("Mul", residual, counts),
        counts,
    )


def _filled(nodes: _Nodes, cloud: ScaleCloud, offset: str, gone: str) -> str:
    """Offsets with missing sensors where they are least unusual, as `_pull` solves for them."""
    precision = nodes.constant(cloud.precision)
    scale = nodes.constant(1.0 / np.diagonal(cloud.precision))
    tiny = nodes.constant(TINY**2)

    def inner(first: str, second: str) -> str:
        return nodes.along(nodes.add("Mul", first, second))

    rest = nodes.add("Mul", nodes.add("Neg", nodes.add("MatMul", offset, precision)), gone)
    way = nodes.add("Mul", rest, scale)
    power = inner(rest, way)
    for _ in range(FILLING_STEPS):
        along = nodes.add("Mul", nodes.add("MatMul", way, precision), gone)
        step = nodes.add("Div", power, nodes.add("Add", inner(way, along), tiny))
        offset = nodes.add("Add", offset, nodes.add("Mul", step, way))
        rest = nodes.add("Sub", rest, nodes.add("Mul", step, along))
        better = nodes.add("Mul", rest, scale)
        after = inner(rest, better)
        ratio = nodes.add("Div", after, nodes.add("Add", power, tiny))
        way = nodes.add("Add", better, nodes.add("Mul", ratio, way))
        power = after
    return offset
