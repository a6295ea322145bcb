"""Events on disk: one immutable segment a batch, kept because sources may forget."""

import re
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from pm_app.durable import make_folder, remove_file
from pm_app.records.readings import Events, no_events, sort_events
from pm_app.state.segments import PROOF, opened_segment, write_segment

_COLUMNS = ("asset", "time", "kind", "code")
# Only where some time is not known to the moment.
_SINCE = "since"
# Names that are ours to delete: segments, and ones that were being written.
_OWN = re.compile(rf"\.?[0-9a-f]{{24}}(?:{PROOF}|\.parquet)(?:\.tmp)?")


class EventHistory:
    """Event segments in a folder; those once read stay in memory, for they never change."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._cache: dict[str, Events] = {}
        make_folder(folder)

    def write(self, stem: str, events: Events) -> str:
        """Keep events under a name that begins with this; durable when it returns the name."""
        exact = np.array_equal(events.since, events.time)
        columns = _COLUMNS if exact else (*_COLUMNS, _SINCE)
        table = pa.table({column: pa.array(getattr(events, column)) for column in columns})
        name = write_segment(self.folder, stem, table)
        self._cache.pop(name, None)
        return name

    def check(self, name: str) -> None:
        """Raises MissingSegment where a segment is not there, or not the one of this name."""
        with opened_segment(self.folder, name):
            pass

    def read(self, names: Sequence[str]) -> Events:
        """All events of these segments, in order, repeats dropped.

        Raises MissingSegment naming a file that is not there or damaged.
        """
        parts = [self._segment(name) for name in names]
        if not parts:
            return no_events()
        columns = (*_COLUMNS, _SINCE)
        return sort_events(*(np.concatenate([getattr(p, c) for p in parts]) for c in columns))

    def remove_unnamed(self, named: Collection[str], *, stem: str = "") -> list[str]:
        """Delete every segment (of this stem) that is not named; returns what went.

        What is not ours stays.
        """
        found = (path for path in self.folder.iterdir() if _OWN.fullmatch(path.name))
        ours = (path for path in found if path.name.removeprefix(".").startswith(stem))
        orphans = [path for path in ours if path.name not in named]
        for path in orphans:
            remove_file(path)
        return sorted(path.name for path in orphans)

    def _segment(self, name: str) -> Events:
        if name not in self._cache:
            with opened_segment(self.folder, name) as segment:
                table = segment.read(columns=[*_COLUMNS, _SINCE])
            columns = {c: table.column(c).to_numpy() for c in table.column_names}
            self._cache[name] = Events(**columns)
        return self._cache[name]
