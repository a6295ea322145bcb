"""Wide files: one row a moment, one column a sensor."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from connectors.columns.numbers_in_text import TextValues
from connectors.columns.times import Times, read_times
from connectors.columns.values import (
    LARGEST,
    LONGEST_NAME,
    Flags,
    TextCodes,
    count_refusals,
    odd_spaces,
    read_assets,
    read_numbers,
)
from connectors.parquet.files import OpenFile
from connectors.parquet.plan import ColumnPlan, ReadingsFormat, no_sensors
from pm_app.errors import BadBatch
from pm_app.records.readings import MOST_TABLE_ROWS, Readings, ReadingsChunk, Rejection

_ROW_DIGITS = 9
# Most columns of texts are no numbers, as the first few show.
_GLANCE_ROWS = 4096


def read_wide(
    file: OpenFile, plan: ColumnPlan, form: ReadingsFormat, cells: int
) -> Iterator[ReadingsChunk]:
    """Chunks of at most `cells` values, in file order.

    Raises BadBatch where a plain table without times repeats an asset.
    """
    plan = _decide_texts(file, plan, form)
    file.check(plan.wide_columns)
    if plan.time is None and plan.asset is not None:
        _check_one_row_each(file, plan)
    elif plan.time is None and form.default_asset is not None and file.footer.rows > 1:
        raise BadBatch(
            f"{plan.name}: needed a column {form.time_column!r} or {form.asset_column!r} to tell "
            f"rows apart, got {file.footer.rows:,} rows of {form.default_asset!r}"
        )
    rows = max(1, cells // len(plan.sensors))
    start, left = 0, plan.left
    for table in file.batches(rows, plan.wide_columns):
        yield replace(_chunk(table, plan, form, start), left=left)
        left = ()
        start += table.num_rows


def _decide_texts(file: OpenFile, plan: ColumnPlan, form: ReadingsFormat) -> ColumnPlan:
    """The plan once all texts were looked at, row by row: which are numbers, by which sign.

    Raises BadBatch where no sensor is left, or one that the settings name is no number.
    """
    if not plan.texts:
        return plan
    values = TextValues(form.decimal)
    long = _look_at(file, plan.texts, values, most_rows=_GLANCE_ROWS)
    rest = tuple(name for name in plan.texts if name not in long and values.may_hold(name))
    if rest and file.footer.rows > _GLANCE_ROWS:
        long += _look_at(file, rest, values, most_rows=None)
    signs, bad = values.decide(plan.texts, without=long)
    sensors = tuple(name for name in plan.sensors if name not in plan.texts or name in signs)
    wrong = [each for each in bad if form.sensors is not None and each.cause != "empty"]
    if wrong:
        raise BadBatch(
            f"{plan.name}: column {wrong[0].name!r} {wrong[0].reason}; needed numbers: write it "
            f"as numbers (categories as one 0/1 column each) or leave it out of the sensors"
        )
    plan = replace(plan, sensors=sensors, signs=signs, left=(*plan.left, *bad))
    if not sensors:
        raise no_sensors(plan, form, file.parquet.schema_arrow.names)
    return plan


def _look_at(
    file: OpenFile, texts: tuple[str, ...], values: TextValues, *, most_rows: int | None
) -> tuple[str, ...]:
    """Look at the first rows of these columns, or at all; those whose texts are too long."""
    groups = rows = 0
    while groups < file.parquet.num_row_groups and (most_rows is None or rows < most_rows):
        rows += file.parquet.metadata.row_group(groups).num_rows
        groups += 1
    short = [name for name in texts if file.holds_short_texts(name, groups=groups)]
    long = tuple(name for name in texts if name not in short)
    start = 0
    for table in file.batches(_GLANCE_ROWS, short, row_groups=range(groups)) if short else ():
        going_on = [values.add(name, table.column(name), start=start) for name in short]
        start += table.num_rows
        if not any(going_on) or (most_rows is not None and start >= most_rows):
            break
    return long


def _chunk(table: Any, plan: ColumnPlan, form: ReadingsFormat, start: int) -> ReadingsChunk:
    labels = _labels(table, plan, form, start)
    times = _times(table, plan, form)
    refused, rejections = count_refusals([*labels.refused(form.asset_column), *times.refused])
    values = np.empty((len(plan.sensors), table.num_rows))
    notes = odd_spaces(labels.names, form.asset_column)
    for row, sensor in enumerate(plan.sensors):
        values[row], too_large = read_numbers(
            table.column(sensor), sign=plan.signs.get(sensor, ".")
        )
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
        return read_assets(table.column(plan.asset))
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
    assets = file.table([str(plan.asset)]).column(0)
    counts = assets.value_counts()
    for entry in counts.filter(np.asarray(counts.field("counts")) > 1)[:1]:
        raise BadBatch(
            f"{plan.name}: column {plan.asset!r} holds {str(entry['values'])[:LONGEST_NAME]!r} "
            f"{entry['counts'].as_py()} times; needed each once in a table without times"
        )
