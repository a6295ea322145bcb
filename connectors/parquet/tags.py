"""Rows of a long file: whose, when, which tag, and whether the historian trusts the value."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from connectors.columns.times import read_times
from connectors.columns.values import (
    Flags,
    TextCodes,
    count_refusals,
    odd_spaces,
    read_assets,
    read_labels,
)
from connectors.parquet.plan import UNFIT_TAG, ColumnPlan, ReadingsFormat
from pm_app.records.readings import Int32, Int64, Rejection
from pm_app.settings.values import asset_and_sensor

_GOOD_OPC_DA = range(192, 256)
_SHOWN = 40


@dataclass(frozen=True, eq=False)
class Keys:
    """Asset, time and tag of each row of a record batch, and which rows are usable.

    asset and tag index into their names, -1 where there is none; kept: shape (n_rows,).
    """

    assets: tuple[str, ...]
    asset: Int32
    time: Int64
    tags: tuple[str, ...]
    tag: Int32
    kept: Flags
    rejections: tuple[Rejection, ...]


def read_keys(table: Any, plan: ColumnPlan, form: ReadingsFormat) -> Keys:
    """Refused: a null asset, time or tag, and any quality that is not good."""
    times = read_times(table.column(form.time_column), form.time_column, form.time_rules)
    tags = read_labels(table.column(form.tag_column))
    unfit: list[tuple[Flags, str]] = []
    if form.tags:
        whose, tags, unfit = _parted(tags, form)
    elif plan.asset is not None:
        whose = read_assets(table.column(plan.asset))
    else:
        whose = TextCodes((str(form.default_asset),), np.zeros(table.num_rows, dtype=np.int32))
    refused = [
        *unfit,
        *whose.refused(form.asset_column),
        *times.refused,
        *tags.refused(form.tag_column),
    ]
    if plan.quality is not None:
        refused.append(_bad_quality(table.column(plan.quality), form.quality_column))
    taken, rejections = count_refusals(refused)
    rejections += tuple(odd_spaces(whose.names, form.asset_column))
    return Keys(whose.names, whose.index, times.time, tags.names, tags.index, ~taken, rejections)


def _parted(
    tags: TextCodes, form: ReadingsFormat
) -> tuple[TextCodes, TextCodes, list[tuple[Flags, str]]]:
    """Assets and sensors that tags name, and rows of tags that fit no pattern."""
    found = [asset_and_sensor(tag, form.tags) for tag in tags.names]
    unfit = np.array([*(each is None for each in found), False], dtype=np.bool_)[tags.index]
    parts = [("", "") if each is None else each for each in found]
    columns = []
    for place in (0, 1):
        names = tuple(sorted({part[place] for part in parts if part[place]}))
        codes = [names.index(part[place]) if part[place] else -1 for part in parts]
        index = np.array([*codes, -1], dtype=np.int32)[tags.index]
        columns.append(TextCodes(names, index, tags.odd if place else ()))
    if not unfit.any():
        return columns[0], columns[1], []
    first = tags.names[int(tags.index[np.argmax(unfit)])]
    return columns[0], columns[1], [(unfit, f"{form.tag_column} {first[:_SHOWN]!r} {UNFIT_TAG}")]


def key_columns(plan: ColumnPlan, form: ReadingsFormat) -> list[str]:
    """The columns that `read_keys` needs."""
    keys = (plan.asset, form.time_column, form.tag_column, plan.quality)
    return [column for column in keys if column is not None]


def _bad_quality(column: Any, name: str) -> tuple[Flags, str]:
    if pa.types.is_boolean(column.type):
        column = column.cast(pa.string())
    labels = read_labels(column)
    good = np.array([*map(_is_good, labels.names), False])
    bad = [text for text in labels.names if not _is_good(text)]
    return ~good[labels.index], f"{name} is not good ({', '.join(bad[:3]) or 'null'})"


def _is_good(text: str) -> bool:
    """OPC DA codes from 192 up (Data Access 3.0, quality flags), "Good…", "true"."""
    text = text.strip().casefold()
    if text.lstrip("-").isdigit():
        return int(text) in _GOOD_OPC_DA
    return text.startswith("good") or text == "true"
