"""The stored graph against Keras itself: `predict`, and a call compiled by XLA; and the graph of a
pool against that of its network alone."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from benchmarks.speed.rows import Row, interleaved, middle

from pm_app.learning.dataset import LearningTask
from pm_app.learning.network import (
    Outputs,
    build_network,
    export_onnx,
    set_scaling,
)
from pm_app.learning.pool.boosted import fit_boosted
from pm_app.learning.pool.forest import ROWS_PER_TREE, SHARE_OF_ROWS, fit_forest
from pm_app.learning.pool.graph import pool_graph
from pm_app.records.features import Frame
from pm_app.records.labels import Labels, Split
from pm_app.records.learning import Allocation, Calibration, Head, Tier
from pm_app.scoring.predictor import Predictor

SENSORS, EACH, MEMBERS, EDGES = 8, 19, 8, 9
# Calls of each size, interleaved.
SIZES = {1: 200, 100: 50, 10_000: 5, 1_000_000: 1}
MOST_OF_NETWORK = 2.0
LARGE = "a forest of noise has the largest trees there are, and passing 80 of them takes so long"
# As many as validation lets trees be boosted where they join on engines.
ROUNDS = 150


def measure(folder: Path) -> list[Row]:
    """An ensemble of eight with periodic embeddings on 152 features, as retraining makes it."""
    import tensorflow as tf

    sensors = tuple(f"sensor-{number}" for number in range(SENSORS))
    sensor_of = tuple(np.repeat(sensors, EACH).tolist())
    tiers = (Tier("leading", sensors[:3], 24, 2, 0.1), Tier("others", sensors[3:], 12, 0, 0.1))
    plan = Allocation("tiers", tiers, (1e-4,) * SENSORS, (16,), MEMBERS, 0, scaling="bounded")
    network = build_network(plan, sensor_of, Outputs("hazard", EDGES), seed=0)
    rng = np.random.default_rng(0)
    set_scaling(network, rng.normal(size=(1000, len(sensor_of))).astype(np.float32))
    edges = tuple(float(hours) for hours in range(24, 24 * (EDGES + 1), 24))
    head, graph = Head("hazard", edges, (24.0,)), export_onnx(network)
    features = tuple(f"{name}.{number}" for number, name in enumerate(sensor_of))
    predictor = _predictor(graph, head, features)
    compiled = tf.function(network, jit_compile=True)
    multiplied = sum(int(np.prod(w.shape)) for w in network.trainable_variables if w.ndim > 1)
    weights = rng.normal(size=(len(sensor_of), max(multiplied * MEMBERS // len(sensor_of), 1)))
    weights = weights.astype(np.float32)
    rows = []
    for size, times in SIZES.items():
        values = rng.normal(size=(size, len(sensor_of))).astype(np.float32)
        calls: dict[str, Callable[[], object]] = {
            "ours": lambda values=values: predictor.outputs(values),
            "Keras predict": lambda values=values: network.predict(
                values, verbose=0, batch_size=8192
            ),
            "Keras, jitted": lambda values=values: _in_blocks(compiled, values),
            "floor": lambda values=values: _in_blocks(weights.__rmatmul__, values),
        }
        rows.append(_row(size, calls, times))
    task = _task(features, sensor_of, head)
    number = np.arange(len(task.frame.values))
    forest = fit_forest(task, number, seed=0)
    boosted = fit_boosted(task, number, seed=0, rounds=(ROUNDS,))
    two = pool_graph(graph, {"network": 0.5, "forest": 0.5}, forest=forest)
    shares = {"network": 0.375, "forest": 0.375, "boosted trees": 0.25}
    three = pool_graph(graph, shares, forest=forest, boosted=boosted)
    for members, pooled in (("network and forest", two), ("these and boosted trees", three)):
        rows += _pool_rows(members, pooled, predictor, head)
    return rows


def _predictor(graph: bytes, head: Head, features: tuple[str, ...]) -> Predictor:
    calibration = Calibration((1.0,), (0.0,), 0.0, 0.0)
    return Predictor(graph, head=head, calibration=calibration, features=features)


def _task(features: tuple[str, ...], sensor_of: tuple[str, ...], head: Head) -> LearningTask:
    """As many rows as trees take, with nothing in them to learn: none makes larger trees."""
    rng, count = np.random.default_rng(1), round(ROWS_PER_TREE / SHARE_OF_ROWS)
    values = rng.normal(size=(count, len(features))).astype(np.float32)
    every, number = np.ones(count, dtype=np.bool_), np.arange(count)
    frame = Frame(("pump",), np.zeros(count, np.int32), number, features, sensor_of, values)
    left, nothing = rng.uniform(0, 1.5 * head.edges_hours[-1], count), np.full(count, np.nan)
    labels = Labels(left, every, nothing, every, number.astype(np.int32))
    split = Split(number, number, number, number, group=number.astype(np.int32), how="none")
    return LearningTask("life", head.horizons_hours, frame, labels, split, head)


def _pool_rows(members: str, graph: bytes, alone: Predictor, head: Head) -> list[Row]:
    pooled = _predictor(graph, head, alone.features)
    rng = np.random.default_rng(2)
    rows = []
    for size in (1, 10_000):
        values = rng.normal(size=(size, len(alone.features))).astype(np.float32)
        calls: dict[str, Callable[[], object]] = {
            "ours": lambda values=values: pooled.outputs(values),
            "its network alone": lambda values=values: alone.outputs(values),
        }
        taken = interleaved(calls, times=SIZES[size])
        milliseconds = {name: 1000 * seconds for name, seconds in middle(taken).items()}
        mine = milliseconds.pop("ours")
        ratio = mine / milliseconds["its network alone"]
        rows.append(
            Row(
                "Inference",
                f"{size:,} rows, a pool of {members}",
                mine,
                "ms",
                (1000 * min(taken["ours"]), 1000 * max(taken["ours"])),
                "at most 2 × its network alone" if size > 1 else "",
                ratio <= MOST_OF_NETWORK if size > 1 else None,
                milliseconds,
                remark=f"{mine / size * 1000:,.1f} µs a row; {ratio:.1f} × its network; "
                f"the graph has {len(graph) / 1e6:.1f} MB",
                reason=LARGE,
            )
        )
    return rows


def _in_blocks(call: Callable[[np.ndarray], object], values: np.ndarray) -> None:
    for start in range(0, len(values), 10_000):
        np.asarray(call(values[start : start + 10_000]))


def _row(size: int, calls: dict[str, Callable[[], object]], times: int) -> Row:
    for call in calls.values():
        call()  # the first compiles
    taken = interleaved(calls, times=times)
    milliseconds = {name: 1000 * seconds for name, seconds in middle(taken).items()}
    mine, floor = milliseconds.pop("ours"), milliseconds.pop("floor")
    return Row(
        "Inference",
        f"{size:,} rows, one thread of ours",
        mine,
        "ms",
        (1000 * min(taken["ours"]), 1000 * max(taken["ours"])),
        "",
        None,
        milliseconds,
        floor,
        f"{mine / size * 1000:,.1f} µs a row; {milliseconds['Keras predict'] / mine:.1f} × Keras "
        "predict; floor: its products as one, two threads",
    )
