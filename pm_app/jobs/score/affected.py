"""Which cutoffs a batch makes or changes: those whose features hold something of it."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from pm_app.jobs.plant import Plant, first_seen_ns, last_seen_ns
from pm_app.jobs.score.champion import Champion
from pm_app.jobs.score.predict import PaneSpan
from pm_app.records.readings import Events, events_as_rows, events_from_rows, no_events
from pm_app.store import BatchRow, segments_of
from pm_app.times import to_nanoseconds


def affected_spans(
    plant: Plant,
    champion: Champion | None,
    group: Sequence[BatchRow],
    floor: int | None,
    *,
    scored_until: int | None,
) -> dict[str, PaneSpan]:
    """Per asset the panes whose ends these batches make or change, none before `floor`.

    scored_until: the newest pane anything was said of before these batches were ingested; None
    where nothing was.
    """
    spans: dict[str, PaneSpan] = {}
    by_readings = _by_readings(plant, champion, group, scored_until)
    for found in (by_readings, _by_events(plant, champion, group)):
        for name, span in found:
            old = spans.get(name, span)
            spans[name] = PaneSpan(min(old.first, span.first), max(old.last, span.last))
    if floor is not None:
        spans = {name: PaneSpan(max(span.first, floor), span.last) for name, span in spans.items()}
    return {name: span for name, span in spans.items() if span.first <= span.last}


def last_scored_pane(plant: Plant) -> int | None:
    """The newest pane that a scored batch reaches into, None where none is scored."""
    newest = plant.store.ledger.newest_time("readings", scored=True)
    return None if newest is None else to_nanoseconds(newest) // plant.history.pane_ns


def _by_readings(
    plant: Plant, champion: Champion | None, group: Sequence[BatchRow], scored_until: int | None
) -> Iterator[tuple[str, PaneSpan]]:
    """Cutoffs whose windows or lives hold a pane of these batches."""
    pane_ns, reach = plant.history.pane_ns, _reach(plant, champion)
    first_seen, last_seen = first_seen_ns(plant), last_seen_ns(plant)
    for name, (first, last) in _pane_bounds(plant, group).items():
        # An asset's age counts from its first reading: one that is earlier than all known
        # touches every cutoff since.
        is_first = first_seen[name] // pane_ns >= first
        until = last_seen[name] // pane_ns if is_first else last + reach
        if champion is not None and champion.card.spec.remembers and scored_until is not None:
            # Cutoffs nothing is said of yet find these batches in history.
            until = max(until, scored_until)
        yield name, PaneSpan(first, until)


def _by_events(
    plant: Plant, champion: Champion | None, group: Sequence[BatchRow]
) -> Iterator[tuple[str, PaneSpan]]:
    """Cutoffs said already to which these events are news; others find them in history."""
    scored_until = plant.store.ledger.newest_time("readings", scored=True)
    if champion is None or scored_until is None:
        return
    pane_ns, reach = plant.history.pane_ns, _reach(plant, champion)
    events, last_seen = _news(plant, group), last_seen_ns(plant)
    for lasts, chosen in _features_of(events, champion):
        for name in np.unique(events.asset[chosen]).tolist():
            times = events.time[chosen & (events.asset == name)]
            # An event at the very cutoff counts as known.
            first, last = (-(-int(time) // pane_ns) - 1 for time in (times.min(), times.max()))
            until = min(last_seen.get(name, -1), to_nanoseconds(scored_until)) // pane_ns
            yield name, PaneSpan(first, until if lasts else min(until, last + reach))


def _news(plant: Plant, group: Sequence[BatchRow]) -> Events:
    """The events of these batches that no scored one has told: exports repeat old ones."""
    if all(row.source != "events" for row in group):
        return no_events()
    scored = [row for row in plant.store.ledger.ingested_batches("events") if row.scored_at]
    fresh, old = (
        events_as_rows(plant.event_history.read(segments_of(rows)))
        for rows in ([row for row in group if row.source == "events"], scored)
    )
    return events_from_rows(fresh - old)


def _features_of(events: Events, champion: Champion) -> Iterator[tuple[bool, NDArray[np.bool_]]]:
    """Events that features look back on for ever (True), and those they do in a window."""
    spec, groups = champion.card.spec, set(champion.card.sensor_of)
    code = events.code.astype(str)
    repairs = (events.kind == "maintenance") & np.isin(code, spec.maintenance_codes)
    errors = (events.kind == "error") & np.isin(code, spec.error_codes)
    yield True, ("maintenance" in groups) & (repairs | (events.kind == "failure"))
    # Lives begin anew with either, whatever the code.
    yield True, spec.remembers & ((events.kind == "maintenance") | (events.kind == "failure"))
    yield False, ("errors" in groups) & errors


def _reach(plant: Plant, champion: Champion | None) -> int:
    """How many panes after a reading its news last."""
    if champion is None or not champion.card.spec.windows_ns:
        return 0
    return champion.card.spec.windows_ns[-1] // plant.history.pane_ns - 1


def _pane_bounds(plant: Plant, group: Sequence[BatchRow]) -> dict[str, tuple[int, int]]:
    """First and last pane of each asset in the segments of these batches."""
    bounds: dict[str, tuple[int, int]] = {}
    names = [name for row in group for name in row.segments if row.source == "readings"]
    for keys in plant.history.keys(names):
        size = len(keys.assets)
        first = np.full(size, np.iinfo(np.int64).max)
        last = np.full(size, np.iinfo(np.int64).min)
        np.minimum.at(first, keys.asset, keys.pane)
        np.maximum.at(last, keys.asset, keys.pane)
        for name, low, high in zip(keys.assets, first.tolist(), last.tolist(), strict=True):
            old = bounds.get(name, (low, high))
            bounds[name] = (min(old[0], low), max(old[1], high))
    return bounds
