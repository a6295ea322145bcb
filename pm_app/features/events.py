"""Features of past events and of the clock at a cutoff; point in time, no loops over assets."""

from bisect import bisect_left, bisect_right
from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pm_app.features.runs import places_among
from pm_app.records.features import FEEDS
from pm_app.records.readings import Events, Flags, Float64, Int32, Int64, take_events
from pm_app.times import HOUR_NS

Keys = tuple[tuple[str, ...], Int32, Int64]


def hours_since(keys: Keys, events: Events, *, kind: str, code: str | None) -> Float64:
    """Hours from the asset's newest such event to each cutoff; NaN where there was none.

    code None takes any code. An event at the very cutoff counts as known.
    """
    assets, asset, cutoff = keys
    event_asset, event_time = _of_kind(assets, events, kind, code)
    newest, some = newest_until(event_asset, event_time, asset, cutoff)
    return np.where(some, (cutoff - newest) / HOUR_NS, np.nan)


def events_within(keys: Keys, events: Events, *, kind: str, code: str, window_ns: int) -> Float64:
    """How many such events fall in (cutoff - window, cutoff], shape (n_rows,)."""
    assets, asset, cutoff = keys
    event_asset, event_time = _of_kind(assets, events, kind, code)
    upto = count_until(event_asset, event_time, asset, cutoff)
    return (upto - count_until(event_asset, event_time, asset, cutoff - window_ns)).astype(float)


def hours_waited(keys: Keys, events: Events, first_seen: Mapping[str, int]) -> Float64:
    """Hours up to each cutoff without an event of any asset, (n_rows, n_feeds), as `FEEDS`.

    An asset waits from its first reading on at the earliest, whatever was told before.
    """
    assets, asset, cutoff = keys
    since = np.array([first_seen[name] for name in assets], dtype=np.int64)[asset]
    columns = []
    for feed in FEEDS:
        times = np.sort(events.time[events.kind == feed])
        before = np.searchsorted(times, cutoff, side="right")
        newest = np.where(before > 0, np.append(times, 0)[before - 1], since)
        columns.append((cutoff - np.maximum(newest, since)) / HOUR_NS)
    return np.column_stack(columns)


def clock_features(cutoff: Int64, zone: str) -> dict[str, Float64]:
    """Hour of day and day of week in plant time, each a point on a circle."""
    local = pc.local_timestamp(pa.array(cutoff).cast(pa.timestamp("ns", tz=zone)))
    hour = pc.hour(local).to_numpy(zero_copy_only=False)
    hour = hour + pc.minute(local).to_numpy(zero_copy_only=False) / 60
    day = pc.day_of_week(local).to_numpy(zero_copy_only=False) + hour / 24
    angles = {"hour": 2 * np.pi * hour / 24, "weekday": 2 * np.pi * day / 7}
    return {
        f"{name}.{axis}": turn(angle)
        for name, angle in angles.items()
        for axis, turn in (("sin", np.sin), ("cos", np.cos))
    }


def events_among(events: Events, assets: tuple[str, ...]) -> Events:
    """The events from the first to the last of these assets, others between them included."""
    if not assets:
        return take_events(events, slice(0))
    low = bisect_left(events.asset, assets[0])
    return take_events(events, slice(low, bisect_right(events.asset, assets[-1], lo=low)))


def _of_kind(
    assets: tuple[str, ...], events: Events, kind: str, code: str | None
) -> tuple[NDArray[np.int64], Int64]:
    """Asset number and time of the events asked for, by asset, then time."""
    events = events_among(events, assets)
    wanted = events.kind == kind
    if code is not None:
        wanted &= events.code == code
    numbers = places_among(events.asset[wanted].tolist(), assets)
    times = events.time[wanted][numbers >= 0]
    numbers = numbers[numbers >= 0]
    order = np.lexsort((times, numbers))
    return numbers[order], times[order]


def count_until(
    event_asset: NDArray[np.int64], event_time: Int64, asset: Int32, until: Int64
) -> NDArray[np.int64]:
    """Per row, how many events of its asset are not later than `until`."""
    # Nanoseconds leave no room for an asset number beside them in 64 bits; ranks do.
    moments = np.unique(event_time)
    stride = len(moments) + 2
    event_keys = event_asset * stride + np.searchsorted(moments, event_time) + 1
    rank = np.searchsorted(moments, until, side="right")
    base = asset.astype(np.int64) * stride
    upto = np.searchsorted(event_keys, base + rank, side="right")
    return np.asarray(upto - np.searchsorted(event_keys, base, side="left"))


def newest_until(
    event_asset: NDArray[np.int64], event_time: Int64, asset: Int32, until: Int64
) -> tuple[Int64, Flags]:
    """Per row, when its asset's newest event not later than `until` was, and if there is one."""
    seen = count_until(event_asset, event_time, asset, until)
    last = np.searchsorted(event_asset, asset, side="left") + seen - 1
    return np.append(event_time, 0)[np.where(seen > 0, last, len(event_time))], seen > 0
