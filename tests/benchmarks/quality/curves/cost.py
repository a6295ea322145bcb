"""What scoring costs: networks as ONNX Runtime runs them in the product, one thread."""

import time
from collections.abc import Mapping

import numpy as np

from pm_app.records.features import Frame
from pm_app.records.learning import Allocation, Head

ROWS, ROWS_A_CALL = 10_000, 1_000
REPEATS = 5


def microseconds_a_row(graphs: Mapping[str, bytes], values: np.ndarray) -> dict[str, float]:
    """Of every graph, the best of some turns: (n_rows, n_features) repeated up to `ROWS` rows.

    Turns go round all graphs, so that a busy minute of the machine meets each of them.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    sessions = {
        name: onnxruntime.InferenceSession(
            graph, sess_options=options, providers=["CPUExecutionProvider"]
        )
        for name, graph in graphs.items()
    }
    chunk = np.resize(values, (ROWS_A_CALL, values.shape[1])).astype(np.float32)
    best = dict.fromkeys(graphs, np.inf)
    for _ in range(REPEATS + 1):
        for name, session in sessions.items():
            start = time.perf_counter()
            for _ in range(ROWS // ROWS_A_CALL):
                session.run(None, {"features": chunk})
            best[name] = min(best[name], (time.perf_counter() - start) / ROWS * 1e6)
    return {name: float(value) for name, value in best.items()}


def scoring_costs(
    plans: Mapping[str, Allocation], frame: Frame, head: Head, *, seed: int
) -> dict[str, float]:
    """Microseconds a row of the networks of these plans, untrained: weights cost no time.

    frame: a few rows to score. Loads TensorFlow.
    """
    from pm_app.learning.network import Outputs, build_network, export_onnx

    outputs = Outputs(head.kind, max(1, len(head.edges_hours)))
    graphs = {
        name: export_onnx(
            build_network(plan, frame.sensor_of, outputs, seed=seed, features=frame.features)
        )
        for name, plan in plans.items()
    }
    return microseconds_a_row(graphs, frame.values)
