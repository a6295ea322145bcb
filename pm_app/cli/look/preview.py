"""`pm-app preview`: how a file of readings or events would be read, and what is left over."""

import re
from collections import Counter
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import typer

from pm_app.cli.look.checks.finding import counted, local_text
from pm_app.cli.look.preview_readings import preview_readings
from pm_app.cli.options import PLANT, Json, PlantOption
from pm_app.cli.output import print_json, print_rows, say
from pm_app.records.previews import EventsPreview, PreviewedRow
from pm_app.settings.plant import Settings, read_settings

_MOST_SHOWN = 30
_WRITTEN_TIME = re.compile(r"'[\d.:/+ TZ-]+'")


def preview(
    file: Annotated[
        Path, typer.Argument(help="Readings, events or work orders: Parquet, CSV, Excel.")
    ],
    config: PlantOption = PLANT,
    rows: Annotated[bool, typer.Option("--rows", help="Every row, not the commonest.")] = False,
    readings: Annotated[
        bool, typer.Option("--readings", help="It holds readings, wherever it lies.")
    ] = False,
    as_json: Json = False,
) -> None:
    """How a file would be read: rows of events, columns of readings, and what is left over.

    A file below the folder of readings is one of readings, any other one of events. Without
    plant.toml in this folder it goes by that of the plant in whose folder the file lies.
    """
    from pm_app.wiring import open_readings_file, preview_events

    settings = read_settings(_plant_of(file, config))
    if readings or _lies_in_readings(settings, file):
        source, batch = open_readings_file(settings, file)
        preview_readings(settings, source, batch, as_json=as_json)
        return
    found = preview_events(settings, file)
    zone = ZoneInfo(settings.events.timezone or settings.plant.timezone)
    if as_json:
        print_json(_document(found, zone))
        return
    say(f"{file.name}: {_sum(found)}")
    if rows:
        print_rows([_row(number, row, zone) for number, row in enumerate(found.rows, 1)])
        return
    print_rows(_by_words(found), title="rows that become events", right=("rows",))
    if any(row.reason for row in found.rows):
        print_rows(_left_over(found), title="rows that are left over", right=("rows",))
    if found.suggestions:
        print_rows(_suggestions(found), title="patterns that would know them", right=("rows",))


def _plant_of(file: Path, config: Path) -> Path:
    """plant.toml as named, or here; else the nearest one above the file."""
    if config != PLANT or config.exists():
        return config
    above = (folder / PLANT for folder in file.absolute().parents)
    return next((each for each in above if each.is_file()), config)


def _lies_in_readings(settings: Settings, file: Path) -> bool:
    uri = settings.readings.uri
    return "://" not in uri and file.resolve().is_relative_to((settings.folder / uri).resolve())


def _sum(found: EventsPreview) -> str:
    kinds = Counter(row.kind for row in found.rows if not row.reason)
    shown = ", ".join(f"{kind} {count:,}" for kind, count in sorted(kinds.items()))
    events, every = kinds.total(), len(found.rows)
    return (
        f"{counted(every, 'row')}, {counted(events, 'event')}{f' ({shown})' if shown else ''}, "
        f"{every - events:,} left over"
    )


def _by_words(found: EventsPreview) -> list[dict[str, Any]]:
    count = Counter((row.words, row.kind, row.code) for row in found.rows if not row.reason)
    return [
        {"rows": rows, "kind column": words[0], "code column": words[1], "text": words[2]}
        | {"becomes": kind, "code": code}
        for (words, kind, code), rows in count.most_common(_MOST_SHOWN)
    ]


def _left_over(found: EventsPreview) -> list[dict[str, Any]]:
    # Times differ row by row, and what is wrong with them does not.
    first: dict[str, str] = {}
    count = Counter(
        first.setdefault(_WRITTEN_TIME.sub("", row.reason), row.reason)
        for row in found.rows
        if row.reason
    )
    return [{"rows": rows, "why": why} for why, rows in count.most_common(_MOST_SHOWN)]


def _suggestions(found: EventsPreview) -> list[dict[str, Any]]:
    return [
        {"setting": each.setting, "pattern": each.pattern, "rows": each.rows}
        | {"such as": "; ".join(each.examples)}
        for each in found.suggestions
    ]


def _row(number: int, row: PreviewedRow, zone: ZoneInfo) -> dict[str, Any]:
    kind, code, text = row.words
    event = {"asset": "", "since": "", "until": "", "kind": "", "code": ""}
    if not row.reason:
        since, until = local_text(row.since, zone), local_text(row.time, zone)
        event = {"asset": row.asset, "since": since, "until": until}
        event |= {"kind": row.kind, "code": row.code}
    delivered = {"kind column": kind, "code column": code, "text": text, "order": row.order}
    return {"row": number} | delivered | event | {"left over": row.reason}


def _document(found: EventsPreview, zone: ZoneInfo) -> dict[str, Any]:
    return {
        "rows": [_row(number, row, zone) for number, row in enumerate(found.rows, 1)],
        "left_over": _left_over(found),
        "suggestions": _suggestions(found),
    }
