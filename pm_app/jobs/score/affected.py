"""Affected cutoffs: those that a batch makes, or whose features hold something of it."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from pm_app.features.frame import feature_names
from pm_app.features.limits import broken_silences
from pm_app.features.lives import renewing
from pm_app.features.panes.readings import join_spans, spans_of
from pm_app.jobs.plant import PlantView, Seen, seen_ns
from pm_app.jobs.score.champion import Champion
from pm_app.jobs.score.frames import PaneSpan, spans_with_readings
from pm_app.jobs.score.normal_champion import NormalChampion
from pm_app.records.features import FeatureSpec
from pm_app.records.normality import NormalCard
from pm_app.records.readings import (
    AssetSpans,
    Events,
    Flags,
    events_as_rows,
    events_from_rows,
    no_spans,
)
from pm_app.state.panes import History
from pm_app.store import BatchRow, segments_of
from pm_app.store.ledger.ledger import Ledger
from pm_app.times import to_nanoseconds


@dataclass(eq=False)
class ScoredCutoffs:
    """Panes whose ends a run has scored: one span of each asset.

    All that the run scores was ingested before it began, so what is scored once knows of every
    batch of the run, also of those that come later in it.
    """

    spans: dict[str, PaneSpan] = field(default_factory=dict)

    def left_of(self, spans: Mapping[str, PaneSpan]) -> dict[str, PaneSpan]:
        """The spans without what is scored at their ends; nothing is cut out of their middle."""
        left: dict[str, PaneSpan] = {}
        for name, span in spans.items():
            done = self.spans.get(name)
            if done is not None:
                first = done.last + 1 if done.first <= span.first <= done.last else span.first
                last = done.first - 1 if done.first <= span.last <= done.last else span.last
                span = PaneSpan(first, last)
            if span.first <= span.last:
                left[name] = span
        return left

    def add(self, spans: Mapping[str, PaneSpan]) -> None:
        """Note spans that are committed; where two do not meet, the longer one."""
        for name, span in spans.items():
            done = self.spans.get(name)
            if done is None:
                self.spans[name] = span
                continue
            if span.first <= done.last + 1 and done.first <= span.last + 1:
                span = PaneSpan(min(span.first, done.first), max(span.last, done.last))
            self.spans[name] = max(span, done, key=lambda one: one.last - one.first)


@dataclass(frozen=True, eq=False)
class ScoringRun:
    """What one run of scoring goes by.

    floor: the first pane that it answers for, None without readings. scored_until: the newest
    pane anything was said of before this run, None where nothing was. champion and normal: what
    speaks of failures, and of deviations. scored: what is scored in it.
    """

    view: PlantView
    ledger: Ledger
    floor: int | None
    scored_until: int | None
    champion: Champion | None
    normal: NormalChampion | None
    scored: ScoredCutoffs = field(default_factory=ScoredCutoffs)

    @property
    def looks(self) -> list[tuple[FeatureSpec, frozenset[str]]]:
        """How each that speaks looks at history: its features, and the groups it reads of them."""
        found = []
        if self.champion is not None:
            found.append((self.champion.card.spec, frozenset(self.champion.card.sensor_of)))
            if self.champion.normal is not None:
                found.append(_look_of(self.champion.normal.card))
        if self.normal is not None:
            spec, groups = _look_of(self.normal.card)
            # Whatever the graph reads, the age tells whether an asset is watched.
            found.append((spec, groups | {"age"}))
        return found


def _look_of(card: NormalCard) -> tuple[FeatureSpec, frozenset[str]]:
    """The features of a normal behaviour, and the groups that its graph reads of them."""
    named = zip(*feature_names(card.spec), strict=True)
    return card.spec, frozenset(group for name, group in named if name in set(card.features))


def affected_spans(run: ScoringRun, group: Sequence[BatchRow]) -> dict[str, PaneSpan]:
    """Per asset the panes whose ends these batches make or change: none before `run.floor`, and
    none outside its readings."""
    spans: dict[str, PaneSpan] = {}
    seen = seen_ns(run.ledger)
    for found in (_by_readings(run, group, seen), _by_events(run, group, seen)):
        for name, span in found:
            old = spans.get(name, span)
            spans[name] = PaneSpan(min(old.first, span.first), max(old.last, span.last))
    floor = run.floor
    if floor is not None:
        spans = {name: PaneSpan(max(span.first, floor), span.last) for name, span in spans.items()}
    return spans_with_readings(run.view, spans, seen=seen)


def last_scored_pane(ledger: Ledger, pane_ns: int) -> int | None:
    """The newest pane that a scored batch reaches into, None where none is scored."""
    newest = ledger.newest_time("readings", scored=True)
    return None if newest is None else to_nanoseconds(newest) // pane_ns


def _by_readings(
    run: ScoringRun, group: Sequence[BatchRow], seen: Seen
) -> Iterator[tuple[str, PaneSpan]]:
    """Cutoffs whose windows or lives hold a pane of these batches."""
    pane_ns, reach = run.view.history.pane_ns, _reach(run)
    remembers = any(spec.remembers for spec, _ in run.looks)
    first_seen, last_seen = seen
    bounds = _pane_bounds(run.view.history, group)
    columns = bounds.assets, bounds.first.tolist(), bounds.last.tolist()
    for name, first, last in zip(*columns, strict=True):
        # An asset's age counts from its first reading: one that is earlier than all known
        # touches every cutoff since.
        is_first = first_seen[name] // pane_ns >= first
        until = last_seen[name] // pane_ns if is_first else last + reach
        if remembers and run.scored_until is not None:
            # Cutoffs nothing is said of yet find these batches in history.
            until = max(until, run.scored_until)
        yield name, PaneSpan(first, until)


def _by_events(
    run: ScoringRun, group: Sequence[BatchRow], seen: Seen
) -> Iterator[tuple[str, PaneSpan]]:
    """Cutoffs said already to which these events are news; others find them in history."""
    looks, scored_until = run.looks, run.ledger.newest_time("readings", scored=True)
    if not looks or scored_until is None:
        return
    pane_ns, reach, last_seen = run.view.history.pane_ns, _reach(run), seen[1]
    for events, others in _news(run, group):
        for lasts, chosen in (found for look in looks for found in _features_of(events, *look)):
            for name in np.unique(events.asset[chosen]).tolist():
                times = events.time[chosen & (events.asset == name)]
                # An event at the very cutoff counts as known.
                first, last = (-(-int(time) // pane_ns) - 1 for time in (times.min(), times.max()))
                until = min(last_seen.get(name, -1), to_nanoseconds(scored_until)) // pane_ns
                yield name, PaneSpan(first, until if lasts else min(until, last + reach))
        for spec, _ in looks:
            for first, last in broken_silences(events, others, spec.limits):
                # An event of one asset says of all that its feed speaks.
                for name, newest in last_seen.items():
                    until = min(newest, to_nanoseconds(scored_until), last) // pane_ns
                    yield name, PaneSpan(-(-first // pane_ns) - 1, until)


def _news(run: ScoringRun, group: Sequence[BatchRow]) -> Iterator[tuple[Events, Events]]:
    """The events of these batches that no scored one has told, for exports repeat old ones, and
    those that were told; those that corrected orders took back, and those that are left."""
    if all(row.source != "events" for row in group):
        return
    scored = [row for row in run.ledger.ingested_batches("events") if row.scored_at]
    coming = [row for row in group if row.source == "events"]
    before, after = (
        events_as_rows(run.view.event_history.read(segments_of(rows)))
        for rows in (scored, [*scored, *coming])
    )
    yield events_from_rows(after - before), events_from_rows(before)
    if not after.issuperset(before):
        yield events_from_rows(before - after), events_from_rows(after)


def _features_of(
    events: Events, spec: FeatureSpec, groups: Collection[str]
) -> Iterator[tuple[bool, Flags]]:
    """Events that features look back on for ever (True), and those they do in a window."""
    code = events.code.astype(str)
    repairs = (events.kind == "maintenance") & np.isin(code, spec.maintenance_codes)
    errors = (events.kind == "error") & np.isin(code, spec.error_codes)
    yield True, ("maintenance" in groups) & (repairs | (events.kind == "failure"))
    # Lives begin anew with either, whatever the code.
    yield True, spec.remembers & ((events.kind == "maintenance") | (events.kind == "failure"))
    yield True, ("age" in groups) & renewing(events, spec.renewals)
    of_modes = [pattern for _, patterns in spec.mode_renewals for pattern in patterns]
    yield True, ("maintenance" in groups) & renewing(events, (*spec.renewals, *of_modes))
    yield True, ("inspections" in groups) & (events.kind == "inspection")
    yield False, ("errors" in groups) & errors


def _reach(run: ScoringRun) -> int:
    """How many panes after a reading its news last."""
    longest = max((spec.windows_ns[-1] for spec, _ in run.looks if spec.windows_ns), default=0)
    return max(longest // run.view.history.pane_ns - 1, 0)


def _pane_bounds(history: History, group: Sequence[BatchRow]) -> AssetSpans:
    """First and last pane of each asset in the segments of these batches."""
    names = [name for row in group for name in row.segments if row.source == "readings"]
    found = (spans_of(keys.assets, keys.asset, keys.pane) for keys in history.keys(names))
    return join_spans([no_spans(), *found])
