"""The stored graph against Keras itself: `predict`, and a call compiled by XLA."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from benchmarks.speed.rows import Row, interleaved, middle

from pm_app.learning.network import (
    Outputs,
    build_network,
    export_onnx,
    set_scaling,
)
from pm_app.records.learning import Allocation, Calibration, Head, Tier
from pm_app.scoring.predictor import Predictor

SENSORS, EACH, MEMBERS, EDGES = 8, 19, 8, 9
# Calls of each size, interleaved.
SIZES = {1: 200, 100: 50, 10_000: 5, 1_000_000: 1}


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
    calibration = Calibration((1.0,), (0.0,), 0.0, 0.0)
    predictor = Predictor(
        export_onnx(network),
        head=Head("hazard", edges, (24.0,)),
        calibration=calibration,
        features=tuple(f"{name}.{number}" for number, name in enumerate(sensor_of)),
    )
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
