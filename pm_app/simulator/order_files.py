"""Files of work orders: the text of their rows, the truth of each, and CSV."""

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np

from pm_app.records.readings import Int64, Text
from pm_app.simulator.plant import SimulatedPlant
from pm_app.times import HOUR_NS, to_moment, to_nanoseconds

ORDER_COLUMNS: Final = (
    "Auftrag",
    "Equipment",
    "Art",
    "Code",
    "Kurztext",
    "Datum",
    "Erfasst am",
    "Geändert am",
    "Stillstand h",
    "Kosten EUR",
)
_DAY_NS = 24 * HOUR_NS
_MINUTE_NS = HOUR_NS // 60
_FIRST_NUMBER = 4_000_001
_MINUTES: Final = "%d.%m.%Y %H:%M"


@dataclass(frozen=True)
class OrderFact:
    """What an order is about; kind "" is nothing. failure, work: position in the truth, or -1.

    time: of the event, nanoseconds since 1970 UTC. hours: that the pump stood still for it.
    """

    kind: str
    code: str
    mode: str
    asset: str
    time: int
    hours: float
    failure: int
    work: int


@dataclass(frozen=True)
class PrintedTime:
    """The time that stands in an order, None where none does, and whether it is a date alone."""

    at: int | None
    date_only: bool


@dataclass(frozen=True)
class OrderEntry:
    """A version of an order as it was booked.

    order: whose number it bears. role: see TrueOrders. booked: when; changed: when this version
    came about, None for the first; corrected: when this version was replaced by another.
    """

    fact: OrderFact
    order: int
    role: str
    booked: int
    printed: PrintedTime
    equipment: str
    kind: str = ""
    code: str = ""
    text: str = ""
    cost: float = 0.0
    flaws: tuple[str, ...] = ()
    changed: int | None = None
    corrected: int | None = None


@dataclass(frozen=True)
class OrderFile:
    """An export: its name without an ending, and rows of text, a value a column of the export."""

    name: str
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, eq=False)
class TrueOrders:
    """What each row really is, file by file in the order of rows; shapes (n_rows,).

    file: number of the export. order: its number. role: "event" (the one valid row of what
    happened), "repeat" (another order of the same failure), "superseded" (corrected by a later
    row of the same number), "copy" (the row of an earlier export again), "unrelated". kind, code,
    mode, asset: as in the plant's events, "" for unrelated ones. time: of the event, nanoseconds
    since 1970 UTC. since, until: when it was, by what the row says. booked: see OrderEntry.
    failure, work: position in the truth, -1 for none. flaws: of "late", "undated", "date_only",
    "ambiguous_hour", "typed_wrong", "misspelled_asset", "other_asset", "unknown_asset",
    "wrong_cause", "wrong_date".
    """

    file: Int64
    order: Text
    role: Text
    kind: Text
    code: Text
    mode: Text
    asset: Text
    time: Int64
    since: Int64
    until: Int64
    booked: Int64
    failure: Int64
    work: Int64
    flaws: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, eq=False)
class OrderExport:
    """All exports of a plant, oldest first, and the truth of their rows."""

    timezone: str
    columns: tuple[str, ...]
    files: tuple[OrderFile, ...]
    truth: TrueOrders


def order_csv(export: OrderExport, file: OrderFile, *, separator: str = ";") -> str:
    """A file as CSV with a header; whoever writes it chooses the encoding."""
    text = io.StringIO()
    writer = csv.writer(text, delimiter=separator, lineterminator="\r\n")
    writer.writerow(export.columns)
    writer.writerows(file.rows)
    return text.getvalue()


def write_files(
    entries: Sequence[OrderEntry],
    plant: SimulatedPlant,
    timezone: str,
    days: tuple[int, int],
) -> OrderExport:
    """Exports of these entries; days: of a file, and of what the next one holds again."""
    zone = ZoneInfo(timezone)
    entries = sorted(_versions(entries), key=lambda each: (_since(each), each.order))
    numbers = _numbers(entries)
    start = plant.plan.start_ns
    every, overlap = (count * _DAY_NS for count in days)
    exported: list[tuple[int, OrderEntry]] = []
    for entry in entries:
        number = (_since(entry) - start) // every
        exported.append((number, entry))
        if _since(entry) >= start + (number + 1) * every - overlap:
            exported.append((number + 1, replace(entry, role="copy")))
    exported.sort(key=lambda each: each[0])
    files = tuple(
        OrderFile(
            f"auftraege-{number:03d}",
            tuple(_row(entry, numbers, zone) for at, entry in exported if at == number),
        )
        for number in sorted({number for number, _ in exported})
    )
    places = {file.name: place for place, file in enumerate(files)}
    file = [places[f"auftraege-{number:03d}"] for number, _ in exported]
    rows = [entry for _, entry in exported]
    return OrderExport(timezone, ORDER_COLUMNS, files, _truth(file, rows, numbers, zone, start))


def _since(entry: OrderEntry) -> int:
    """When a version came about."""
    return entry.booked if entry.changed is None else entry.changed


def _versions(entries: Iterable[OrderEntry]) -> list[OrderEntry]:
    """The entries, those that replace another with the time of that."""
    entries = list(entries)
    changed = {each.order: each.corrected for each in entries if each.corrected is not None}
    return [
        each if each.corrected is not None else replace(each, changed=changed.get(each.order))
        for each in entries
    ]


def _numbers(entries: Iterable[OrderEntry]) -> dict[int, str]:
    """Numbers of orders as they are booked."""
    orders = dict.fromkeys(each.order for each in sorted(entries, key=lambda each: each.booked))
    return {order: str(_FIRST_NUMBER + place) for place, order in enumerate(orders)}


def _row(entry: OrderEntry, numbers: dict[int, str], zone: ZoneInfo) -> tuple[str, ...]:
    printed, moment = entry.printed, ""
    if printed.at is not None:
        moment = _local(printed.at, zone).strftime("%d.%m.%Y" if printed.date_only else _MINUTES)
    changed = "" if entry.changed is None else _local(entry.changed, zone).strftime(_MINUTES)
    return (
        numbers[entry.order],
        entry.equipment,
        entry.kind,
        entry.code,
        entry.text,
        moment,
        _local(entry.booked, zone).strftime(_MINUTES),
        changed,
        _german(entry.fact.hours, 1) if entry.fact.hours else "",
        _german(entry.cost, 2),
    )


def _local(nanoseconds: int, zone: ZoneInfo) -> datetime:
    return to_moment(nanoseconds).astimezone(zone)


def _german(value: float, digits: int) -> str:
    """A number as Germans write it: "1.234,50"."""
    return f"{value:,.{digits}f}".translate(str.maketrans(",.", ".,"))


def _truth(
    file: list[int], rows: list[OrderEntry], numbers: dict[int, str], zone: ZoneInfo, start: int
) -> TrueOrders:
    spans = [_interval(entry, start, zone) for entry in rows]
    facts = [entry.fact for entry in rows]
    return TrueOrders(
        file=_whole(file),
        order=_text(numbers[entry.order] for entry in rows),
        role=_text(entry.role for entry in rows),
        kind=_text(fact.kind for fact in facts),
        code=_text(fact.code for fact in facts),
        mode=_text(fact.mode for fact in facts),
        asset=_text(fact.asset for fact in facts),
        time=_whole(fact.time for fact in facts),
        since=_whole(since for since, _ in spans),
        until=_whole(until for _, until in spans),
        booked=_whole(entry.booked for entry in rows),
        failure=_whole(fact.failure for fact in facts),
        work=_whole(fact.work for fact in facts),
        flaws=tuple(_flaws(entry, zone) for entry in rows),
    )


def _interval(entry: OrderEntry, start: int, zone: ZoneInfo) -> tuple[int, int]:
    """Since and until when it was, by what the row says: a minute, a local day, or who knows."""
    if entry.printed.at is None:
        return start, entry.booked
    local = _local(entry.printed.at, zone).replace(second=0, microsecond=0)
    if not entry.printed.date_only:
        # An hour that the clock goes through twice is both.
        first, last = (to_nanoseconds(local.replace(fold=fold)) for fold in (0, 1))
        return first, last + _MINUTE_NS
    midnight = local.replace(hour=0, minute=0, fold=0, tzinfo=None)
    days = (midnight, midnight + timedelta(days=1))
    since, until = (to_nanoseconds(day.replace(tzinfo=zone)) for day in days)
    return since, until


def _flaws(entry: OrderEntry, zone: ZoneInfo) -> tuple[str, ...]:
    if entry.printed.at is None:
        return (*entry.flaws, "undated")
    if entry.printed.date_only:
        return (*entry.flaws, "date_only")
    since, until = _interval(entry, 0, zone)
    return (*entry.flaws, "ambiguous_hour") if until - since > _MINUTE_NS else entry.flaws


def _text(values: Iterable[str]) -> Text:
    return np.array(list(values), dtype=object)


def _whole(values: Iterable[int]) -> Int64:
    return np.fromiter(values, dtype=np.int64)
