"""Preview of a file of readings: what each column is taken for, the first rows, what is left."""

from itertools import islice
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from pm_app.cli.look.checks.finding import counted, local_text
from pm_app.cli.output import print_json, print_rows, say
from pm_app.ports import ReadingsSource
from pm_app.records.readings import Batch, BatchDescription, LeftColumn, Readings, ReadingsChunk
from pm_app.settings.plant import Settings
from pm_app.settings.values import asset_and_sensor

_ROWS_SHOWN = 5
_SENSORS_SHOWN = 6
# What tells how a file is understood stands at its beginning.
_CHUNKS = 1


def preview_readings(
    settings: Settings, source: ReadingsSource, batch: Batch, *, as_json: bool
) -> None:
    """Print how a file would be read, by its description and its first rows.

    Raises BadBatch and SourceUnavailable.
    """
    described = source.describe(batch)
    chunks = [*islice(source.read(batch), _CHUNKS)]
    zone = ZoneInfo(settings.readings.timezone or settings.plant.timezone)
    columns = _columns(settings, described, chunks)
    rows = [row for chunk in chunks for row in _rows(chunk.readings, zone)][:_ROWS_SHOWN]
    refused = [
        {"rows": each.rows or "", "why": each.reason}
        for chunk in chunks
        for each in chunk.rejections
    ]
    if as_json:
        print_json(
            {"written": described.written, "rows": described.rows, "columns": columns}
            | {"first_rows": rows, "left_over": refused}
        )
        return
    written = f" ({described.written})" if described.written else ""
    say(f"{batch.name}: readings, {counted(described.rows, 'row')}{written}")
    print_rows(columns, title="columns")
    shown = [dict(islice(row.items(), _SENSORS_SHOWN + 2)) for row in rows]
    print_rows(shown, title=f"first rows that are read ({zone.key})")
    if refused:
        print_rows(refused, title="rows that are left over, and remarks", right=("rows",))


def _columns(
    settings: Settings, described: BatchDescription, chunks: list[ReadingsChunk]
) -> list[dict[str, Any]]:
    """Each column of the file, and each tag of a long one, with what it is taken for."""
    section = settings.readings
    left = {each.name: each for chunk in chunks for each in chunk.left}
    sensors = dict.fromkeys(name for chunk in chunks for name in chunk.readings.sensors)
    keys = {section.asset_column: "asset", section.time_column: "time"}
    if section.tags and section.layout == "wide":
        # Of each machine's column, and not of the sensor that several machines have.
        parted = {name: asset_and_sensor(name, section.tags) for name, _ in described.columns}
        keys |= {name: f"{tag[1]} of {tag[0]}" for name, tag in parted.items() if tag is not None}
    if section.layout == "long":
        keys |= {section.tag_column: "tag", section.value_column: "value"}
        keys |= {section.quality_column: "quality"}
    names = dict.fromkeys([*(name for name, _ in described.columns), *sensors, *left])
    return [_column(name, keys, sensors, left, chunks) for name in names]


def _column(
    name: str,
    keys: dict[str, str],
    sensors: dict[str, None],
    left: dict[str, LeftColumn],
    chunks: list[ReadingsChunk],
) -> dict[str, Any]:
    if name in keys and name not in left:
        return {"column": name, "is": keys[name], "why": ""}
    if name in sensors and name not in left:
        low, high = _range(name, chunks)
        return {"column": name, "is": "sensor", "why": f"{low:.6g} to {high:.6g}"}
    return {"column": name, "is": "left", "why": left[name].reason if name in left else ""}


def _range(sensor: str, chunks: list[ReadingsChunk]) -> tuple[float, float]:
    readings = [chunk.readings for chunk in chunks if sensor in chunk.readings.sensors]
    values = np.concatenate([each.values[each.sensors.index(sensor)] for each in readings])
    there = values[~np.isnan(values)]
    return (float(there.min()), float(there.max())) if len(there) else (np.nan, np.nan)


def _rows(readings: Readings, zone: ZoneInfo) -> list[dict[str, Any]]:
    return [
        {
            "asset": readings.assets[readings.asset[row]],
            "time": local_text(int(readings.time[row]), zone),
        }
        | {
            sensor: None if np.isnan(value) else float(value)
            for sensor, value in zip(readings.sensors, readings.values[:, row], strict=True)
        }
        for row in range(min(_ROWS_SHOWN, len(readings.time)))
    ]
