"""Rows of a table of events or work orders: what each becomes, and why some become nothing."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from connectors.columns.missing_columns import NeededColumn, missing_columns
from connectors.columns.values import Flags, TextCodes
from connectors.events.columns import EventColumns, give_reasons
from connectors.events.form import EventsFormat
from connectors.events.patterns import suggest_patterns
from connectors.files.partitions import unfit_note
from pm_app.errors import BadBatch
from pm_app.records.previews import EventsPreview, PreviewedRow
from pm_app.records.readings import (
    EVENT_KINDS,
    Events,
    Int32,
    Int64,
    OrderVersions,
    Text,
    sort_events,
)

_REASONS_SHOWN: Final = 3
_SHOWN: Final = 80
# A file of events is read whole; a plant has not had more in its life.
MOST_EVENTS: Final = 1_000_000
_IGNORED: Final = "left by events.ignore_rows"
_GOES_ON: Final = "goes on with the state of the row before, or begins a file"
_NO_CODE: Final = "matches no pattern of events.codes"
_REPLACED: Final = "replaced by a newer row of the same order"


@dataclass(frozen=True, eq=False)
class RowFates:
    """What became of each row of a file; shapes (n_rows,).

    reason: why it is no event, "" where it is one. since, time, asset, kind, code, order,
    changed: of the event, as `Events` has them. words: kind, code and text as delivered, each
    (n_rows,). grouped: rows whose reason stands for all that are like them.
    """

    asset: Text
    since: Int64
    time: Int64
    kind: Text
    code: Text
    order: Text
    changed: Int64
    reason: Text
    words: tuple[Text, Text, Text]
    grouped: Flags


def check_names(name: str, schema: Any, form: EventsFormat) -> None:
    """Raises BadBatch where a column that has to be there is not, or comes more than once."""
    needed = [NeededColumn("time", "events.time_column", form.time_column)]
    if form.default_asset is None:
        needed.insert(0, NeededColumn("asset", "events.asset_column", form.asset_column))
    if form.default_kind is None:
        needed.append(NeededColumn("kind", "events.kind_column", form.kind_column))
    missing = [each for each in needed if each.name not in schema.names]
    if missing:
        roles, note = {each.role for each in missing}, ""
        if "asset" in roles and form.asset_from is not None:
            note = unfit_note("events", form.asset_from)
        if "kind" in roles:
            note += '; where all are failures, default_kind = "failure" does without'
        raise missing_columns(name, missing, schema, note=note)
    for column in set(schema.names).intersection(form.columns):
        if schema.names.count(column) > 1:
            raise BadBatch(
                f"{name}: column {column!r} comes more than once; needed distinct column names"
            )


def read_fates(table: Any, form: EventsFormat) -> RowFates:
    """What each row of a table becomes. Times are timestamps, or text as people write them."""
    columns = EventColumns(table, form)
    asset, code = columns.labels(form.asset_column), columns.labels(form.code_column)
    kind, order = columns.labels(form.kind_column), columns.labels(form.order_column)
    times = columns.moments(form.time_column)
    plain, reasons, unknown = _kinds(kind, form)
    give_reasons(reasons, times.reason, form.time_column)
    reasons[asset.index < 0] = f"{form.asset_column} is null or empty"
    named = [(form.asset_column, asset), (form.kind_column, kind)]
    # Where patterns say what a code means, it need not be a name.
    named += [(form.code_column, code)] if not form.codes else []
    named += [(form.order_column, order)] if form.order_column is not None else []
    for rows, reason in ((rows, f"{name} {why}") for name, of in named for rows, why in of.odd):
        reasons[rows] = reason
    time, changed = columns.untils(times, reasons), columns.changes(reasons)
    words = (_chosen(kind.names, kind.index), _chosen(code.names, code.index), columns.texts())
    codes, missed = _codes(words, form)
    fresh = (reasons == "") & (missed != "")
    reasons[fresh] = missed[fresh]
    if form.states:
        reasons[_goes_on(asset.index, times.since, words) & (reasons == "")] = _GOES_ON
    ignored = _ignored(words, form)
    reasons[ignored] = _IGNORED
    numbers = _chosen(order.names, order.index)
    reasons[_replaced(numbers, changed) & (reasons == "")] = _REPLACED
    unknown.update(missed[fresh].tolist(), (_IGNORED, _GOES_ON, _REPLACED))
    return RowFates(
        asset=_chosen(asset.names, asset.index),
        since=times.since,
        time=time,
        kind=plain,
        code=codes,
        order=numbers,
        changed=changed,
        reason=reasons,
        words=words,
        grouped=np.array([reason in unknown for reason in reasons.tolist()], dtype=np.bool_),
    )


def preview_of(fates: RowFates, form: EventsFormat) -> EventsPreview:
    """What each row would become, and patterns for what none knows."""
    kinds: Counter[str] = Counter()
    codes: Counter[str] = Counter()
    words = [*zip(*(column.tolist() for column in fates.words), strict=True)]
    for (kind, code, text), reason in zip(words, fates.reason.tolist(), strict=True):
        if reason.startswith((f"{form.kind_column} {kind[:_SHOWN]!r} m", f"{form.kind_column} is")):
            kinds[kind] += 1
        elif reason.endswith(_NO_CODE) or not (reason or form.codes):
            codes[text or code] += 1
    columns = (fates.asset, fates.since, fates.time, fates.kind, fates.code, fates.order)
    values = zip(words, *(column.tolist() for column in columns), fates.reason, strict=True)
    return EventsPreview(
        tuple(PreviewedRow(*row) for row in values),
        (
            *suggest_patterns("events.kinds", kinds),
            *(suggest_patterns("events.codes", codes) if form.text_column or form.codes else ()),
        ),
    )


def with_refused(fates: RowFates, refused: Sequence[tuple[int, str]]) -> RowFates:
    """The same with rows that are none, at their places. refused: number, from 1 on, and why."""
    rows = len(fates.reason) + len(refused)
    places = [number - 1 for number, _ in refused]
    others = np.setdiff1d(np.arange(rows), places)

    def spread(column: Any, empty: object) -> Any:
        whole = np.full(rows, empty, dtype=column.dtype)
        whole[others] = column
        return whole

    reason = spread(fates.reason, "")
    reason[places] = [f"a row {why}" for _, why in refused]
    kind, code, text = (spread(column, "") for column in fates.words)
    return RowFates(
        asset=spread(fates.asset, ""),
        since=spread(fates.since, 0),
        time=spread(fates.time, 0),
        kind=spread(fates.kind, ""),
        code=spread(fates.code, ""),
        order=spread(fates.order, ""),
        changed=spread(fates.changed, 0),
        reason=reason,
        words=(kind, code, text),
        grouped=spread(fates.grouped, False),
    )


def events_of(
    name: str, fates: RowFates, form: EventsFormat, *, numbered: bool = True
) -> tuple[Events, tuple[str, ...]]:
    """The events of a file's rows, and a reason for every other row.

    numbered: whether reasons tell the row; those of what patterns do not know never do, for
    what is alike is counted together. Raises BadBatch where nothing of it can be used.
    """
    good = fates.reason == ""
    lost = np.flatnonzero(~good).tolist()
    single = numbered & ~fates.grouped
    reasons = [
        f"row {row + 1}: {fates.reason[row]}" if single[row] else fates.reason[row] for row in lost
    ]
    left = sum(reason in (_IGNORED, _GOES_ON) for reason in reasons)
    if not good.any() and left < len(reasons):
        shown = "; ".join(list(dict.fromkeys(reasons))[:_REASONS_SHOWN])
        raise BadBatch(f"{name}: none of its {len(reasons)} rows can be used: {shown}")
    if form.order_column is None:
        events = sort_events(
            fates.asset[good],
            fates.time[good],
            fates.kind[good],
            fates.code[good],
            since=fates.since[good],
        )
        repeats = int(np.count_nonzero(good)) - len(events.time)
        return events, (*reasons, *(["repeats another row"] * repeats))
    return _events_of_orders(name, fates, good), tuple(reasons)


def _events_of_orders(name: str, fates: RowFates, good: Flags) -> Events:
    """The events, each with its order; orders whose newest row is none are withdrawn."""

    def place(row: int) -> tuple[str, int, str, str, int]:
        asset, kind, code = (str(names[row]) for names in (fates.asset, fates.kind, fates.code))
        return asset, int(fates.time[row]), kind, code, int(fates.since[row])

    rows = np.array(sorted(np.flatnonzero(good).tolist(), key=place), dtype=np.intp)
    gone = (fates.order != "") & ~_replaced(fates.order, fates.changed) & ~good
    return Events(
        fates.asset[rows],
        fates.time[rows],
        fates.kind[rows],
        fates.code[rows],
        since=fates.since[rows],
        orders=OrderVersions(
            name,
            fates.order[rows],
            fates.changed[rows],
            row=rows.astype(np.int64),
            withdrawn=tuple(
                (str(fates.order[row]), int(fates.changed[row]), row)
                for row in np.flatnonzero(gone).tolist()
            ),
        ),
    )


def _kinds(kind: TextCodes, form: EventsFormat) -> tuple[Text, Text, set[str]]:
    """Our kind of each row, why it has none, and those of the reasons that patterns give."""
    ours = [text.strip().casefold() for text in kind.names]
    found = [
        own if own in EVENT_KINDS else form.kind_patterns.find(text)
        for own, text in zip(ours, kind.names, strict=True)
    ]
    if form.kinds:
        pattern = "{} {!r} matches no pattern of events.kinds"
    else:
        pattern = f"{{}} is {{!r}}; needed one of {EVENT_KINDS}"
    why = [
        pattern.format(form.kind_column, text if not form.kinds else text[:_SHOWN])
        if mine is None
        else ""
        for mine, text in zip(found, kind.names, strict=True)
    ]
    nothing = "" if form.default_kind else f"{form.kind_column} is ''; needed one of {EVENT_KINDS}"
    kinds: Text = np.array([*(mine or "" for mine in found), form.default_kind or ""], dtype=object)
    reasons: Text = np.array([*why, nothing], dtype=object)
    return kinds[kind.index], reasons[kind.index], set(why if form.kinds else ()) - {""}


def _codes(words: tuple[Text, Text, Text], form: EventsFormat) -> tuple[Text, Text]:
    """The code of each row, and why none is known of it."""
    _, code, text = words
    missed = np.full(len(code), "", dtype=object)
    if not form.codes:
        return code, missed
    codes = np.full(len(code), "", dtype=object)
    find = form.code_patterns.find
    for row, pair in enumerate(zip(code.tolist(), text.tolist(), strict=True)):
        hits = (find(each) for each in pair)
        found = next((hit for hit in hits if hit is not None), None)
        if found is not None:
            codes[row] = found
        elif any(pair):
            given = (form.text_column, pair[1]) if pair[1] else (form.code_column, pair[0])
            missed[row] = f"{given[0]} {given[1][:_SHOWN]!r} {_NO_CODE}"
    return codes, missed


def _goes_on(asset: Int32, time: Int64, words: tuple[Text, Text, Text]) -> Flags:
    """Rows in the state of their asset's row before. The first of several tells none either: the
    file before may have ended in it."""
    order = np.lexsort((time, asset))
    same = np.diff(asset[order]) == 0
    changed = np.zeros(len(order), dtype=np.bool_)
    for column in words:
        changed[1:] |= column[order][1:] != column[order][:-1]
    alone = ~(np.append(False, same) | np.append(same, False))
    goes_on = np.empty(len(order), dtype=np.bool_)
    goes_on[order] = ~((changed & np.append(False, same)) | alone)
    return goes_on


def _ignored(words: tuple[Text, Text, Text], form: EventsFormat) -> Flags:
    if not form.ignore_rows:
        return np.zeros(len(words[0]), dtype=np.bool_)
    find = form.ignored.find
    rows = zip(*(each.tolist() for each in words), strict=True)
    return np.array([any(find(each) is not None for each in row) for row in rows], dtype=np.bool_)


def _replaced(order: Text, changed: Int64) -> Flags:
    """Rows of orders of which a newer row is there; of equally new ones the last counts."""
    newest: dict[str, int] = {}
    for row, number in enumerate(order.tolist()):
        if number and (number not in newest or changed[row] >= changed[newest[number]]):
            newest[number] = row
    keep = np.fromiter(newest.values(), dtype=np.intp)
    replaced = order != ""
    replaced[keep] = False
    return np.asarray(replaced, dtype=bool)


def _chosen(names: Sequence[str], index: Int32) -> Text:
    """The names of these places, "" for -1."""
    chosen: Text = np.array([*names, ""], dtype=object)[index]
    return chosen
