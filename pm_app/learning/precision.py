"""Average precision under many weightings of the same rows at once."""

import numpy as np

from pm_app.records.readings import Float64


def average_precision(truth: Float64, risk: Float64, weights: Float64 | None = None) -> Float64:
    """Average precision under each weighting, shape (n_weightings,), or (1,) without weights.

    truth, risk: shape (n_rows,), truth 0.0 or 1.0. weights: shape (n_weightings, n_rows).
    The step-wise sum of precision over rises of recall; rows of equal risk count as one
    threshold. NaN under a weighting that leaves no positive row.
    """
    order = np.argsort(-risk, kind="stable")
    weighted = np.ones((1, len(truth))) if weights is None else weights[:, order]
    last_of_ties = np.append(np.flatnonzero(np.diff(risk[order])), len(risk) - 1)
    found = np.cumsum(weighted * truth[order], axis=1)[:, last_of_ties]
    named = np.cumsum(weighted, axis=1)[:, last_of_ties]
    rises = np.diff(found, axis=1, prepend=0.0)
    precision = np.divide(found, named, out=np.zeros_like(found), where=named > 0)
    total = found[:, -1]
    area = (rises * precision).sum(axis=1)
    result: Float64 = np.full(len(total), np.nan)
    np.divide(area, total, out=result, where=total > 0)
    return result
