"""Wide files: one row a moment, one column a sensor."""

from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from connectors.parquet.columns import (
    LARGEST,
    LONGEST_NAME,
    Flags,
    TextCodes,
    Times,
    count_refusals,
    read_labels,
    read_numbers,
    read_times,
)
from connectors.parquet.files import OpenFile
from connectors.parquet.plan import ColumnPlan, ReadingsFormat
from pm_app.errors import BadBatch
from pm_app.records.readings import MOST_TABLE_ROWS, Readings, ReadingsChunk, Rejection

_ROW_DIGITS = 9
_TEXTS_LOOKED_AT, _ROWS_LOOKED_AT = 50, 20


def read_wide(
    file: OpenFile, plan: ColumnPlan, form: ReadingsFormat, cells: int
) -> Iterator[ReadingsChunk]:
    """Chunks of at most `cells` values, in file order.

    Raises BadBatch where a plain table without times repeats an asset.
    """
    file.check(plan.wide_columns)
    if plan.time is None and plan.asset is not None:
        _check_one_row_each(file, plan)
    elif plan.time is None and form.default_asset is not None and file.footer.rows > 1:
        raise BadBatch(
            f"{plan.name}: needed a column {form.time_column!r} or {form.asset_column!r} to tell "
            f"rows apart, got {file.footer.rows:,} rows of {form.default_asset!r}"
        )
    rows = max(1, cells // len(plan.sensors))
    unnamed = tuple(Rejection(0, why) for why in plan.unnamed)
    start, notes = 0, (*unnamed, *_numbers_as_text(file, plan))
    for table in file.parquet.iter_batches(batch_size=rows, columns=plan.wide_columns):
        chunk = _chunk(table, plan, form, start)
        yield ReadingsChunk(chunk.readings, (*notes, *chunk.rejections))
        notes = ()
        start += table.num_rows


def _numbers_as_text(file: OpenFile, plan: ColumnPlan) -> tuple[Rejection, ...]:
    """A note on every column of texts whose first values are numbers: a sensor would be missed."""
    columns = plan.texts[:_TEXTS_LOOKED_AT]
    found = (name for name in columns if _are_numbers(file.first(name, _ROWS_LOOKED_AT)))
    return tuple(
        Rejection(0, f"{name} is text that holds numbers, not read: write it as numbers")
        for name in found
    )


def _are_numbers(texts: Sequence[object]) -> bool:
    given = [text for text in texts if text is not None]
    try:
        for text in given:
            float(str(text))
    except ValueError:
        return False
    return bool(given)


def _chunk(table: Any, plan: ColumnPlan, form: ReadingsFormat, start: int) -> ReadingsChunk:
    labels = _labels(table, plan, form, start)
    times = _times(table, plan, form)
    refused, rejections = count_refusals([*labels.refused(form.asset_column), *times.refused])
    values = np.empty((len(plan.sensors), table.num_rows))
    notes = []
    for row, sensor in enumerate(plan.sensors):
        values[row], too_large = read_numbers(table.column(sensor))
        if too_large:
            text = f"{sensor} is infinite or beyond {LARGEST:g} in {too_large} rows kept"
            notes.append(Rejection(0, f"{text}, taken as missing"))
    readings = Readings(labels.names, labels.index, times.time, plan.sensors, values)
    if refused.any():
        readings = keep_rows(readings, ~refused)
    return ReadingsChunk(readings, (*rejections, *notes))


def keep_rows(readings: Readings, kept: Flags) -> Readings:
    """The same readings with only these rows, and only the assets they name."""
    index = readings.asset[kept]
    present = np.unique(index)
    return Readings(
        assets=tuple(readings.assets[i] for i in present.tolist()),
        asset=np.searchsorted(present, index).astype(np.int32),
        time=readings.time[kept],
        sensors=readings.sensors,
        values=readings.values[:, kept],
    )


def _labels(table: Any, plan: ColumnPlan, form: ReadingsFormat, start: int) -> TextCodes:
    if plan.asset is not None:
        return read_labels(table.column(plan.asset))
    if form.default_asset is not None:
        return TextCodes((form.default_asset,), np.zeros(table.num_rows, dtype=np.int32))
    stem = PurePosixPath(plan.name).with_suffix("")
    rows = range(start, start + table.num_rows)
    names = tuple(f"{stem}:{row:0{_ROW_DIGITS}d}" for row in rows)
    return TextCodes(names, np.arange(table.num_rows, dtype=np.int32))


def _times(table: Any, plan: ColumnPlan, form: ReadingsFormat) -> Times:
    if plan.time is None:
        return Times(np.zeros(table.num_rows, dtype=np.int64), ())
    return read_times(table.column(plan.time), form.time_column, form.time_rules)


def _check_one_row_each(file: OpenFile, plan: ColumnPlan) -> None:
    if file.footer.rows > MOST_TABLE_ROWS:
        raise BadBatch(
            f"{plan.name}: needed at most {MOST_TABLE_ROWS:,} rows in a table without times, "
            f"got {file.footer.rows:,}"
        )
    assets = file.parquet.read(columns=[plan.asset]).column(0)
    counts = assets.value_counts()
    for entry in counts.filter(np.asarray(counts.field("counts")) > 1)[:1]:
        raise BadBatch(
            f"{plan.name}: column {plan.asset!r} holds {str(entry['values'])[:LONGEST_NAME]!r} "
            f"{entry['counts'].as_py()} times; needed each once in a table without times"
        )
