"""Sensor readings of one asset over time, from its panes, and their usual band."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pm_app.errors import PmAppError
from pm_app.features.panes.panes import pane_mean, select_sensors
from pm_app.records.features import Panes
from pm_app.records.readings import Events, Float64, Int64, no_events, take_events
from pm_app.state.segments import MissingSegment
from pm_app.store import PredictionSeries, Store, segments_of
from pm_app.store.predictions.fleet import RAISED_RISK, UNUSUAL
from pm_app.times import to_nanoseconds
from pm_app.web.context import StateFolder

# The middle nine tenths of what a sensor reads in quiet times.
USUAL_PERCENT: Final = (5.0, 95.0)
# Fewer quiet panes than this tell nothing about what is usual.
LEAST_QUIET: Final = 20
# Segments of the newest files tell which sensors there are.
_LOOKED_INTO: Final = 3


@dataclass(frozen=True, eq=False)
class SensorSeries:
    """Means of panes: time (n,) in nanoseconds, the end of each pane; means (n, n_sensors),
    NaN where a pane holds no value. available: all sensors of the plant; reason: why there is
    nothing, else ""."""

    sensors: tuple[str, ...]
    time: Int64
    means: Float64
    available: tuple[str, ...]
    reason: str = ""


_NO_SERIES: Final = SensorSeries((), np.empty(0, np.int64), np.empty((0, 0)), ())


@dataclass(frozen=True)
class SensorQuery:
    """Up to so many sensors of an asset in (since, until], those named first leading."""

    asset: str
    first: Sequence[str]
    most: int
    since: datetime
    until: datetime


def read_sensors(folder: StateFolder, store: Store, query: SensorQuery) -> SensorSeries:
    """What a query asks for. Reads the panes of its span alone, a segment at a time."""
    if not folder.here:
        return replace(_NO_SERIES, reason="the state folder is not on this machine")
    try:
        return _read(folder, store, query)
    except MissingSegment:
        # Compaction joins segments and removes what it joined: the ledger knows the new ones.
        try:
            return _read(folder, store, query)
        except PmAppError as error:
            return replace(_NO_SERIES, reason=str(error))


def quiet(time: Int64, predictions: PredictionSeries) -> NDArray[np.bool_]:
    """Which of these moments had a low risk said of them, or without any risk a low deviation,
    shape (n,)."""
    risk, deviation = predictions.risk, predictions.deviation
    with np.errstate(invalid="ignore"):
        low = (risk < RAISED_RISK) | (np.isnan(risk) & (deviation < UNUSUAL))
    return np.isin(time, predictions.cutoff[low])


def usual_of(values: Float64, quiet: NDArray[np.bool_]) -> tuple[float, float] | None:
    """What a sensor usually reads, from its quiet panes; None where these are too few."""
    usable = values[quiet & np.isfinite(values)]
    if len(usable) < LEAST_QUIET:
        return None
    low, high = np.percentile(usable, USUAL_PERCENT)
    return float(low), float(high)


def _read(folder: StateFolder, store: Store, query: SensorQuery) -> SensorSeries:
    history = folder.history
    pane_ns = history.pane_ns
    span = (query.since, query.until - timedelta(microseconds=1))
    names = segments_of(store.ledger.batches_overlapping("readings", *span))
    available = {sensor for name in names[-_LOOKED_INTO:] for sensor in history.sensors(name)}
    chosen = tuple([name for name in query.first if name in available])
    chosen = (*chosen, *sorted(available - set(chosen)))[: query.most]
    read = history.read(
        names,
        assets={query.asset},
        since_pane=to_nanoseconds(query.since) // pane_ns,
        until_pane=to_nanoseconds(query.until) // pane_ns - 1,
        times=False,
    )
    panes, means = _joined(read, chosen)
    return SensorSeries(chosen, (panes + 1) * pane_ns, means, tuple(sorted(available)))


def _joined(parts: Iterator[Panes], sensors: tuple[str, ...]) -> tuple[Int64, Float64]:
    """Panes and means of all parts, ascending; of the same pane that of the latest part."""
    pane, mean = [np.empty(0, np.int64)], [np.empty((0, len(sensors)))]
    for part in parts:
        if len(part.pane):
            pane.append(part.pane)
            mean.append(pane_mean(select_sensors(part, sensors)))
    panes, means = np.concatenate(pane), np.concatenate(mean)
    order = np.argsort(panes, kind="stable")
    newest = np.append(np.diff(panes[order]) > 0, True)[: len(order)]
    rows = order[newest]
    return panes[rows], means[rows]


def read_events(
    folder: StateFolder, store: Store, asset: str, *, since: datetime, until: datetime
) -> tuple[Events, str]:
    """The events of an asset in [since, until], and why some are lost, else "".

    None where the state folder is not here.
    """
    if not folder.here:
        return no_events(), ""
    if folder.settings.events.order_column is None:
        batches = store.ledger.batches_overlapping("events", since, until)
    else:  # Whatever was booked since may correct it.
        batches = store.ledger.ingested_batches("events")
    try:
        events = folder.events.read(segments_of(batches))
    except PmAppError as error:
        return no_events(), str(error)
    inside = (events.time >= to_nanoseconds(since)) & (events.time <= to_nanoseconds(until))
    return take_events(events, np.asarray(inside & (events.asset == asset), dtype=bool)), ""
