"""Events on disk: one immutable segment a batch, kept because sources may forget."""

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from pm_app.durable import make_folder, remove_file
from pm_app.records.readings import (
    Events,
    OrderVersions,
    name_order,
    no_events,
    sort_events,
    take_events,
)
from pm_app.state.segments import PROOF, opened_segment, write_segment

_COLUMNS = ("asset", "time", "kind", "code")
# Only where some time is not known to the moment.
_SINCE = "since"
# Only of work orders: number, when it was last changed, and the row of the file, whose name stands
# in the metadata. A row without a kind is an order that says nothing of use.
_ORDER = ("order", "changed", "row")
_FILE = b"pm_app batch"
_TYPES = {name: pa.string() for name in (*_COLUMNS, "order")} | {
    name: pa.int64() for name in ("time", _SINCE, "changed", "row")
}
_Version = tuple[int, tuple[str, str], int]
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
        columns = _COLUMNS if exact and events.orders is None else (*_COLUMNS, _SINCE)
        table = pa.table({column: pa.array(getattr(events, column)) for column in columns})
        if events.orders is not None:
            table = _with_orders(table, events.orders)
        name = write_segment(self.folder, stem, table)
        self._cache.pop(name, None)
        return name

    def check(self, name: str) -> None:
        """Raises MissingSegment where a segment is not there, or not the one of this name."""
        with opened_segment(self.folder, name):
            pass

    def read(self, names: Sequence[str]) -> Events:
        """All events of these segments, in order, repeats dropped; of each order the newest
        version.

        Raises MissingSegment naming a file that is not there or damaged.
        """
        parts = [self._segment(name) for name in names]
        if not parts:
            return no_events()
        parts = _newest_versions(parts)
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
                table = segment.read(columns=[*_COLUMNS, _SINCE, *_ORDER])
                file = segment.metadata.get(_FILE, b"").decode()
            columns = {c: table.column(c).to_numpy() for c in table.column_names}
            numbers = [columns.pop(c) for c in _ORDER if c in columns]
            self._cache[name] = (
                _without_withdrawn(Events(**columns), OrderVersions(file, *numbers))
                if numbers
                else Events(**columns)
            )
        return self._cache[name]


def _with_orders(table: Any, orders: OrderVersions) -> Any:
    """The table with each event's order, and a row without a kind for each that is withdrawn."""
    columns = (orders.number, orders.changed, orders.row)
    for name, column in zip(_ORDER, columns, strict=True):
        table = table.append_column(name, pa.array(column))
    if orders.withdrawn:
        nothing = {"asset": "", "time": 0, "kind": "", "code": "", _SINCE: 0}
        rows = [nothing | dict(zip(_ORDER, version, strict=True)) for version in orders.withdrawn]
        schema = pa.schema([pa.field(n, _TYPES[n]) for n in table.column_names])
        added = pa.Table.from_pylist(rows, schema=schema)
        table = pa.concat_tables([table.cast(schema), added])
    return table.replace_schema_metadata({_FILE: orders.file.encode()})


def _without_withdrawn(events: Events, orders: OrderVersions) -> Events:
    """Rows as they were read, those without a kind told as withdrawn orders."""
    there = np.asarray(events.kind != "", dtype=bool)
    columns = (orders.number, orders.changed, orders.row)
    gone = zip(*(column[~there].tolist() for column in columns), strict=True)
    kept = take_events(events, there)
    number, changed, row = (column[there] for column in columns)
    return replace(kept, orders=OrderVersions(orders.file, number, changed, row, tuple(gone)))


def _newest_versions(parts: list[Events]) -> list[Events]:
    """The parts without what a newer version of the same order replaced."""
    if all(part.orders is None for part in parts):
        return parts
    newest: dict[str, _Version] = {}
    for orders in (part.orders for part in parts if part.orders is not None):
        for number, version in (*_versions(orders), *_withdrawn(orders)):
            newest[number] = max(version, newest.get(number, version))
    kept = []
    for part in parts:
        if part.orders is not None:
            rows = [not n or newest[n] == version for n, version in _versions(part.orders)]
            part = take_events(part, np.array(rows, dtype=np.bool_))
        kept.append(part)
    return kept


def _versions(orders: OrderVersions) -> Iterator[tuple[str, _Version]]:
    columns = (orders.number, orders.changed, orders.row)
    for number, changed, row in zip(*(column.tolist() for column in columns), strict=True):
        yield number, (changed, name_order(orders.file), row)


def _withdrawn(orders: OrderVersions) -> Iterator[tuple[str, _Version]]:
    for number, changed, row in orders.withdrawn:
        yield number, (changed, name_order(orders.file), row)
