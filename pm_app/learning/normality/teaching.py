"""Rows that may teach what is normal, and why others are left out.

A slow fault must not become normal. So what is known or suspected to be none of it does not
teach: the time before a failure until it was repaired, alarms that stand, maintenance, a machine
that is off; and after each of these as long as a window still sees it. The beginning of an asset,
whose windows are not whole yet, does not either.

A row at a cutoff sees readings in (cutoff - window, cutoff]: it is left out where some of these lie
in a span, ends included. Example: maintenance from 10:00 to 11:00 and a window of 6 h leave out the
cutoffs from 10:00 until before 17:00.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from pm_app.features.lives import NEVER, life_ends
from pm_app.records.features import Frame
from pm_app.records.readings import Events, Flags

FAILURE: Final = "before a failure"
ALARM: Final = "alarm"
MAINTENANCE: Final = "maintenance"
OFF: Final = "machine off"
BEGINNING: Final = "beginning"
# A row is counted under the first that holds.
REASONS: Final = (FAILURE, ALARM, MAINTENANCE, OFF, BEGINNING)


@dataclass(frozen=True)
class LeftSpan:
    """A span of an asset's readings that must not teach, both ends included, and why.

    first, last: nanoseconds UTC. reason: one of REASONS.
    """

    asset: str
    first: int
    last: int
    reason: str


@dataclass(frozen=True, eq=False)
class TeachingRows:
    """Which rows may teach, (n_rows,), and how many others were left out, by reason."""

    healthy: Flags
    left_out: tuple[tuple[str, int], ...]


def teaching_rows(
    frame: Frame, spans: Sequence[LeftSpan], *, window_ns: int, first_seen: Mapping[str, int]
) -> TeachingRows:
    """The rows of a frame that may teach.

    window_ns: the longest window. first_seen: nanoseconds UTC of each asset's first reading.
    """
    none = np.zeros(len(frame.cutoff), dtype=np.bool_)
    begun = np.array([first_seen[name] for name in frame.assets], dtype=np.int64)[frame.asset]
    holds = {
        OFF: none if frame.off is None else frame.off,
        BEGINNING: frame.cutoff - begun < window_ns,
    }
    for reason in (FAILURE, ALARM, MAINTENANCE):
        own = [span for span in spans if span.reason == reason]
        holds[reason] = _inside(frame, own, window_ns)
    healthy, left_out = ~none, []
    for reason in REASONS:
        count = int((holds[reason] & healthy).sum())
        left_out += [(reason, count)] if count else []
        healthy &= ~holds[reason]
    return TeachingRows(healthy, tuple(left_out))


def event_spans(events: Events, *, before_ns: int, renewals: Sequence[str]) -> list[LeftSpan]:
    """What failures and maintenance leave out; events: each failure once, as labels have them.

    before_ns: how long before a failure an asset is not taken for healthy; as long after it where
    nobody told of its repair.
    """
    assets, asset = np.unique(events.asset.astype(str), return_inverse=True)
    names = assets.tolist()
    ends = life_ends(asset.astype(np.int64), events, known_until=None, renewals=renewals)
    failures = ends.failures
    until = np.where(ends.repaired == NEVER, failures.time + before_ns, ends.repaired)
    rows = zip(failures.asset.tolist(), failures.since.tolist(), until.tolist(), strict=True)
    spans = [LeftSpan(names[at], since - before_ns, last, FAILURE) for at, since, last in rows]
    done = events.kind == "maintenance"
    times = events.asset[done].tolist(), events.since[done].tolist(), events.time[done].tolist()
    return spans + [LeftSpan(*row, MAINTENANCE) for row in zip(*times, strict=True)]


def _inside(frame: Frame, spans: Iterable[LeftSpan], window_ns: int) -> Flags:
    """Rows that see something of the spans, (n_rows,)."""
    by_asset: dict[str, list[tuple[int, int]]] = {}
    for span in spans:
        by_asset.setdefault(span.asset, []).append((span.first, span.last))
    inside = np.zeros(len(frame.cutoff), dtype=np.bool_)
    for number, name in enumerate(frame.assets):
        if name not in by_asset:
            continue
        first, last = np.array(sorted(by_asset[name]), dtype=np.int64).T
        low, high = np.searchsorted(frame.asset, [number, number + 1]).tolist()
        cutoff = frame.cutoff[low:high]
        begun = np.searchsorted(first, cutoff, side="right")
        # Spans overlap: of those that have begun the one that lasts longest counts.
        lasts = np.append(np.iinfo(np.int64).min, np.maximum.accumulate(last))[begun]
        inside[low:high] = (begun > 0) & (cutoff - window_ns < lasts)
    return inside
