"""Export of predictions into a lake: an append-only log of revisions, each row once.

How far the lake has come stands in the lake itself, in the commit of the rows: there is no note
of ours that a crash could come before.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any

from pm_app.errors import TerminalError
from pm_app.ports import Lake
from pm_app.store import Store
from pm_app.store.predictions.read import NUMBERED_SCHEMA


@dataclass(frozen=True)
class Exported:
    """How many rows went into a lake, and the newest commit of the store it now holds."""

    rows: int
    commit: int


def export_to_lake(store: Store, lake: Lake) -> Exported:
    """Append every revision said since the last export; all of them at the first.

    Rows are read and written a chunk at a time, and committed together. Raises TerminalError
    where the lake is ahead of the store, StoreUnavailable, and as `Lake`.
    """
    identity = store.identity.state().identity
    application = f"pm-app/{identity}"
    came_to, newest = lake.position(application), store.tables.newest_commit()
    if came_to is not None and came_to > newest:
        raise TerminalError(
            f"{lake.uri} holds commit {came_to} of this plant, its store only {newest}: the store "
            "was put back to an earlier day; export to a new table"
        )
    if came_to == newest:
        return Exported(0, newest)
    tables = store.tables.committed(after=-1 if came_to is None else came_to, until=newest)
    first = next(tables, None)
    if first is None:
        return Exported(0, newest)
    rows = 0

    def counted() -> Iterator[Any]:
        nonlocal rows
        for table in chain([first], tables):
            rows += len(table)
            yield table

    lake.append(NUMBERED_SCHEMA, counted(), application=application, position=newest)
    return Exported(rows, newest)
