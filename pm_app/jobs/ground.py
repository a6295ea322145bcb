"""What predictions are made from: a plant, or as much of one as a worker elsewhere is told.

`Known` is a ledger as it stood at one moment: it answers as the store's would, from plain values
that travel as JSON, so that a worker needs the state folder and no database.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from pm_app.settings.plant import Settings
from pm_app.state.events import EventHistory
from pm_app.state.memory import Memories
from pm_app.state.panes import History
from pm_app.store import BatchRow, Source


class GroundLedger(Protocol):
    """What predictions ask of a ledger; each as `store.ledger.Ledger` says."""

    def ingested_batches(self, source: Source) -> list[BatchRow]:
        """Ingested files of a source, in order of ingestion."""
        ...

    def batches_overlapping(
        self, source: Source, first_time: datetime, last_time: datetime
    ) -> list[BatchRow]:
        """Ingested files with rows in [first_time, last_time], in order of ingestion."""
        ...

    def newest_batch(self, source: Source) -> BatchRow | None:
        """The file of a source that was ingested last, None without any."""
        ...

    def ingested_after(self, source: Source, sequence: int, *, until: datetime) -> list[BatchRow]:
        """Files of a source ingested later than that one, with rows up to then, in order."""
        ...

    def digests(self, sequences: Collection[int]) -> dict[int, str]:
        """The digest of each of these files, but for those that are not there."""
        ...

    def first_seen(self) -> dict[str, datetime]:
        """The time of each asset's first reading ever."""
        ...

    def last_seen(self) -> dict[str, datetime]:
        """The time of each asset's newest reading."""
        ...


class Ground(Protocol):
    """Settings, panes, events, memory and ledger; `jobs.site.Site` is one."""

    @property
    def settings(self) -> Settings:
        """Those of the plant."""
        ...

    @property
    def history(self) -> History:
        """Its panes."""
        ...

    @property
    def event_history(self) -> EventHistory:
        """Its events."""
        ...

    @property
    def memories(self) -> Memories:
        """What its assets remember."""
        ...

    @property
    def ledger(self) -> GroundLedger:
        """Which panes and events count."""
        ...

    @property
    def beat(self) -> Callable[[], None]:
        """Called whenever a part of the work is done."""
        ...


@dataclass(frozen=True)
class Known:
    """A ledger at one moment: its ingested files in order of ingestion, and when assets spoke.

    Files that came once and are ingested no longer (their segments are lost) are not among
    them: memory that knows of one is then made again.
    """

    readings: tuple[BatchRow, ...]
    events: tuple[BatchRow, ...]
    first: Mapping[str, datetime]
    last: Mapping[str, datetime]

    def _of(self, source: Source) -> tuple[BatchRow, ...]:
        return self.readings if source == "readings" else self.events

    def ingested_batches(self, source: Source) -> list[BatchRow]:
        """As `GroundLedger`."""
        return list(self._of(source))

    def batches_overlapping(
        self, source: Source, first_time: datetime, last_time: datetime
    ) -> list[BatchRow]:
        """As `GroundLedger`."""
        return [
            row
            for row in self._of(source)
            if row.first_time is not None and row.last_time is not None
            if row.first_time <= last_time and row.last_time >= first_time
        ]

    def newest_batch(self, source: Source) -> BatchRow | None:
        """As `GroundLedger`."""
        rows = self._of(source)
        return rows[-1] if rows else None

    def ingested_after(self, source: Source, sequence: int, *, until: datetime) -> list[BatchRow]:
        """As `GroundLedger`."""
        later = (row for row in self._of(source) if row.sequence > sequence)
        return [row for row in later if row.first_time is not None and row.first_time <= until]

    def digests(self, sequences: Collection[int]) -> dict[int, str]:
        """As `GroundLedger`."""
        wanted = set(sequences)
        rows = (*self.readings, *self.events)
        return {row.sequence: row.digest for row in rows if row.sequence in wanted}

    def first_seen(self) -> dict[str, datetime]:
        """As `GroundLedger`."""
        return dict(self.first)

    def last_seen(self) -> dict[str, datetime]:
        """As `GroundLedger`."""
        return dict(self.last)
