"""Long files, as historians write them: one row a tag's value, pivoted to one row a moment.

A moment's tags may lie anywhere in a file (sorted by tag, they are far apart), so a file is
pivoted whole where it is small, and else slice of time by slice of time, reading again the
row groups that overlap the slice: memory stays flat, and no moment is torn apart.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from connectors.columns.numbers_in_text import TextValues
from connectors.columns.values import LARGEST, read_numbers
from connectors.parquet.files import OpenFile
from connectors.parquet.format.footer import MOST_COLUMNS
from connectors.parquet.plan import IGNORED, ColumnPlan, ReadingsFormat
from connectors.parquet.tags import Keys, key_columns, read_keys
from pm_app.errors import BadBatch
from pm_app.records.readings import (
    MOST_ASSETS,
    Float64,
    Int32,
    Int64,
    LeftColumn,
    Readings,
    ReadingsChunk,
    Rejection,
)
from pm_app.settings.sources import matches_any

_SAMPLES_PER_SLICE = 64
_NOT_ASKED_FOR = "is none of the sensors asked for"


@dataclass(frozen=True, eq=False)
class _Survey:
    """What a first pass over the keys finds.

    tags: those that are sensors. signs: the decimal sign of each whose values are texts. left:
    tags that are no sensors, and why.
    spans: shape (n_row_groups, 2), oldest and newest usable time of each row group (the
    oldest above the newest where there is none). edges: ascending; slice i of the file is
    [edges[i], edges[i + 1]).
    """

    assets: tuple[str, ...]
    tags: tuple[str, ...]
    spans: Int64
    edges: Int64
    rejections: tuple[Rejection, ...]
    signs: Mapping[str, str]
    left: tuple[LeftColumn, ...]


@dataclass(frozen=True, eq=False)
class _Cells:
    """Usable values of a slice, sorted by asset, time, tag; each array has shape (n_cells,)."""

    asset: Int32
    time: Int64
    tag: Int32
    value: Float64


def read_long(
    file: OpenFile, plan: ColumnPlan, form: ReadingsFormat, cells: int
) -> Iterator[ReadingsChunk]:
    """Chunks of at most `cells` values; within one, rows are sorted by asset, then time.

    Rejected are rows of the file: no asset, time or tag, a tag that is not asked for, bad
    quality, and repeats of asset, time and tag, of which the last counts. Raises BadBatch
    where no usable tag is left.
    """
    file.check([*key_columns(plan, form), form.value_column])
    for column in plan.texts:
        if not file.holds_short_texts(column, groups=file.parquet.num_row_groups):
            raise BadBatch(f"{plan.name}: column {column!r} holds texts longer than numbers are")
    survey = _survey(file, plan, form, cells)
    if not survey.tags:
        wanted = "a tag" if form.sensors is None else f"one of the tags {list(form.sensors)}"
        why = "; ".join(f"{r.rows} rows: {r.reason}" for r in survey.rejections)
        raise BadBatch(f"{plan.name}: needed usable values of {wanted}, got none ({why})")
    waiting, left = survey.rejections, survey.left
    for low, high in zip(survey.edges[:-1].tolist(), survey.edges[1:].tolist(), strict=True):
        part, notes = _read_slice(file, plan, form, survey, (low, high), cells)
        waiting += notes
        for readings in _pivot(part, survey, cells):
            yield ReadingsChunk(readings, waiting, left)
            waiting, left = (), ()
    if waiting:
        yield ReadingsChunk(_rows(survey, _Cells(*_nothing())), waiting, left)


def _survey(file: OpenFile, plan: ColumnPlan, form: ReadingsFormat, cells: int) -> _Survey:
    assets: set[str] = set()
    counts: Counter[str] = Counter()
    rejected: Counter[str] = Counter()
    samples: list[Int64] = [np.empty(0, dtype=np.int64)]
    spans = np.tile([np.iinfo(np.int64).max, -1], (file.parquet.num_row_groups, 1)).astype(np.int64)
    texts, start = TextValues(form.decimal), 0
    for group, table in _key_tables(file, plan, form, cells):
        keys = read_keys(table, plan, form)
        assets.update(keys.assets[i] for i in np.unique(keys.asset[keys.kept]).tolist())
        counts.update(_rows_by_tag(keys))
        for column in plan.texts:
            tag = np.where(keys.kept, keys.tag, -1)
            texts.add_tags(keys.tags, tag, table.column(column), start=start)
        start += table.num_rows
        _bound(plan.name, form.asset_column, MOST_ASSETS, assets)
        _bound(plan.name, form.tag_column, MOST_COLUMNS, _asked_for(counts, form))
        for rejection in keys.rejections:
            rejected[rejection.reason] += rejection.rows
        time = keys.time[keys.kept]
        if len(time):
            spans[group, 0] = min(spans[group, 0], time.min())
            spans[group, 1] = max(spans[group, 1], time.max())
            samples.append(time[:: max(1, cells // _SAMPLES_PER_SLICE)])
    tags, signs, left = _decide_tags(counts, texts if plan.texts else None, form)
    for each in left:
        named = "" if each.cause == "settings" else f" {each.name!r}"
        rejected[f"{form.tag_column}{named} {each.reason}"] += counts[each.name]
    return _Survey(
        assets=tuple(sorted(assets)),
        tags=tags,
        spans=spans,
        edges=_edges(np.concatenate(samples), spans, -(-file.footer.rows // cells)),
        rejections=tuple(Rejection(rows, reason) for reason, rows in rejected.items()),
        signs=signs,
        left=(*plan.left, *left),
    )


def _rows_by_tag(keys: Keys) -> dict[str, int]:
    """How many usable rows each tag has."""
    found, rows = np.unique(keys.tag[keys.kept], return_counts=True)
    pairs = zip(found.tolist(), rows.tolist(), strict=True)
    return {keys.tags[tag]: count for tag, count in pairs}


def _key_tables(
    file: OpenFile, plan: ColumnPlan, form: ReadingsFormat, cells: int
) -> Iterator[tuple[int, Any]]:
    """Row group and rows of what tells whose, when and which; values too where they decide."""
    columns = [*key_columns(plan, form), *plan.texts]
    for group in range(file.parquet.num_row_groups):
        for table in file.batches(cells, columns, row_groups=[group]):
            yield group, table


def _asked_for(tags: Iterable[str], form: ReadingsFormat) -> tuple[str, ...]:
    """Those that may be sensors, in order."""
    present = set(tags)
    if form.sensors is not None:
        return tuple(tag for tag in form.sensors if tag in present)
    return tuple(sorted(tag for tag in present if not matches_any(tag, form.ignore)))


def _decide_tags(
    found: Iterable[str], texts: TextValues | None, form: ReadingsFormat
) -> tuple[tuple[str, ...], dict[str, str], tuple[LeftColumn, ...]]:
    """Tags that are sensors, the decimal sign of those that are texts, and why others are left."""
    asked = _asked_for(found, form)
    others = sorted(set(found).difference(asked))
    why = IGNORED if form.sensors is None else _NOT_ASKED_FOR
    left = tuple(LeftColumn(name, why, "settings") for name in others)
    if texts is None:
        return asked, {}, left
    signs, bad = texts.decide(asked)
    # A tag that had no value is a sensor that was silent, as it is where values are numbers.
    bad = tuple(each for each in bad if each.cause != "empty")
    tags = tuple(tag for tag in asked if tag not in {each.name for each in bad})
    return tags, {tag: signs.get(tag, ".") for tag in tags}, (*left, *bad)


def _bound(name: str, column: str, most: int, found: Collection[str]) -> None:
    if len(found) > most:
        raise BadBatch(
            f"{name}: needed at most {most:,} different {column}, got more than {most:,}, "
            f"{min(found)!r} among them"
        )


def _edges(samples: Int64, spans: Int64, slices: int) -> Int64:
    """Edges of slices that hold nearly equal shares of the samples and cover every span."""
    if not len(samples):
        return np.empty(0, dtype=np.int64)
    ordered = np.sort(samples)
    inner = ordered[np.arange(1, slices) * len(ordered) // slices]
    ends = np.array([spans[:, 0].min(), spans[:, 1].max() + 1], dtype=np.int64)
    return np.unique(np.concatenate([ends, inner]))


def _read_slice(
    file: OpenFile,
    plan: ColumnPlan,
    form: ReadingsFormat,
    survey: _Survey,
    slice_: tuple[int, int],
    cells: int,
) -> tuple[_Cells, tuple[Rejection, ...]]:
    low, high = slice_
    overlapping = np.flatnonzero((survey.spans[:, 0] < high) & (survey.spans[:, 1] >= low))
    parts, too_large = [_nothing()], 0
    columns = [*key_columns(plan, form), form.value_column]
    for table in file.batches(cells, columns, row_groups=overlapping.tolist()):
        keys = read_keys(table, plan, form)
        tag = _renumber(keys.tags, survey.tags)[keys.tag]
        asset = _renumber(keys.assets, survey.assets)[keys.asset]
        inside = keys.kept & (tag >= 0) & (keys.time >= low) & (keys.time < high)
        column = table.column(form.value_column).filter(pa.array(inside))
        value, count = _values(column, tag[inside], survey)
        parts.append((asset[inside], keys.time[inside], tag[inside], value))
        too_large += count
    found = _Cells(*(np.concatenate(column) for column in zip(*parts, strict=True)))
    once = _last_of_each(found)
    return once, _notes(form.value_column, len(found.time) - len(once.time), too_large)


def _values(column: Any, tag: Int32, survey: _Survey) -> tuple[Float64, int]:
    """The numbers of these rows, each by its tag's decimal sign, and how many are too large."""
    if not survey.signs:
        return read_numbers(column)
    values, too_large = np.full(len(tag), np.nan), 0
    signs = np.array([survey.signs[name] for name in survey.tags])[tag]
    for sign in sorted(set(survey.signs.values())):
        rows = signs == sign
        values[rows], count = read_numbers(column.filter(pa.array(rows)), sign=sign)
        too_large += count
    return values, too_large


def _nothing() -> tuple[Int32, Int64, Int32, Float64]:
    number = np.empty(0, dtype=np.int32)
    return number, np.empty(0, dtype=np.int64), number, np.empty(0)


def _renumber(names: tuple[str, ...], order: tuple[str, ...]) -> Int32:
    """Place of each name in `order`, -1 where it has none; the last slot serves index -1."""
    place = {name: index for index, name in enumerate(order)}
    return np.array([*(place.get(name, -1) for name in names), -1], dtype=np.int32)


def _last_of_each(cells: _Cells) -> _Cells:
    order = np.lexsort((cells.tag, cells.time, cells.asset))
    asset, time, tag = cells.asset[order], cells.time[order], cells.tag[order]
    differs = (asset[1:] != asset[:-1]) | (time[1:] != time[:-1]) | (tag[1:] != tag[:-1])
    last = np.append(differs, True)[: len(order)]
    return _Cells(asset[last], time[last], tag[last], cells.value[order][last])


def _notes(value_column: str, repeats: int, too_large: int) -> tuple[Rejection, ...]:
    notes = []
    if repeats:
        notes.append(Rejection(repeats, "asset, time and tag repeat: the last row counts"))
    if too_large:
        where = f"{value_column} is infinite or beyond {LARGEST:g} in {too_large} rows"
        notes.append(Rejection(0, f"{where}, taken as missing"))
    return tuple(notes)


def _pivot(cells: _Cells, survey: _Survey, most_cells: int) -> Iterator[Readings]:
    """One row a moment of an asset, at most `most_cells` values at a time."""
    if not len(cells.time):
        return
    changes = (cells.asset[1:] != cells.asset[:-1]) | (cells.time[1:] != cells.time[:-1])
    starts = np.concatenate([[0], np.flatnonzero(changes) + 1])
    step = max(1, most_cells // len(survey.tags))
    bounds = [*starts[::step].tolist(), len(cells.time)]
    for begin, end in zip(bounds[:-1], bounds[1:], strict=True):
        rows = slice(begin, end)
        yield _rows(
            survey,
            _Cells(cells.asset[rows], cells.time[rows], cells.tag[rows], cells.value[rows]),
        )


def _rows(survey: _Survey, cells: _Cells) -> Readings:
    changes = (cells.asset[1:] != cells.asset[:-1]) | (cells.time[1:] != cells.time[:-1])
    first = np.append(True, changes)[: len(cells.time)]
    values = np.full((len(survey.tags), int(np.count_nonzero(first))), np.nan)
    row = np.cumsum(first) - 1
    values[cells.tag, row] = cells.value
    present, asset = np.unique(cells.asset[first], return_inverse=True)
    return Readings(
        assets=tuple(survey.assets[i] for i in present.tolist()),
        asset=asset.astype(np.int32),
        time=cells.time[first],
        sensors=survey.tags,
        values=values,
        source_rows=np.bincount(row, minlength=values.shape[1]).astype(np.int64),
    )
