"""`pm-app preview`: what each row of a file of events would become, and what is left over."""

from collections import Counter
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import typer

from pm_app.cli.look.checks.finding import counted, local_text
from pm_app.cli.options import PLANT, Json, PlantOption
from pm_app.cli.output import print_json, print_rows, say
from pm_app.records.previews import EventsPreview, PreviewedRow
from pm_app.settings.plant import read_settings

_MOST_SHOWN = 30


def preview(
    file: Annotated[Path, typer.Argument(help="Events or work orders: Parquet, CSV or Excel.")],
    config: PlantOption = PLANT,
    rows: Annotated[bool, typer.Option("--rows", help="Every row, not the commonest.")] = False,
    as_json: Json = False,
) -> None:
    """What each row of a file of events would become, what is left over, patterns to know it."""
    from pm_app.wiring import preview_events

    settings = read_settings(config)
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
    count = Counter(row.reason for row in found.rows if row.reason)
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
