"""Plant snapshot: what a worker sees of a plant, without its store and its sources."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from pm_app.jobs.plant import LedgerView, PlantView
from pm_app.records.readings import AssetSpans
from pm_app.settings.plant import Settings, parse_settings
from pm_app.state.events import EventHistory
from pm_app.state.memory import Memories
from pm_app.state.panes import History
from pm_app.store import BatchRow, Source
from pm_app.times import to_nanoseconds


@dataclass(frozen=True)
class LedgerSnapshot:
    """A ledger at one moment, each method as `LedgerView`: its ingested files in order of
    ingestion, and the times of each asset's first and newest reading.

    Files that came once and are ingested no longer (their segments are lost) are not among
    them: memory that knows of one is then made again.
    """

    readings: tuple[BatchRow, ...]
    events: tuple[BatchRow, ...]
    first: Mapping[str, datetime]
    last: Mapping[str, datetime]

    def ingested_batches(self, source: Source) -> list[BatchRow]:
        return list(self.readings if source == "readings" else self.events)

    def batches_overlapping(
        self, source: Source, first_time: datetime, last_time: datetime
    ) -> list[BatchRow]:
        return [
            row
            for row in self.ingested_batches(source)
            if row.first_time is not None and row.last_time is not None
            if row.first_time <= last_time and row.last_time >= first_time
        ]

    def newest_batch(self, source: Source) -> BatchRow | None:
        return next(reversed(self.ingested_batches(source)), None)

    def ingested_after(self, source: Source, sequence: int, *, until: datetime) -> list[BatchRow]:
        later = (row for row in self.ingested_batches(source) if row.sequence > sequence)
        return [row for row in later if row.first_time is not None and row.first_time <= until]

    def digests(self, sequences: Collection[int]) -> dict[int, str]:
        wanted = set(sequences)
        rows = (*self.readings, *self.events)
        return {row.sequence: row.digest for row in rows if row.sequence in wanted}

    def first_seen(self) -> dict[str, datetime]:
        return dict(self.first)

    def last_seen(self) -> dict[str, datetime]:
        return dict(self.last)

    def seen(self) -> AssetSpans:
        names = tuple(sorted(self.first))
        columns = ([to_nanoseconds(at[name]) for name in names] for at in (self.first, self.last))
        return AssetSpans(names, *(np.array(each, dtype=np.int64) for each in columns))


def take_snapshot(ledger: LedgerView) -> LedgerSnapshot:
    """A ledger as of now."""
    return LedgerSnapshot(
        tuple(ledger.ingested_batches("readings")),
        tuple(ledger.ingested_batches("events")),
        ledger.first_seen(),
        ledger.last_seen(),
    )


def open_settings(tables: dict[str, Any], folder: str) -> Settings:
    """Settings of the plant in this folder from the tables of its plant.toml."""
    return parse_settings(tables, folder=Path(folder), origin="plant.toml")


def open_worker_plant(settings: Settings, ledger: LedgerView, memories: Memories) -> PlantView:
    """The plant whose state folder these settings name."""
    history = History(settings.state / "panes", pane_ns=settings.features.pane_ns)
    events = EventHistory(settings.state / "events")
    return PlantView(settings, history, events, memories, ledger)
