"""Limits of features that go on without readings: ages, times since events, counts, memory.

What stops coming is no evidence. Hours since maintenance grow and errors are zero when nobody
reports any more, and memory runs on over repairs that nobody told. So a version knows how far
training saw such features, and how long each feed of events may be quiet; beyond, they are
missing. A feed is silent by the events up to a cutoff alone: never by the clock on the wall, and
never by what came later.

The bound of a feed: of n gaps between its events that take S hours together, the next one is
longer than S (p^(-1/n) - 1) with probability p where gaps are exponential (the predictive
distribution of an exponential with its rate unknown, Aitchison & Dunsmore 1975). p is `BY_CHANCE`.
Events also come in bursts and with the working week, so the bound is never below `LONGEST_GAPS`
of the longest gap seen.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from pm_app.features.windows import WINDOW_STATISTICS
from pm_app.records.features import BASES, FEEDS, IN_REGIME, FeatureLimits, FeedPace, Frame
from pm_app.records.readings import Events, Flags, Float32, Float64, Index, take_events
from pm_app.times import HOUR_NS, format_duration

# One gap in so many is longer than the bound though the feed speaks as before.
BY_CHANCE: Final = 1e-3
LONGEST_GAPS: Final = 1.5
# With fewer gaps nothing is usual.
LEAST_GAPS: Final = 2
_AGE, _FAILURE, _MAINTENANCE, _ERROR, _LIFE, _INSPECTION = range(len(BASES))
_OF_FEEDS: Final = [BASES.index(feed) for feed in FEEDS]
_MEMORY: Final = ("smooth", "above")
_OF_READINGS: Final = ("last", *WINDOW_STATISTICS)
_PLURALS: Final = {
    "failure": "failures",
    "maintenance": "maintenance events",
    "error": "errors",
    "inspection": "inspections",
}


def feed_paces(events: Events) -> tuple[FeedPace, ...]:
    """The pace of every feed with enough events, over all assets together."""
    found = []
    for feed in FEEDS:
        gaps = np.diff(np.unique(events.time[events.kind == feed])) / HOUR_NS
        if len(gaps) >= LEAST_GAPS:
            by_chance = gaps.sum() * (BY_CHANCE ** (-1 / len(gaps)) - 1)
            silent = max(by_chance, LONGEST_GAPS * gaps.max())
            found.append(FeedPace(feed, float(gaps.mean()), float(silent)))
    return tuple(found)


def heard_until(events: Events, until: int) -> int:
    """Until when failures would have been told, at most `until`, both nanoseconds UTC.

    Where failures are silent, and maintenance as well (or was never told of often enough), nobody
    knows what survived: the newest of both is the last that was heard. Failures alone may have
    been prevented.
    """
    kinds = np.isin(events.kind.astype(str), ("failure", "maintenance")) & (events.time <= until)
    paces = {pace.feed: pace.silent_hours for pace in feed_paces(take_events(events, kinds))}
    if "failure" not in paces:
        return until
    newest = {feed: events.time[kinds & (events.kind == feed)].max() for feed in paces}
    if any((until - newest[feed]) / HOUR_NS <= silent for feed, silent in paces.items()):
        return until
    return int(events.time[kinds].max())


def bases_of(features: Sequence[str], sensor_of: Sequence[str]) -> Index:
    """What each feature rests on, a place in `BASES`; -1 for readings within windows."""
    return np.array(
        [_basis(*pair) for pair in zip(features, sensor_of, strict=True)], dtype=np.intp
    )


def _basis(feature: str, sensor: str) -> int:
    own = feature.removeprefix(f"{sensor}.").removesuffix(IN_REGIME)
    head = own.partition(".")[0]
    if feature == "age":
        return _AGE
    if sensor == "maintenance" and feature.startswith("since."):
        return _FAILURE if feature == "since.failure" else _MAINTENANCE
    if sensor == "inspections" and feature.startswith("since."):
        return _INSPECTION
    if own.startswith("change") or own.endswith(".life") or head in _MEMORY:
        return _LIFE
    if sensor == "errors" and head not in _OF_READINGS:
        return _ERROR
    return -1


def silent_feeds(waited: Float64, paces: Sequence[FeedPace]) -> Flags:
    """Which feeds are silent at each row, (n_rows, n_feeds); one without a pace never is."""
    bound = np.full(len(FEEDS), np.inf)
    for pace in paces:
        bound[FEEDS.index(pace.feed)] = pace.silent_hours
    return np.asarray(waited > bound)


def broken_silences(
    fresh: Events, before: Events, limits: FeatureLimits | None
) -> Iterator[tuple[int, int]]:
    """A span of cutoffs for each feed, nanoseconds, both ends included, outside of which new
    events end no silence that the events before had left."""
    for pace in limits.feeds if limits is not None else ():
        bound = int(pace.silent_hours * HOUR_NS)
        old = np.sort(before.time[before.kind == pace.feed])
        times = np.unique(fresh.time[fresh.kind == pace.feed])
        place = np.searchsorted(old, times, side="right")
        # An asset that came after the event before waits no longer than from that one on.
        first = np.maximum(times, np.append(np.iinfo(np.int64).min // 2, old)[place] + bound)
        last = np.minimum(times + bound + 1, np.append(old, np.iinfo(np.int64).max)[place] - 1)
        ends = first <= last
        if ends.any():
            yield int(first[ends].min()), int(last[ends].max())


def limit_features(frame: Frame, limits: FeatureLimits | None, *, in_place: bool = False) -> Frame:
    """The frame with missing what is beyond the limits; `withheld` says what that was.

    in_place: the values given are changed, for a copy of all rows is what memory is spent on.

    Counts of errors above the highest are that highest: a storm of errors is told, not silent.
    Lives count as told as long as repairs are, though no failure comes: those may be prevented.
    """
    if limits is None:
        return frame
    values = frame.values if in_place else frame.values.copy()
    basis = bases_of(frame.features, frame.sensor_of)
    withheld = _silent(frame, limits)
    highest = dict(limits.highest)
    for number in range(len(BASES)):
        own = np.flatnonzero(basis == number)
        named = np.array([at for at in own if frame.features[at] in highest], dtype=np.intp)
        most = np.array([highest[frame.features[at]] for at in named], dtype=np.float32)
        if number == _ERROR:
            values[:, named] = np.minimum(values[:, named], most)
        elif len(named):
            beyond = values[:, named] > most
            values[:, named] = np.where(beyond, np.nan, values[:, named])
            withheld[:, number] |= beyond.any(axis=1) & np.isnan(values[:, named]).all(axis=1)
    withhold(values, basis, withheld)
    return replace(frame, values=values, withheld=withheld)


def withhold(values: Float32, basis: Index, withheld: Flags) -> None:
    """Make missing, in place, what rests on a basis that is withheld.

    values: (n_rows, n_features); basis: as `bases_of` says; withheld: (n_rows, n_bases).
    """
    for number in np.flatnonzero(withheld.any(axis=0)).tolist():
        values[np.ix_(withheld[:, number], basis == number)] = np.nan


def _silent(frame: Frame, limits: FeatureLimits) -> Flags:
    """What is withheld for silence or for a life beyond all seen, (n_rows, n_bases)."""
    withheld = np.zeros((len(frame.cutoff), len(BASES)), dtype=np.bool_)
    if frame.waited is not None:
        silent = silent_feeds(frame.waited, limits.feeds)
        withheld[:, _OF_FEEDS] = silent
        repaired = any(pace.feed == "maintenance" for pace in limits.feeds) & ~silent[:, 1]
        withheld[:, _LIFE] = silent[:, 0] & ~repaired
        if limits.renews:
            withheld[:, _AGE] = silent[:, 1]
            withheld[:, _LIFE] |= silent[:, 1]
    if frame.lived is not None and limits.lived_hours is not None:
        withheld[:, _LIFE] |= frame.lived > limits.lived_hours
    return withheld


def learn_limits(
    frame: Frame, rows: Index, paces: Sequence[FeedPace], *, renews: bool = False
) -> FeatureLimits:
    """The limits that these rows of a frame without any teach.

    What features and lives are while a feed is silent teaches nothing, nor does a feature that
    never has a value. renews: whether some maintenance begins ages and lives anew.
    """
    withheld = _silent(frame, FeatureLimits(feeds=tuple(paces), renews=renews))[rows]
    highest = []
    for at, basis in enumerate(bases_of(frame.features, frame.sensor_of).tolist()):
        if basis in (_AGE, *_OF_FEEDS):
            most = np.fmax.reduce(frame.values[rows, at][~withheld[:, basis]], initial=np.nan)
            highest += [(frame.features[at], float(most))] if np.isfinite(most) else []
    lived = np.empty(0) if frame.lived is None else frame.lived[rows][~withheld[:, _LIFE]]
    ending = ("failure", "maintenance") if renews else ("failure",)
    ends = any(pace.feed in ending for pace in paces)
    return FeatureLimits(
        highest=tuple(highest),
        lived_hours=float(lived.max()) if ends and len(lived) else None,
        feeds=tuple(paces),
        renews=renews,
    )


def silence_text(waited: Sequence[float], paces: Sequence[FeedPace]) -> str:
    """Which feeds are silent by the hours they were waited for, as `FEEDS`, in words."""
    return ", ".join(
        f"{_PLURALS[pace.feed]} stopped {format_duration(hours * 3600)} ago; "
        f"usual {format_duration(pace.usual_hours * 3600)}"
        for pace in paces
        if (hours := waited[FEEDS.index(pace.feed)]) > pace.silent_hours
    )
