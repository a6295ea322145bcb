"""Plant snapshot: what a worker sees of a plant, without its store and its sources."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from pm_app.jobs.plant import LedgerView, Plant, PlantView
from pm_app.settings.plant import Settings, parse_settings
from pm_app.state.events import EventHistory
from pm_app.state.memory import Memories
from pm_app.state.panes import History
from pm_app.store import BatchRow, Source


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
        """All of a source."""
        return list(self.readings if source == "readings" else self.events)

    def batches_overlapping(
        self, source: Source, first_time: datetime, last_time: datetime
    ) -> list[BatchRow]:
        """Those with rows in [first_time, last_time]."""
        return [
            row
            for row in self.ingested_batches(source)
            if row.first_time is not None and row.last_time is not None
            if row.first_time <= last_time and row.last_time >= first_time
        ]

    def newest_batch(self, source: Source) -> BatchRow | None:
        """The last, None without any."""
        return next(reversed(self.ingested_batches(source)), None)

    def ingested_after(self, source: Source, sequence: int, *, until: datetime) -> list[BatchRow]:
        """Those later than that one with rows up to then."""
        later = (row for row in self.ingested_batches(source) if row.sequence > sequence)
        return [row for row in later if row.first_time is not None and row.first_time <= until]

    def digests(self, sequences: Collection[int]) -> dict[int, str]:
        """Of those that are there."""
        wanted = set(sequences)
        rows = (*self.readings, *self.events)
        return {row.sequence: row.digest for row in rows if row.sequence in wanted}

    def first_seen(self) -> dict[str, datetime]:
        """Of every asset."""
        return dict(self.first)

    def last_seen(self) -> dict[str, datetime]:
        """Of every asset."""
        return dict(self.last)


def take_snapshot(plant: Plant) -> LedgerSnapshot:
    """The ledger of a plant as of now."""
    ledger = plant.store.ledger
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
    state = settings.state
    return PlantView(
        settings=settings,
        history=History(state / "panes", pane_ns=settings.features.pane_ns),
        event_history=EventHistory(state / "events"),
        memories=memories,
        ledger=ledger,
    )
