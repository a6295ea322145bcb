"""Which columns of one file are the asset, the time and the sensors, judged from its schema."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import pyarrow as pa

from connectors.columns.missing_columns import (
    NeededColumn,
    is_called,
    missing_columns,
    shown_names,
)
from connectors.columns.moments import DateOrder
from connectors.columns.numbers_in_text import Sign
from connectors.columns.times import TimeRules, check_time_column
from connectors.columns.values import (
    check_label_column,
    holds_texts,
    is_numeric,
    plain_type,
)
from connectors.files.partitions import AssetPlace, unfit_note
from connectors.parquet.left_columns import index_columns, leave, unused
from pm_app.errors import BadBatch
from pm_app.records.readings import LeftColumn
from pm_app.settings.sources import ReadingsSettings, matches_any
from pm_app.settings.values import asset_and_sensor

_REASONS_SHOWN = 3
IGNORED: Final = "is ignored by the settings"
UNFIT_TAG: Final = "fits no pattern of readings.tags"


@dataclass(frozen=True)
class ReadingsFormat:
    """How readings are laid out, and what their columns are called.

    layout "wide": a row a moment, a column a sensor. layout "long": a row a tag's value, in
    columns tag, value and, where present, quality; pivoted to rows of moments.
    sensors: which columns (or tags) to read, None for every numeric column (or tag). ignore:
    patterns of those to leave without a word. decimal: the sign of numbers written as text.
    learned: sensors that versions of the plant learned from; an index of pandas goes on to be read
    for them.
    timezone: of timestamps that carry none; None refuses such files. dates: order of days and
    months in times written as text; None refuses those. counts: see TimeRules.
    tags: patterns by which columns (or tags) name asset and sensor both; such files need no asset
    column, and sensors, ignore and learned are about the names of sensors.
    asset_from: where the path of files without an asset column names it, as `AssetPlace` has it.
    default_asset: the machine that files are about which name none.
    latest: the latest time accepted, in nanoseconds since 1970 UTC; None for no limit.
    table: files are plain tables, in which the asset column (each row is then its own asset,
    "<file name without ending>:<row number>") and the time column (then 1970) may be absent.
    """

    layout: Literal["wide", "long"] = "wide"
    asset_column: str = "asset_id"
    asset_from: str | None = None
    time_column: str = "timestamp"
    tag_column: str = "tag"
    value_column: str = "value"
    quality_column: str = "quality"
    tags: tuple[str, ...] = ()
    sensors: tuple[str, ...] | None = None
    ignore: tuple[str, ...] = ()
    decimal: Sign = "auto"
    learned: frozenset[str] = frozenset()
    timezone: str | None = None
    dates: DateOrder | None = None
    counts: int | None = None
    default_asset: str | None = None
    latest: int | None = None
    table: bool = False

    @property
    def asset_place(self) -> AssetPlace:
        """Where a file tells its asset."""
        return AssetPlace(self.asset_column, self.asset_from)

    @property
    def time_rules(self) -> TimeRules:
        """How timestamps are read."""
        return TimeRules(self.timezone, self.latest, order=self.dates, counts=self.counts)


@dataclass(frozen=True)
class ColumnPlan:
    """Columns to read of one file; None where it has no such column and may do without.

    sensors: those of texts too, until their values have decided. texts: columns whose values
    do; in a long file the column of values, where it holds texts. signs: the decimal sign of
    each of these that holds numbers. left: columns that are no sensors, and why.
    """

    name: str
    asset: str | None
    time: str | None
    quality: str | None
    sensors: tuple[str, ...]
    texts: tuple[str, ...] = ()
    signs: Mapping[str, str] = field(default_factory=dict)
    left: tuple[LeftColumn, ...] = ()

    @property
    def wide_columns(self) -> list[str]:
        """What a wide file is read for."""
        return [*(column for column in (self.asset, self.time) if column), *self.sensors]


def plan_wide(name: str, schema: Any, form: ReadingsFormat) -> ColumnPlan:
    """Raises BadBatch when the file's columns cannot be readings."""
    asset, time = _keys(name, schema, form)
    others = [each for each in schema if each.name not in {form.asset_column, form.time_column}]
    if form.tags:
        sensors, left = _tagged(schema, others, form)
    elif form.sensors is None:
        sensors, left = _split(schema, others, form)
    else:
        sensors = tuple(filter(set(schema.names).__contains__, form.sensors))
        for sensor in sensors:
            _check_sensor(name, sensor, schema.field(sensor).type)
        left = tuple(_not_asked_for(each.name) for each in others if each.name not in sensors)
    texts = tuple(sensor for sensor in sensors if holds_texts(schema.field(sensor).type))
    plan = ColumnPlan(name, asset, time, None, sensors, texts, left=left)
    if not sensors:
        raise no_sensors(plan, form, schema.names)
    return plan


def _split(
    schema: Any, others: Sequence[Any], form: ReadingsFormat
) -> tuple[tuple[str, ...], tuple[LeftColumn, ...]]:
    """Columns that are sensors, or may be as their values decide, and those that are left."""
    indices = index_columns(schema)
    sensors, left = [], []
    for each in others:
        why = leave(each, form.ignore, indices=indices, learned=form.learned)
        if why is not None:
            left.append(why)
        kept = why is not None and why.cause == "index" and each.name in form.learned
        if why is None or (kept and is_numeric(each.type)):
            sensors.append(each.name)
    return tuple(sensors), tuple(left)


def _tagged(
    schema: Any, others: Sequence[Any], form: ReadingsFormat
) -> tuple[tuple[str, ...], tuple[LeftColumn, ...]]:
    """As _split, of columns that name their asset: those that fit a pattern, and are asked for."""
    sensors, left = _split(schema, others, form)
    kept = []
    for column in sensors:
        found = asset_and_sensor(column, form.tags)
        if found is None:
            left += (LeftColumn(column, UNFIT_TAG, "unused"),)
        elif form.sensors is not None and found[1] not in form.sensors:
            left += (_not_asked_for(column),)
        elif matches_any(found[1], form.ignore):
            left += (LeftColumn(column, IGNORED, "settings"),)
        else:
            kept.append(column)
    return tuple(kept), left


def no_sensors(plan: ColumnPlan, form: ReadingsFormat, names: Sequence[str]) -> BadBatch:
    """What to raise of a file without a single sensor: what was needed, and what came."""
    wanted = "a numeric column" if form.sensors is None else f"one of {list(form.sensors)}"
    whys = [f"{each.name!r} {each.reason}" for each in plan.left if each.cause != "settings"]
    more = f"; {'; '.join(whys[:_REASONS_SHOWN])}" if whys else ""
    return BadBatch(
        f"{plan.name}: needed {wanted} as a sensor, got columns {shown_names(names)}{more}"
    )


def _not_asked_for(name: str) -> LeftColumn:
    return LeftColumn(name, "is not among readings.sensors", "settings")


def plan_long(name: str, schema: Any, form: ReadingsFormat) -> ColumnPlan:
    """As plan_wide, for rows of one tag's value; the sensors are only known from the rows."""
    tag = NeededColumn("tag", "readings.tag_column", form.tag_column)
    value = NeededColumn("value", "readings.value_column", form.value_column)
    asset, time = _keys(name, schema, form, more=(tag, value))
    check_label_column(schema.field(form.tag_column).type, f"{name}: column {form.tag_column!r}")
    kind = schema.field(form.value_column).type
    _check_sensor(name, form.value_column, kind)
    quality = form.quality_column if form.quality_column in schema.names else None
    texts = (form.value_column,) if holds_texts(kind) else ()
    used = {asset, time, form.tag_column, form.value_column, quality}
    indices = index_columns(schema)
    left = tuple(
        unused(each, form.ignore, indices=indices, what="readings in the long layout")
        for each in schema
        if each.name not in used
    )
    return ColumnPlan(name, asset, time, quality, (), texts, left=left)


def _keys(
    name: str, schema: Any, form: ReadingsFormat, *, more: Sequence[NeededColumn] = ()
) -> tuple[str | None, str | None]:
    """The columns of asset and time. more: others that have to be there."""
    _check_names(name, schema)
    asset = form.asset_column if form.asset_column in schema.names else None
    time = form.time_column if form.time_column in schema.names else None
    needed = []
    if not form.table:
        needed.append(NeededColumn("time", "readings.time_column", form.time_column))
        if form.default_asset is None and not form.tags:
            setting, purpose = "readings.asset_column", " naming the asset"
            needed.append(NeededColumn("asset", setting, form.asset_column, purpose))
    missing = [each for each in (*needed, *more) if each.name not in schema.names]
    if missing:
        raise missing_columns(name, missing, schema, note=_note(missing, schema, form))
    if time is not None:
        check_time_column(schema.field(time).type, f"{name}: column {time!r}", form.time_rules)
    if asset is not None:
        check_label_column(schema.field(asset).type, f"{name}: column {asset!r}")
    return asset, time


def _check_names(name: str, schema: Any) -> None:
    twice = sorted(column for column, times in Counter(schema.names).items() if times > 1)
    if twice:
        raise BadBatch(
            f"{name}: needed distinct column names, got {shown_names(twice)} more than once"
        )


def _check_sensor(name: str, sensor: str, kind: Any) -> None:
    values = plain_type(kind)
    if is_numeric(values) or holds_texts(values) or pa.types.is_null(values):
        return
    raise BadBatch(
        f"{name}: column {sensor!r} is {values}; needed numbers: write it as numbers "
        f"(categories as one 0/1 column each) or leave it out of the sensors"
    )


def _note(missing: Sequence[NeededColumn], schema: Any, form: ReadingsFormat) -> str:
    """What else may help where no column is called like an asset."""
    for each in missing:
        if each.role == "asset" and form.asset_from is not None:
            return unfit_note("readings", form.asset_from)
        if each.role == "asset" and not any(is_called("asset", name) for name in schema.names):
            return (
                '; files of one machine do without by readings.asset = "its name", those of '
                'several by readings.asset_from = "{asset}_*.csv", as their paths are, or by '
                'readings.tags = ["{asset}.{sensor}"], as their columns or tags are'
            )
    return ""


def readings_format(
    settings: ReadingsSettings, *, label_column: str | None, dates: DateOrder | None = None
) -> ReadingsFormat:
    """The format that these settings ask for. dates: as of ReadingsFormat."""
    sensors = settings.sensors
    if sensors is not None and label_column is not None:
        sensors = (*sensors, label_column)
    return ReadingsFormat(
        layout=settings.layout,
        asset_column=settings.asset_column,
        asset_from=settings.asset_from,
        time_column=settings.time_column,
        tag_column=settings.tag_column,
        value_column=settings.value_column,
        quality_column=settings.quality_column,
        tags=settings.tags,
        sensors=sensors,
        ignore=settings.ignore,
        decimal=settings.decimal,
        timezone=settings.timezone,
        dates=dates,
        counts=settings.counts_ns,
        default_asset=settings.asset,
        table=label_column is not None,
    )
