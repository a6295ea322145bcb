"""Deviations out of time: each row by a normal behaviour that only earlier rows have taught.

A normal behaviour finds the rows that taught it more usual than those to come. A failure model that
learned from such deviations would be told another number once it scores: so each block of time is
asked of a model of the blocks before it. The first block has nothing before it, and no deviation.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from pm_app.errors import NotEnoughData
from pm_app.features.frame import select_features
from pm_app.features.physical_limits import leave_out_beyond
from pm_app.learning.normality.history import choose_history
from pm_app.learning.normality.inputs import choose_inputs
from pm_app.learning.normality.learn import HealthyRows, chunks, fit_rows
from pm_app.learning.normality.model import NormalModel
from pm_app.records.readings import Flags, Float64, Index
from pm_app.settings.deviation import DeviationSettings

# Blocks of time end after these shares of all rows: while little is known each is short.
_ENDS = (0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 1.0)
# Earlier rows that are looked at: what is normal is known no surer by more.
MOST_EARLIER = 40_000


# Healthy rows of a frame, (n_rows,), as far as anybody could tell by a moment, nanoseconds UTC.
HealthyAt = Callable[[int], Flags]


def out_of_time_scores(
    rows: HealthyRows, settings: DeviationSettings, *, healthy_at: HealthyAt | None = None
) -> Float64:
    """Raw scores of every row of a frame, (n_rows,); NaN where too little came before.

    What is asked of a row is what a normal behaviour learned from the rows before its block says:
    no row later than a block changes what is said in it. healthy_at: as it was known when a block
    began, so that no failure to come is told by what did not teach; by default `rows.healthy`.
    """
    scores = np.full(len(rows.frame.cutoff), np.nan)
    rows = replace(rows, frame=leave_out_beyond(rows.frame, rows.spec, rows.limits))
    for since, block, earlier in _blocks(rows):
        then = rows if healthy_at is None else replace(rows, healthy=healthy_at(since))
        model = _learned(then, earlier, settings)
        if model is None:
            continue
        for part in chunks(block):
            chosen = select_features(rows.frame.take(part), model.inputs.features)
            scores[part], _ = model.answer(chosen.values)
    return scores


def _blocks(rows: HealthyRows) -> Iterator[tuple[int, Index, Index]]:
    """When each block but the first begins, its rows, and rows before it, evenly thinned."""
    cutoff = rows.frame.cutoff
    ends = np.quantile(cutoff, _ENDS, method="higher")
    for since, until in zip(ends[:-1], ends[1:], strict=True):
        block = np.flatnonzero((cutoff > since) & (cutoff <= until))
        if len(block):
            yield int(since), block, _thinned(np.flatnonzero(cutoff <= since))


def _thinned(rows: Index) -> Index:
    return rows[:: -(-len(rows) // MOST_EARLIER)] if len(rows) else rows


def _learned(rows: HealthyRows, earlier: Index, settings: DeviationSettings) -> NormalModel | None:
    """What is normal by these rows, None where they are too few."""
    frame, healthy = rows.frame.take(earlier), rows.healthy[earlier]
    try:
        inputs = choose_inputs(frame, np.flatnonzero(healthy), rows.spec)
        chosen = select_features(frame, inputs.features)
        taught = choose_history(chosen, healthy, rows.spec, inputs, settings)
    except NotEnoughData:
        return None
    return fit_rows(taught, np.arange(len(taught.values)), inputs)
