"""The plant, opened: what jobs read and write, and the views of it that their parts take."""

from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from threading import Lock, RLock
from typing import Protocol

from pm_app.ports import EventsSource, ReadingsSource
from pm_app.progress import unwatched
from pm_app.records.readings import AssetSpans
from pm_app.settings.plant import Settings
from pm_app.state.events import EventHistory
from pm_app.state.memory import Memories
from pm_app.state.panes import History
from pm_app.state.registry import Registry
from pm_app.store import BatchRow, Source, Store
from pm_app.store.ledger.ledger import Ledger


class LedgerView(Protocol):
    """What predictions ask of a ledger; each as `store.ledger.Ledger` says."""

    def ingested_batches(self, source: Source) -> list[BatchRow]:
        """Ingested files of a source, in order of ingestion."""

    def batches_overlapping(
        self, source: Source, first_time: datetime, last_time: datetime
    ) -> list[BatchRow]:
        """Ingested files with rows in [first_time, last_time], in order of ingestion."""

    def newest_batch(self, source: Source) -> BatchRow | None:
        """The file of a source that was ingested last, None without any."""

    def ingested_after(self, source: Source, sequence: int, *, until: datetime) -> list[BatchRow]:
        """Files of a source ingested later than that one, with rows up to then, in order."""

    def digests(self, sequences: Collection[int]) -> dict[int, str]:
        """The digest of each of these files, but for those that are not there."""

    def first_seen(self) -> dict[str, datetime]:
        """The time of each asset's first reading ever."""

    def last_seen(self) -> dict[str, datetime]:
        """The time of each asset's newest reading."""

    def seen(self) -> AssetSpans:
        """Both, in nanoseconds UTC."""


@dataclass(frozen=True, eq=False)
class PlantView:
    """What predictions read of a plant, without its sources and its store.

    ledger: which panes and events count. beat: called whenever a part of the work is done.
    """

    settings: Settings
    history: History
    event_history: EventHistory
    memories: Memories
    ledger: LedgerView
    beat: Callable[[], None] = unwatched


@dataclass(frozen=True, eq=False)
class IngestView:
    """What ingestion of a batch goes by.

    ledger: what was ingested before. left_logged: how many left files the log told of, by
    source and reason.
    """

    settings: Settings
    readings: ReadingsSource
    events: EventsSource
    history: History
    event_history: EventHistory
    ledger: Ledger
    beat: Callable[[], None]
    left_logged: dict[tuple[Source, str], int]


@dataclass
class Orphans:
    """Whether files may lie in the state folder that no ledger row names: a crash leaves some."""

    possible: bool = True


@dataclass(frozen=True, eq=False)
class Plant:
    """Settings, sources and places of one plant. Opened by `wiring`.

    ingesting: held while batches are ingested or rebuilt, for scoring and learning both do it.
    beat: called whenever a part of the work is done, for whoever watches over the jobs.
    orphans: to be looked for at the first look, and after one that did not end well.
    fetch: brings what sources hold that have to be asked, before they are listed.
    channels: that are told of alarms. left_logged: as of IngestView.
    learning: held while something is learned, of failures or of normal behaviour: one at a time,
    and segments only wait to be joined meanwhile.
    """

    settings: Settings
    readings: ReadingsSource
    events: EventsSource
    history: History
    event_history: EventHistory
    memories: Memories
    registry: Registry
    store: Store
    ingesting: AbstractContextManager[object] = field(default_factory=RLock)
    beat: Callable[[], None] = unwatched
    orphans: Orphans = field(default_factory=Orphans)
    learning: Lock = field(default_factory=Lock)
    fetch: Callable[[], object] = unwatched
    channels: tuple[str, ...] = ()
    left_logged: dict[tuple[Source, str], int] = field(default_factory=dict)

    @property
    def ledger(self) -> Ledger:
        """The store's, where predictions look up which panes count."""
        return self.store.ledger

    @property
    def view(self) -> PlantView:
        """What predictions read of it."""
        histories = self.history, self.event_history
        return PlantView(self.settings, *histories, self.memories, self.ledger, self.beat)

    @property
    def ingest_view(self) -> IngestView:
        """What ingestion reads of it."""
        sources, histories = (self.readings, self.events), (self.history, self.event_history)
        return IngestView(
            self.settings, *sources, *histories, self.ledger, self.beat, self.left_logged
        )


def first_seen_ns(ledger: LedgerView) -> dict[str, int]:
    """Nanoseconds UTC of each asset's first reading ever."""
    seen = ledger.seen()
    return dict(zip(seen.assets, seen.first.tolist(), strict=True))


# Of each asset its first reading ever, and its newest one.
Seen = tuple[Mapping[str, int], Mapping[str, int]]


def seen_ns(ledger: LedgerView) -> Seen:
    """Nanoseconds UTC of each asset's first reading ever, and of its newest one."""
    seen = ledger.seen()
    first, last = seen.first.tolist(), seen.last.tolist()
    return dict(zip(seen.assets, first, strict=True)), dict(zip(seen.assets, last, strict=True))
