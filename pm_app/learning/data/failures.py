"""Failures from events and from verdicts, each counted once.

Events of the plant come first. A person's verdict on an alarm is a failure too, and the machine
counts as repaired by the time the verdict is given, for events may not report it. It teaches (it
is in labels, and ends a life there), but features look at events alone: when a verdict is given
depends on who was at the screen, and what was predicted once must come out again.

A renewal soon after a confirmed verdict is the work that it led to, and the failure's repair: the
asset did not live on in between.

What is reported twice is one failure: a failure of uncertain time is the one of the same asset that
overlaps it and is known more closely; a verdict is the failure that lies within the shortest
horizon of it, for nobody could have been warned of the two apart. The failure mode that a verdict
names is the code of its failure, also where an event has booked it under another: somebody looked.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from pm_app.features.lives import NEVER, renewing
from pm_app.records.readings import Events, Flags, sort_events, take_events

Span = tuple[int, int]


@dataclass(frozen=True)
class ConfirmedFailure:
    """A failure between since_ns and until_ns, confirmed by a verdict at confirmed_ns.

    All in nanoseconds UTC. mode: that a person found, "" where none was named.
    """

    asset: str
    since_ns: int
    until_ns: int
    confirmed_ns: int
    code: str = ""
    mode: str = ""


@dataclass(frozen=True, eq=False)
class ConfirmedEvents:
    """Events with each failure once, and which of them are failures that verdicts confirm."""

    events: Events
    from_verdict: Flags


@dataclass(frozen=True)
class RepairRule:
    """Which renewals repair the failures of verdicts: those of these codes (patterns) that come
    within a span after the verdict, and before the next failure."""

    renewals: tuple[str, ...] = ()
    within_ns: int = 0


NO_RENEWALS: Final = RepairRule()


def join_failures(
    events: Events,
    confirmed: Sequence[ConfirmedFailure],
    *,
    near_ns: int,
    known_until: int,
    rule: RepairRule = RepairRule(),  # frozen
) -> ConfirmedEvents:
    """Events of the plant and verdicts given up to `known_until`, duplicates dropped.

    near_ns: how close a verdict's failure and another one are the same. Renewals that are the
    repair of a verdict's failure may have been from the failure on.
    """
    taken: dict[str, list[Span]] = {}
    stays = _stays(events, taken)
    chosen, repeated = [], []
    for one in sorted(
        confirmed, key=lambda one: (one.until_ns - one.since_ns, one.until_ns, one.asset)
    ):
        span = (one.since_ns, one.until_ns)
        if one.confirmed_ns > known_until:
            continue
        if _is_taken(taken, one.asset, span, near_ns):
            repeated.append(one)
        else:
            taken.setdefault(one.asset, []).append(span)
            chosen.append(one)
    events = _with_modes(take_events(events, stays), repeated, near_ns)
    joined = _with_confirmed(_repairing(events, chosen, rule), chosen)
    marks = {(one.asset, one.until_ns, one.since_ns, "failure") for one in chosen}
    keys = zip(joined.asset, joined.time.tolist(), joined.since.tolist(), joined.kind, strict=True)
    return ConfirmedEvents(joined, np.array([key in marks for key in keys], dtype=np.bool_))


def _stays(events: Events, taken: dict[str, list[Span]]) -> Flags:
    """Which events are no repetition; `taken` gets the failures among them."""
    stays = np.ones(len(events.time), dtype=np.bool_)
    width = events.time - events.since
    failed = np.flatnonzero(events.kind == "failure")
    for row in failed[np.argsort(width[failed], kind="stable")].tolist():
        asset, span = events.asset[row], (int(events.since[row]), int(events.time[row]))
        if span[0] < span[1] and _is_taken(taken, asset, span, 0):
            stays[row] = False
        else:
            taken.setdefault(asset, []).append(span)
    return stays


def _is_taken(taken: dict[str, list[Span]], asset: str, span: Span, near_ns: int) -> bool:
    return any(
        since - near_ns <= span[1] and span[0] <= until + near_ns
        for since, until in taken.get(asset, ())
    )


def _with_modes(events: Events, repeated: Sequence[ConfirmedFailure], near_ns: int) -> Events:
    """Events whose failures have the modes that verdicts on them name as their codes."""
    code = events.code.copy()
    for one in repeated:
        if one.mode:
            same = (events.asset == one.asset) & (events.kind == "failure")
            same &= (events.since - near_ns <= one.until_ns) & (
                one.since_ns <= events.time + near_ns
            )
            code[same] = one.mode
    return replace(events, code=code)


def _repairing(events: Events, chosen: Sequence[ConfirmedFailure], rule: RepairRule) -> Events:
    """Events in which renewals that repair one of these failures reach back to it."""
    renewals = renewing(events, rule.renewals)
    if not renewals.any():
        return events
    since = events.since.copy()
    for one in chosen:
        low, high = bisect_left(events.asset, one.asset), bisect_right(events.asset, one.asset)
        time, failed = events.time[low:high], events.kind[low:high] == "failure"
        next_failure = time[failed & (time > one.until_ns)].min(initial=NEVER)
        repairs = renewals[low:high] & (time >= one.until_ns) & (time < next_failure)
        repairs &= time <= one.confirmed_ns + rule.within_ns
        since[low:high][repairs] = np.minimum(since[low:high][repairs], one.until_ns)
    return replace(events, since=since)


def _with_confirmed(events: Events, chosen: Sequence[ConfirmedFailure]) -> Events:
    """Events with these failures, each repaired when it was confirmed."""
    rows = [
        (one.asset, one.until_ns, "failure", one.mode or one.code, one.since_ns) for one in chosen
    ]
    rows += [
        (one.asset, one.confirmed_ns, "maintenance", one.code, one.confirmed_ns) for one in chosen
    ]
    columns = (events.asset, events.time, events.kind, events.code, events.since)
    types = (object, np.int64, object, object, np.int64)
    joined = (
        np.concatenate([column, np.array([row[at] for row in rows], dtype=kind)])
        for at, (column, kind) in enumerate(zip(columns, types, strict=True))
    )
    return sort_events(*joined)
