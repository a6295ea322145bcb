"""Events on disk: one immutable segment a batch, kept because sources may forget."""

import re
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pm_app.durable import make_folder, remove_file, write_file
from pm_app.errors import TerminalError
from pm_app.records.readings import Events, no_events, sort_events

_COLUMNS = ("asset", "time", "kind", "code")
# Names that are ours to delete: segments, and ones that were being written.
_OWN = re.compile(r"(\.[0-9a-f]{24}\.parquet\.tmp|[0-9a-f]{24}\.parquet)")


class EventHistory:
    """Event segments in a folder; those once read stay in memory, for they never change."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._cache: dict[str, Events] = {}
        make_folder(folder)

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

    def remove_unnamed(self, named: Collection[str]) -> list[str]:
        """Delete every segment that is not named; returns what went. What is not ours stays."""
        found = (path for path in self.folder.iterdir() if _OWN.fullmatch(path.name))
        garbage = [path for path in found if path.name not in named]
        for path in garbage:
            remove_file(path)
        return sorted(path.name for path in garbage)

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
