"""Lives of assets: what begins and what ends them, for features and for labels.

A life begins with the asset's first reading and ends with a failure, and the next one begins with
the repair: the first maintenance at or after the failure and before the next one. Maintenance
without a failure goes on with the same machine: codes do not say whether a filter was changed or a
gearbox. Of codes that a person calls renewals (`events.renewals`) it is said: they end a life
without a failure and begin one as good as new. Only a renewal makes an asset young again: a
repair begins a life, but goes on with the asset's age. Renewals of one failure mode
(`[modes.NAME]`) end a life too, for from then on nobody knows when the asset would have failed; to
features they are the age of that mode alone.

Features look at past events alone (`life_starts`, `age_hours`); between failure and repair the life
that began with the failure counts. Labels look at all that came (`life_ends`): there a renewal that
may have been between a failure and its repair is part of that repair, and ends no life.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pm_app.features.events import Keys, events_among, newest_until
from pm_app.features.runs import places_among
from pm_app.records.readings import Events, Flags, Float64, Int64
from pm_app.settings.sources import matches_any
from pm_app.times import HOUR_NS

NEVER = np.iinfo(np.int64).max


def renewing(events: Events, renewals: Sequence[str]) -> Flags:
    """Which events are renewals: maintenance with a code like one of these patterns."""
    maintenance = np.asarray(events.kind == "maintenance", dtype=np.bool_)
    if not renewals:
        return np.zeros(len(events.time), dtype=np.bool_)
    codes = [code for code in set(events.code.tolist()) if matches_any(code, renewals)]
    return maintenance & np.isin(events.code.astype(str), codes)


def age_hours(
    keys: Keys, events: Events, first_seen: Mapping[str, int], *, renewals: Sequence[str] = ()
) -> Float64:
    """Hours since the asset's first reading, or its newest renewal since; shape (n_rows,)."""
    assets, asset, cutoff = keys
    start = np.array([first_seen[name] for name in assets], dtype=np.int64)[asset]
    if renewals:
        events = events_among(events, assets)
        owner, time = _of_assets(assets, events, renewing(events, renewals))
        newest, some = newest_until(owner, time, asset, cutoff)
        start = np.where(some, np.maximum(newest, start), start)
    return np.asarray((cutoff - start) / HOUR_NS)


def life_starts(
    keys: Keys,
    events: Events,
    *,
    first_seen: Mapping[str, int],
    pane_ns: int,
    renewals: Sequence[str] = (),
) -> Int64:
    """The pane from which the life counts that each cutoff lies in, shape (n_rows,).

    The first pane that begins at or after the event: one that holds readings of both sides
    belongs to neither life, and the cutoff at its end has the life before it still to come.
    An event at the very cutoff counts as known.
    """
    assets, asset, cutoff = keys
    begun = np.array([first_seen[name] // pane_ns for name in assets], dtype=np.int64)
    event_asset, event_time = _turns(assets, events, renewals)
    newest, some = newest_until(event_asset, event_time, asset, cutoff)
    return np.where(some, -(-newest // pane_ns), begun[asset])


def _turns(assets: tuple[str, ...], events: Events, renewals: Sequence[str]) -> tuple[Int64, Int64]:
    """Asset number and time of every failure, repair and renewal, by asset, then time."""
    events = events_among(events, assets)
    failure = np.asarray(events.kind == "failure", dtype=bool)
    stops = failure | np.asarray(events.kind == "maintenance", dtype=bool)
    numbers = places_among(events.asset.tolist(), assets)
    kept = (numbers >= 0) & stops
    # Of one time the failure comes first: events are sorted by kind last.
    numbers, times, failure = numbers[kept], events.time[kept], failure[kept]
    after_failure = np.zeros(len(times), dtype=bool)
    after_failure[1:] = failure[:-1] & (numbers[1:] == numbers[:-1])
    turns = failure | after_failure | renewing(events, renewals)[kept]
    return numbers[turns], times[turns]


def _of_assets(assets: tuple[str, ...], events: Events, chosen: Flags) -> tuple[Int64, Int64]:
    """Asset number and time of the events chosen, by asset, then time as they are sorted."""
    numbers = places_among(events.asset[chosen].tolist(), assets)
    there = numbers >= 0
    return numbers[there], events.time[chosen][there]


@dataclass(frozen=True, eq=False)
class EventTimes:
    """Events of one sort, each once, by asset number, then time; since: the earliest it was."""

    asset: Int64
    time: Int64
    since: Int64


@dataclass(frozen=True, eq=False)
class LifeEnds:
    """What ends lives: every failure, when each was repaired (NEVER where it was not), and the
    renewals that are part of no repair."""

    failures: EventTimes
    repaired: Int64
    renewals: EventTimes


def life_ends(
    asset: Int64, events: Events, *, known_until: int | None, renewals: Sequence[str] = ()
) -> LifeEnds:
    """What ends lives, of events up to `known_until` (nanoseconds UTC, None for no bound).

    asset: the number of each event's asset, -1 for those that are not asked for, (n_events,).

    A failure is repaired by the first maintenance at or after it and before the next failure.
    Without one, a later failure shows that it was repaired at once; without either it never runs
    again. A renewal that may have been between a failure and its repair is part of the repair,
    which lasts until it at least.
    """
    exists = (asset >= 0) & (events.time <= (NEVER if known_until is None else known_until))
    failures = _distinct_times(asset, events, exists & (events.kind == "failure"))
    maintained = exists & (events.kind == "maintenance")
    repairs = np.unique(np.column_stack([asset[maintained], events.time[maintained]]), axis=0)
    repaired = _repair_times(failures, (repairs[:, 0], repairs[:, 1]))
    renewed = _distinct_times(asset, events, exists & renewing(events, renewals))
    return _absorbed(LifeEnds(failures, repaired, renewed))


def next_renewals(
    renewals: EventTimes, asset: NDArray[np.integer], cutoff: Int64
) -> tuple[NDArray[np.intp], Int64]:
    """Per row, how many renewals came before its cutoff, and when the next one may have been at
    the earliest, NEVER without any; (n_rows,) each."""
    if not len(renewals.asset):
        return np.zeros(len(cutoff), dtype=np.intp), np.full(len(cutoff), NEVER)
    moments, rank = np.unique(renewals.since, return_inverse=True)
    # The earliest of an asset's renewals from each one on: the ones of assets behind are greater.
    base = renewals.asset * len(moments)
    soonest = np.minimum.accumulate((base + rank)[::-1])[::-1] - base
    passed = count_until((renewals.asset, renewals.time), asset, cutoff - 1)
    there = np.append(renewals.asset, -1)[passed] == asset
    return passed, np.where(there, np.append(moments[soonest], NEVER)[passed], NEVER)


def _absorbed(ends: LifeEnds) -> LifeEnds:
    """Without the renewals that are part of a repair, which lasts until them."""
    failures, renewals = ends.failures, ends.renewals
    if not len(renewals.asset) or not len(failures.asset):
        return ends
    order = np.lexsort((failures.since, failures.asset))
    begins = failures.asset[order], failures.since[order]
    # The newest failure that may have been before the renewal was done.
    last = order[np.maximum(count_until(begins, renewals.asset, renewals.time) - 1, 0)]
    touches = (
        (failures.asset[last] == renewals.asset)
        & (failures.since[last] <= renewals.time)
        & (renewals.since <= ends.repaired[last])
    )
    repaired = ends.repaired.copy()
    np.maximum.at(repaired, last[touches], renewals.time[touches])
    left = (each[~touches] for each in (renewals.asset, renewals.time, renewals.since))
    return replace(ends, repaired=repaired, renewals=EventTimes(*left))


def _distinct_times(asset: Int64, events: Events, chosen: Flags) -> EventTimes:
    """Of several that had happened by one time, the one that is known most closely."""
    order = np.lexsort((-events.since[chosen], events.time[chosen], asset[chosen]))
    asset, time = asset[chosen][order], events.time[chosen][order]
    first = np.append(True, (asset[1:] != asset[:-1]) | (time[1:] != time[:-1]))[: len(asset)]
    return EventTimes(asset[first], time[first], events.since[chosen][order][first])


def _repair_times(failures: EventTimes, repairs: tuple[Int64, Int64]) -> Int64:
    asset, time = failures.asset, failures.time
    next_same = np.append(asset[1:] == asset[:-1], False)[: len(asset)]
    next_failure = np.where(next_same, np.append(time[1:], NEVER)[: len(time)], NEVER)
    at = count_until(repairs, asset, failures.since - 1)
    repair_asset, repair_time = np.append(repairs[0], -1)[at], np.append(repairs[1], 0)[at]
    repaired = (repair_asset == asset) & (repair_time < next_failure)
    return np.where(repaired, np.maximum(repair_time, time), np.where(next_same, time, NEVER))


def count_until(
    pairs: tuple[Int64, Int64], asset: NDArray[np.integer], time: Int64
) -> NDArray[np.intp]:
    """How many of the sorted (asset, time) pairs come before or at each given pair."""
    # Nanoseconds times assets overflow 64 bits; ranks among all times do not.
    moments = np.unique(np.concatenate([pairs[1], time]))
    stride = len(moments) + 1

    def key(owner: NDArray[np.integer], moment: Int64) -> Int64:
        return owner.astype(np.int64) * stride + np.searchsorted(moments, moment)

    return np.searchsorted(key(*pairs), key(asset, time), side="right")
