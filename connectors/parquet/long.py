"""Long files, as historians write them: one row a tag's value, pivoted to one row a moment.

A moment's tags may lie anywhere in a file (sorted by tag, they are far apart), so a file is
pivoted whole where it is small, and else slice of time by slice of time, reading again the
row groups that overlap the slice: memory stays flat, and no moment is torn apart.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from connectors.parquet.columns import LARGEST, read_numbers
from connectors.parquet.files import OpenFile
from connectors.parquet.footer import MOST_COLUMNS
from connectors.parquet.plan import ColumnPlan, ReadingsFormat
from connectors.parquet.tags import Keys, key_columns, read_keys
from pm_app.errors import BadBatch
from pm_app.records.readings import (
    MOST_ASSETS,
    Float64,
    Int32,
    Int64,
    Readings,
    ReadingsChunk,
    Rejection,
)

_SAMPLES_PER_SLICE = 64
_OTHER_TAG = "tag is none of the sensors asked for"


@dataclass(frozen=True, eq=False)
class _Survey:
    """What a first pass over the keys finds.

    spans: shape (n_row_groups, 2), oldest and newest usable time of each row group (the
    oldest above the newest where there is none). edges: ascending; slice i of the file is
    [edges[i], edges[i + 1]).
    """

    assets: tuple[str, ...]
    tags: tuple[str, ...]
    spans: Int64
    edges: Int64
    rejections: tuple[Rejection, ...]


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
    survey = _survey(file, plan, form, cells)
    if not survey.tags:
        wanted = "a tag" if form.sensors is None else f"one of the tags {list(form.sensors)}"
        why = "; ".join(f"{r.rows} rows: {r.reason}" for r in survey.rejections)
        raise BadBatch(f"{plan.name}: needed usable values of {wanted}, got none ({why})")
    waiting = survey.rejections
    for low, high in zip(survey.edges[:-1].tolist(), survey.edges[1:].tolist(), strict=True):
        part, notes = _read_slice(file, plan, form, survey, (low, high), cells)
        waiting += notes
        for readings in _pivot(part, survey, cells):
            yield ReadingsChunk(readings, waiting)
            waiting = ()
    if waiting:
        yield ReadingsChunk(_rows(survey, _Cells(*_nothing())), waiting)


def _survey(file: OpenFile, plan: ColumnPlan, form: ReadingsFormat, cells: int) -> _Survey:
    assets: set[str] = set()
    tags: set[str] = set()
    rejected: dict[str, int] = {}
    samples: list[Int64] = [np.empty(0, dtype=np.int64)]
    spans = np.tile([np.iinfo(np.int64).max, -1], (file.parquet.num_row_groups, 1)).astype(np.int64)
    for group, keys in _keys(file, plan, form, cells):
        assets.update(keys.assets[i] for i in np.unique(keys.asset[keys.kept]).tolist())
        tags.update(keys.tags[i] for i in np.unique(keys.tag[keys.kept]).tolist())
        if form.sensors is not None:
            tags.intersection_update(form.sensors)
            others = ~np.isin(keys.tag, _renumber(form.sensors, keys.tags)) & keys.kept
            rejected[_OTHER_TAG] = rejected.get(_OTHER_TAG, 0) + int(np.count_nonzero(others))
        _bound(plan.name, form.asset_column, MOST_ASSETS, assets)
        _bound(plan.name, form.tag_column, MOST_COLUMNS, tags)
        for rejection in keys.rejections:
            rejected[rejection.reason] = rejected.get(rejection.reason, 0) + rejection.rows
        time = keys.time[keys.kept]
        if len(time):
            spans[group, 0] = min(spans[group, 0], time.min())
            spans[group, 1] = max(spans[group, 1], time.max())
            samples.append(time[:: max(1, cells // _SAMPLES_PER_SLICE)])
    wanted = tags if form.sensors is None else [tag for tag in form.sensors if tag in tags]
    return _Survey(
        assets=tuple(sorted(assets)),
        tags=tuple(sorted(wanted) if form.sensors is None else wanted),
        spans=spans,
        edges=_edges(np.concatenate(samples), spans, -(-file.footer.rows // cells)),
        rejections=tuple(Rejection(rows, reason) for reason, rows in rejected.items() if rows),
    )


def _keys(
    file: OpenFile, plan: ColumnPlan, form: ReadingsFormat, cells: int
) -> Iterator[tuple[int, Keys]]:
    for group in range(file.parquet.num_row_groups):
        columns = key_columns(plan, form)
        for table in file.parquet.iter_batches(cells, row_groups=[group], columns=columns):
            yield group, read_keys(table, plan, form)


def _bound(name: str, column: str, most: int, found: set[str]) -> None:
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
    for table in file.parquet.iter_batches(cells, row_groups=overlapping.tolist(), columns=columns):
        keys = read_keys(table, plan, form)
        tag = _renumber(keys.tags, survey.tags)[keys.tag]
        asset = _renumber(keys.assets, survey.assets)[keys.asset]
        inside = keys.kept & (tag >= 0) & (keys.time >= low) & (keys.time < high)
        value, count = read_numbers(table.column(form.value_column).filter(pa.array(inside)))
        parts.append((asset[inside], keys.time[inside], tag[inside], value))
        too_large += count
    found = _Cells(*(np.concatenate(column) for column in zip(*parts, strict=True)))
    once = _last_of_each(found)
    return once, _notes(form.value_column, len(found.time) - len(once.time), too_large)


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
