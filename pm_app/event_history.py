"""Events on disk: one immutable segment a batch, kept because sources may forget."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pm_app.durable import write_file
from pm_app.errors import TerminalError
from pm_app.records.readings import Events, no_events, sort_events

_COLUMNS = ("asset", "time", "kind", "code")


class EventHistory:
    """Event segments in a folder; those once read stay in memory, for they never change."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._cache: dict[str, Events] = {}
        folder.mkdir(parents=True, exist_ok=True)

    def write(self, name: str, events: Events) -> None:
        """Keep events under this name; durable when it returns."""
        table = pa.table({column: pa.array(getattr(events, column)) for column in _COLUMNS})
        write_file(
            self.folder / name,
            lambda path: pq.write_table(table, path, write_page_checksum=True),
        )

    def read(self, names: Sequence[str]) -> Events:
        """All events of these segments, in order, repeats dropped.

        Raises TerminalError naming a file that is not there or damaged.
        """
        parts = [self._segment(name) for name in names]
        if not parts:
            return no_events()
        return sort_events(*(np.concatenate([getattr(p, c) for p in parts]) for c in _COLUMNS))

    def _segment(self, name: str) -> Events:
        if name not in self._cache:
            table = self._table(name)
            columns = {c: table.column(c).to_numpy() for c in _COLUMNS}
            self._cache[name] = Events(**columns)
        return self._cache[name]

    def _table(self, name: str) -> pa.Table:
        try:
            return pq.read_table(self.folder / name, page_checksum_verification=True)
        except (OSError, pa.ArrowException) as error:
            raise TerminalError(f"{self.folder / name}: not there, or damaged: {error}") from error
