"""Which columns of one file are the asset, the time and the sensors, judged from its schema."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pyarrow as pa

from connectors.parquet.columns import (
    LONGEST_NAME,
    TimeRules,
    check_label_column,
    check_time_column,
    is_numeric,
    is_text,
    why_no_name,
)
from pm_app.errors import BadBatch

_NAMES_SHOWN = 12


@dataclass(frozen=True)
class ReadingsFormat:
    """How readings are laid out, and what their columns are called.

    layout "wide": a row a moment, a column a sensor. layout "long": a row a tag's value, in
    columns tag, value and, where present, quality; pivoted to rows of moments.
    sensors: which columns (or tags) to read, None for every numeric column (or tag).
    timezone: of timestamps that carry none; None refuses such files.
    default_asset: the machine that files without an asset column are about.
    latest: the latest time accepted, in nanoseconds since 1970 UTC; None for no limit.
    table: files are plain tables, in which the asset column (each row is then its own asset,
    "<file name without ending>:<row number>") and the time column (then 1970) may be absent.
    """

    layout: Literal["wide", "long"] = "wide"
    asset_column: str = "asset_id"
    time_column: str = "timestamp"
    tag_column: str = "tag"
    value_column: str = "value"
    quality_column: str = "quality"
    sensors: tuple[str, ...] | None = None
    timezone: str | None = None
    default_asset: str | None = None
    latest: int | None = None
    table: bool = False

    @property
    def time_rules(self) -> TimeRules:
        """How timestamps are read."""
        return TimeRules(self.timezone, self.latest)

    @property
    def label_columns(self) -> tuple[str, ...]:
        """Columns of texts that repeat."""
        if self.layout == "long":
            return (self.asset_column, self.tag_column, self.quality_column)
        return (self.asset_column,)


@dataclass(frozen=True)
class ColumnPlan:
    """Columns to read of one file; None where it has no such column and may do without.

    texts: columns of text that are passed over, for no sensors are named; unnamed: why columns
    of numbers are passed over, for nothing can be called so.
    """

    name: str
    asset: str | None
    time: str | None
    quality: str | None
    sensors: tuple[str, ...]
    texts: tuple[str, ...] = ()
    unnamed: tuple[str, ...] = ()

    @property
    def wide_columns(self) -> list[str]:
        """What a wide file is read for."""
        return [*(column for column in (self.asset, self.time) if column), *self.sensors]


def plan_wide(name: str, schema: Any, form: ReadingsFormat) -> ColumnPlan:
    """Raises BadBatch when the file's columns cannot be readings."""
    asset, time = _keys(name, schema, form)
    others = [field for field in schema if field.name not in {form.asset_column, form.time_column}]
    texts: tuple[str, ...] = ()
    unnamed: tuple[str, ...] = ()
    if form.sensors is None:
        texts = tuple(field.name for field in others if is_text(field.type))
        numeric = {
            field.name: why_no_name(field.name) for field in others if is_numeric(field.type)
        }
        sensors = tuple(sensor for sensor, why in numeric.items() if not why)
        unnamed = tuple(f"a column name {why}: not read" for why in numeric.values() if why)
    else:
        sensors = tuple(filter(set(schema.names).__contains__, form.sensors))
        for sensor in sensors:
            _check_sensor(name, sensor, schema.field(sensor).type)
    if not sensors:
        wanted = "a numeric column" if form.sensors is None else f"one of {list(form.sensors)}"
        raise BadBatch(f"{name}: needed {wanted} as a sensor, got columns {_columns(schema)}")
    return ColumnPlan(name, asset, time, None, sensors, texts, unnamed)


def plan_long(name: str, schema: Any, form: ReadingsFormat) -> ColumnPlan:
    """As plan_wide, for rows of one tag's value; the sensors are only known from the rows."""
    asset, time = _keys(name, schema, form)
    for column in (form.tag_column, form.value_column):
        if column not in schema.names:
            raise BadBatch(f"{name}: needed a column {column!r}, got columns {_columns(schema)}")
    check_label_column(schema.field(form.tag_column).type, f"{name}: column {form.tag_column!r}")
    _check_sensor(name, form.value_column, schema.field(form.value_column).type)
    quality = form.quality_column if form.quality_column in schema.names else None
    return ColumnPlan(name, asset, time, quality, ())


def _keys(name: str, schema: Any, form: ReadingsFormat) -> tuple[str | None, str | None]:
    _check_names(name, schema)
    asset = form.asset_column if form.asset_column in schema.names else None
    time = form.time_column if form.time_column in schema.names else None
    if time is None and not form.table:
        raise BadBatch(
            f"{name}: needed a column {form.time_column!r}, got columns {_columns(schema)}"
        )
    if asset is None and form.default_asset is None and not form.table:
        raise BadBatch(
            f"{name}: needed a column {form.asset_column!r} naming the asset, "
            f"got columns {_columns(schema)}"
        )
    if time is not None:
        check_time_column(schema.field(time).type, f"{name}: column {time!r}", form.time_rules)
    if asset is not None:
        check_label_column(schema.field(asset).type, f"{name}: column {asset!r}")
    return asset, time


def _check_names(name: str, schema: Any) -> None:
    twice = sorted(column for column, times in Counter(schema.names).items() if times > 1)
    if twice:
        raise BadBatch(f"{name}: needed distinct column names, got {_some(twice)} more than once")


def _check_sensor(name: str, sensor: str, kind: Any) -> None:
    values = kind.value_type if pa.types.is_dictionary(kind) else kind
    if is_numeric(values) or pa.types.is_null(values):
        return
    raise BadBatch(
        f"{name}: column {sensor!r} is {kind}; needed numbers: write it as numbers "
        f"(categories as one 0/1 column each) or leave it out of the sensors"
    )


def _columns(schema: Any) -> str:
    return _some(schema.names)


def _some(names: Sequence[str]) -> str:
    shown = [name if len(name) <= LONGEST_NAME else f"{name[:LONGEST_NAME]}..." for name in names]
    more = len(names) - _NAMES_SHOWN
    return f"{shown[:_NAMES_SHOWN]} and {more} more" if more > 0 else f"{shown}"
