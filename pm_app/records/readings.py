"""Batches, readings and events, as sources deliver them."""

import re
from dataclasses import dataclass, field
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

Int64 = NDArray[np.int64]
Int32 = NDArray[np.int32]
Float64 = NDArray[np.float64]
Text = NDArray[np.object_]
Flags = NDArray[np.bool_]
Index = NDArray[np.intp]
Float32 = NDArray[np.float32]
# Assets that one file may bring; rows of a plain table are an asset each. What is known of an
# asset is held in memory while it is scored.
MOST_ASSETS, MOST_TABLE_ROWS = 100_000, 2_000_000


@dataclass(frozen=True)
class Batch:
    """One immutable file of a source, as it stood when it was listed.

    `name` is the path relative to the source and gives the stable order. modified_ns is the
    source's own time stamp (0 where it has none): name, size and stamp together spare
    reading a known file again, but the identity of a batch is the digest of its content.
    """

    name: str
    size_bytes: int
    modified_ns: int


def name_order(name: str) -> tuple[str, str]:
    """Where a file stands among others by name: by what is before its ending, so that
    "2026-08 corrected.csv" is later than "2026-08.csv"."""
    folder, slash, file = name.rpartition("/")
    stem, dot, _ = file.removesuffix(".gz").rpartition(".")
    return f"{folder}{slash}{stem if dot else file}", name


LeftCause = Literal["settings", "index", "kind", "name", "text", "locale", "empty", "unused"]


@dataclass(frozen=True)
class LeftColumn:
    """A column of a batch, or a tag of a long one, that is left out, and why.

    reason follows the name: "Status" "holds 'run' in row 3, which is no number". cause: settings
    (they say so: nobody has to hear of it), index (rows numbered by pandas), kind (its type is
    none of numbers), name (nothing can be called so), text (one value is no number), locale
    (numbers as text that may mean two things), empty (no value at all), unused (the format has
    no place for it).
    """

    name: str
    reason: str
    cause: LeftCause


@dataclass(frozen=True)
class LeftFile:
    """A file of a source that is not read, and why, with what to do.

    Files left for the same reason have the same words. The name of a folder ends with "/".
    """

    name: str
    reason: str


# What pandas calls an index without a name, and a column of CSV without one: its row numbers.
_NUMBERED: Final = re.compile(r"__index_level_\d+__|Unnamed: \d+")


def is_row_number(name: str) -> bool:
    """Whether pandas gives this name to a column of row numbers: time itself, and no sensor."""
    return _NUMBERED.fullmatch(name) is not None


@dataclass(frozen=True)
class BatchDescription:
    """What a batch says of itself: rows, and (name, type) of each column.

    sensors: columns that are sensors by their type, in order. undecided: columns of text whose
    values decide, when they are read, whether they are sensors too. left: columns that are left
    out, whatever they hold; an index that a version of this plant learned from is both left and
    a sensor, for that version alone. What is in none of them tells asset, time, or what else a
    row is about. A source that knows nothing of its columns leaves all three empty. written: how
    the file is written, in words, where that was found out.
    """

    rows: int
    columns: tuple[tuple[str, str], ...]
    sensors: tuple[str, ...] = ()
    undecided: tuple[str, ...] = ()
    left: tuple[LeftColumn, ...] = ()
    written: str = ""


@dataclass(frozen=True, eq=False)
class Readings:
    """Sensor values of some rows, in the order they were delivered.

    assets: distinct names, sorted. asset: shape (n_rows,), index into `assets`.
    time: shape (n_rows,), nanoseconds since 1970 UTC. values: shape (n_sensors, n_rows),
    sensor-major because every later step works a column at a time; NaN is missing.
    source_rows: how many rows of the file each row is made of, None where it is one each.
    """

    assets: tuple[str, ...]
    asset: Int32
    time: Int64
    sensors: tuple[str, ...]
    values: Float64
    source_rows: Int64 | None = None


@dataclass(frozen=True, eq=False)
class AssetSpans:
    """The first and last of each asset: times in nanoseconds UTC, or panes.

    assets: distinct names, sorted. first, last: shape (n_assets,), both included.
    """

    assets: tuple[str, ...]
    first: Int64
    last: Int64

    def take(self, rows: Index | Flags) -> "AssetSpans":
        """Only these assets, by ascending row number."""
        names = np.array(self.assets, dtype=object)[rows]
        return AssetSpans(tuple(names.tolist()), self.first[rows], self.last[rows])


def no_spans() -> AssetSpans:
    """Spans of a plant that has sent nothing."""
    empty = np.empty(0, dtype=np.int64)
    return AssetSpans((), empty, empty)


@dataclass(frozen=True)
class Rejection:
    """Rows of a batch that could not be used, and why: names column and value."""

    rows: int
    reason: str


@dataclass(frozen=True, eq=False)
class ReadingsChunk:
    """Some row groups of a batch: usable rows, and what was refused among them.

    left: in the first chunk of a batch every column that is left out, those whose values
    decided it included; empty in the others.
    """

    readings: Readings
    rejections: tuple[Rejection, ...]
    left: tuple[LeftColumn, ...] = ()


EVENT_KINDS = ("failure", "maintenance", "error", "inspection")


@dataclass(frozen=True, eq=False)
class OrderVersions:
    """Which work order each event of a file is of; a newer version of an order replaces older ones.

    file: name of the batch. number: (n_events,), "" for none. changed: (n_events,), nanoseconds
    since 1970 UTC, 0 for orders that nobody changed. row: (n_events,), in the file. withdrawn:
    number, change and row of orders of which the file says nothing that can be used. What was
    changed last is newest; of that the last file by name, and its last row.
    """

    file: str
    number: Text
    changed: Int64
    row: Int64
    withdrawn: tuple[tuple[str, int, int], ...] = ()


@dataclass(frozen=True, eq=False)
class Events:
    """Failures, repairs, errors and inspections; each array has shape (n_events,).

    Sorted by asset, then time, then kind, then code. time: nanoseconds since 1970 UTC, by when
    it had happened; kind: one of EVENT_KINDS; code: free text, "" where none was given.
    since: from when on it may have happened; where the time is known (the default), `time`.
    orders: of those that a file of work orders brought, None elsewhere and once versions of an
    order are settled.
    """

    asset: Text
    time: Int64
    kind: Text
    code: Text
    since: Int64 = field(default_factory=lambda: _EXACT)
    orders: OrderVersions | None = None

    def __post_init__(self) -> None:
        if self.since is _EXACT:
            object.__setattr__(self, "since", self.time)


_EXACT: Final[Int64] = np.empty(0, dtype=np.int64)


def no_events() -> Events:
    """Events of a plant that has reported none."""
    empty = np.empty(0, dtype=object)
    return Events(asset=empty, time=np.empty(0, dtype=np.int64), kind=empty, code=empty)


def take_events(events: Events, rows: Flags | slice) -> Events:
    """The same events with only these rows; orders of the others say nothing any more."""
    return Events(
        events.asset[rows],
        events.time[rows],
        events.kind[rows],
        events.code[rows],
        events.since[rows],
        None if events.orders is None else _take_orders(events.orders, rows),
    )


def _take_orders(orders: OrderVersions, rows: Flags | slice) -> OrderVersions:
    gone = np.ones(len(orders.row), dtype=np.bool_)
    gone[rows] = False
    columns = (column[gone].tolist() for column in (orders.number, orders.changed, orders.row))
    withdrawn = (version for version in zip(*columns, strict=True) if version[0])
    return OrderVersions(
        orders.file,
        orders.number[rows],
        orders.changed[rows],
        orders.row[rows],
        (*orders.withdrawn, *withdrawn),
    )


EventRow = tuple[str, int, str, str, int]


def events_as_rows(events: Events) -> set[EventRow]:
    """Each event as (asset, time, kind, code, since)."""
    columns = (events.asset, events.time, events.kind, events.code, events.since)
    return set(zip(*(column.tolist() for column in columns), strict=True))


def events_from_rows(rows: set[EventRow]) -> Events:
    """Events in their one order."""
    if not rows:
        return no_events()
    asset, time, kind, code, since = zip(*sorted(rows), strict=True)
    return Events(
        asset=np.array(asset, dtype=object),
        time=np.array(time, dtype=np.int64),
        kind=np.array(kind, dtype=object),
        code=np.array(code, dtype=object),
        since=np.array(since, dtype=np.int64),
    )


def sort_events(
    asset: Text, time: Int64, kind: Text, code: Text, since: Int64 | None = None
) -> Events:
    """Events in their one order, exact repeats dropped."""
    given = Events(asset, time, kind, code, time if since is None else since)
    return events_from_rows(events_as_rows(given))
