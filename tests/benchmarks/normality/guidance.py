"""Guidance by importance: sensors weighed by how much the others say about them, or all alike.

Both are the same sum of squared residuals of each sensor given all others, at every scale, put
together as the product does; the weights alone differ. The share of a sensor's variance that the
others explain is its importance to what is normal.
"""

import numpy as np
from benchmarks.normality.judging import Answer, rank_figures, taught_rows
from benchmarks.normality.sets import NormalSet

from pm_app.features.frame import select_features
from pm_app.learning.normality.inputs import choose_inputs, sensor_levels
from pm_app.learning.normality.model import SHARPNESS, _pull, fit_model, take_levels

POWERS = {"uniform": 0.0, "guided, root": 0.5, "guided": 1.0}


def measure_guidance(given: NormalSet) -> dict[str, dict[str, float]]:
    """Figures of each way to weigh sensors."""
    teach = taught_rows(given)
    inputs = choose_inputs(given.frame, np.flatnonzero(given.teach), given.spec)
    values = select_features(given.frame, inputs.features).values
    levels = sensor_levels(values, inputs)
    model = fit_model(take_levels(levels, teach), inputs)
    found = {}
    for name, power in POWERS.items():
        inverse = np.zeros(len(values))
        for cloud, level in zip(model.clouds, levels.values, strict=True):
            pulled, _ = _pull(cloud, level, levels.clock)
            diagonal = np.diagonal(cloud.precision)
            variance = np.diagonal(np.linalg.inv(cloud.precision))
            explained = np.clip(1.0 - 1.0 / (diagonal * variance), 0.0, 1.0)
            each = np.where(np.isfinite(level), pulled**2 / diagonal, 0.0)
            squared = each @ explained**power
            squared = squared / np.quantile(squared[teach], 0.75)
            inverse += 1.0 / (squared + 1e-9) ** SHARPNESS
        found[name] = rank_figures(given, Answer(inverse ** (-0.5 / SHARPNESS)))
    return found
