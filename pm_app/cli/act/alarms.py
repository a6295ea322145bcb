"""`pm-app alarms`: list, show, acknowledge, shelve, comment, verdict."""

from dataclasses import asdict
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pm_app.cli.options import (
    PLANT,
    GroupConfig,
    Json,
    actor,
    now,
    parse_time,
    plant_of,
    require_asset,
)
from pm_app.cli.output import print_json, print_rows, say
from pm_app.errors import BadSettings
from pm_app.settings.modes import action_of
from pm_app.settings.plant import Settings, read_settings
from pm_app.wording import PLANT_ALARMS, alarm_mode_text, deviation_text, time_text

if TYPE_CHECKING:
    from pm_app.store import AlarmEventRow, AlarmRow

Number = Annotated[int, typer.Argument(min=1, max=2**31 - 1, help="As pm-app alarms shows it.")]
By = Annotated[
    str | None, typer.Option("--by", metavar="NAME", help="Who says so; default: the user.")
]
Note = Annotated[str, typer.Option("--note", metavar="TEXT", help="Why.")]
Code = Annotated[str, typer.Option(metavar="CODE", help="Of the failure, as events have it.")]
Mode = Annotated[
    str, typer.Option(metavar="NAME", help="Failure mode that was found, e.g. bearing.")
]

alarms_app = typer.Typer(invoke_without_command=True)


class VerdictChoice(StrEnum):
    """What was found behind an alarm."""

    confirmed = "confirmed"
    not_confirmed = "not-confirmed"
    unclear = "unclear"


@alarms_app.callback()
def alarms(
    context: typer.Context,
    config: GroupConfig = None,
    only_open: Annotated[bool, typer.Option("--open/--all", help="Without cleared ones.")] = True,
    asset: Annotated[str | None, typer.Option(metavar="NAME", help="Only of this asset.")] = None,
    as_json: Json = False,
) -> None:
    """Alarms, newest first; and what to do about one: acknowledge, shelve, comment, verdict."""
    context.obj = config
    if context.invoked_subcommand is not None:
        return
    from pm_app.wiring import open_views

    settings = read_settings(config or PLANT)
    with open_views(settings) as store:
        found = store.alarms.alarms(only_open=only_open, asset=asset)
        if asset is not None and not found:
            require_asset(store, asset)
        if as_json:
            events = store.alarms.events()
            print_json(
                [
                    _fields([e for e in events if e.alarm_id == row.id], row, settings)
                    for row in found
                ]
            )
            return
        given = {row.alarm_id: row.verdict for row in store.alarms.verdicts()}
    rows = [_shown(row, given.get(row.id, ""), settings) for row in found]
    columns = [name for name in _COLUMNS if name not in _RARE or any(r[name] for r in rows)]
    print_rows(rows, columns, title="alarms", right=("id", "risk", "deviation", "from"))


@alarms_app.command()
def show(
    context: typer.Context, number: Number, config: GroupConfig = None, as_json: Json = False
) -> None:
    """History of an alarm: all that was ever done to it."""
    from pm_app.errors import TerminalError
    from pm_app.wiring import open_views

    settings = read_settings(plant_of(context, config))
    zone = settings.plant.timezone
    with open_views(settings) as store:
        found = [row for row in store.alarms.alarms() if row.id == number]
        events = store.alarms.events(number)
    if not found:
        raise TerminalError(f"there is no alarm {number}; pm-app alarms --all lists them")
    if as_json:
        print_json(_fields(events, found[0], settings))
        return
    shown = _shown(found[0], "", settings)
    more = [name for name in _RARE if shown[name]]
    print_rows([shown], ("asset", "state", "risk", "from", *more, "reason"))
    rows = [
        {
            **asdict(event),
            "at": time_text(event.at, zone),
            "by": event.actor,
            "state": event.to_state,
        }
        for event in events
    ]
    print_rows(rows, ("at", "action", "state", "by", "note"))


@alarms_app.command()
def acknowledge(
    context: typer.Context,
    number: Number,
    by: By = None,
    note: Note = "",
    config: GroupConfig = None,
) -> None:
    """Acknowledge an alarm: somebody has seen it."""
    from pm_app.jobs.operations.alarms import acknowledge as run
    from pm_app.wiring import open_plant_shared

    with open_plant_shared(read_settings(plant_of(context, config))) as plant:
        row = run(plant.store, number, at=now(), actor=actor(by), note=note)
    _print_state(row)


@alarms_app.command()
def shelve(
    context: typer.Context,
    number: Number,
    until: Annotated[
        str, typer.Option(metavar="TIME", help="When it comes back, e.g. 2026-01-31T14:00.")
    ],
    by: By = None,
    note: Note = "",
    config: GroupConfig = None,
) -> None:
    """Shelve an alarm until a time."""
    from pm_app.jobs.operations.alarms import shelve as run
    from pm_app.wiring import open_plant_shared

    settings = read_settings(plant_of(context, config))
    moment = parse_time(until, "--until", zone=settings.plant.timezone) or now()
    with open_plant_shared(settings) as plant:
        row = run(plant.store, number, until=moment, at=now(), actor=actor(by), note=note)
    _print_state(row)


@alarms_app.command()
def comment(
    context: typer.Context,
    number: Number,
    text: Annotated[str, typer.Argument(metavar="TEXT", help="What to keep with it.")],
    by: By = None,
    config: GroupConfig = None,
) -> None:
    """Add a note to an alarm."""
    from pm_app.jobs.operations.alarms import comment as run
    from pm_app.wiring import open_plant_shared

    with open_plant_shared(read_settings(plant_of(context, config))) as plant:
        run(plant.store, number, text, at=now(), actor=actor(by))
    say(f"alarm {number}: noted")


@alarms_app.command()
def verdict(
    context: typer.Context,
    number: Number,
    answer: Annotated[VerdictChoice, typer.Argument(help="Whether there was a failure behind it.")],
    found: Annotated[str, typer.Option(metavar="TEXT", help="What was found.")] = "",
    failed_at: Annotated[
        str | None, typer.Option(metavar="TIME", help="When it failed, e.g. 2026-01-31T14:00.")
    ] = None,
    failed_between: Annotated[
        tuple[str, str] | None, typer.Option(metavar="TIME TIME", help="Since when and by when.")
    ] = None,
    code: Code = "",
    mode: Mode = "",
    by: By = None,
    config: GroupConfig = None,
) -> None:
    """Verdict on an alarm: what was found; a confirmed failure is learned from."""
    from pm_app.jobs.operations.alarms import give_verdict
    from pm_app.records.alarms import Verdict
    from pm_app.wiring import open_plant_shared

    if failed_at is not None and failed_between is not None:
        raise BadSettings("--failed-at and --failed-between exclude each other")
    first, last = failed_between or (failed_at, failed_at)
    option = "--failed-at" if failed_between is None else "--failed-between"
    settings = read_settings(plant_of(context, config))
    zone = settings.plant.timezone
    times = parse_time(first, option, zone=zone), parse_time(last, option, zone=zone)
    given = Verdict(answer.value, found, *times, code, mode)
    with open_plant_shared(settings) as plant:
        give_verdict(plant.store, number, given, at=now(), actor=actor(by), modes=settings.modes)
    say(f"alarm {number}: {answer.value}")


def _print_state(row: "AlarmRow") -> None:
    until = f" until {row.shelved_until.isoformat()}" if row.shelved_until else ""
    say(f"alarm {row.id} of {row.asset_id or 'the plant'}: {row.state}{until}")


# Shown only where some alarm has one.
_RARE = ("deviation", "mode", "next step")
_COLUMNS = (
    *("id", "asset", "state", "since", "risk", "deviation", "from", "driven by"),
    *("mode", "next step", "verdict", "reason"),
)


def _shown(row: "AlarmRow", verdict: str, settings: Settings) -> dict[str, Any]:
    return {
        "id": row.id,
        "asset": row.asset_id or f"({PLANT_ALARMS[row.kind]})",
        "state": row.state,
        "since": time_text(row.cutoff, settings.plant.timezone),
        "risk": "" if row.risk is None else f"{row.risk:.0%}",
        "deviation": "" if row.deviation is None else deviation_text(row.deviation),
        "from": _threshold_text(row),
        "driven by": row.top_sensors,
        "mode": alarm_mode_text(row.mode, row.likeliest_mode),
        "next step": action_of(row.likeliest_mode or row.mode, settings.modes),
        "verdict": verdict,
        "reason": row.reason,
    }


def _threshold_text(row: "AlarmRow") -> str:
    if row.threshold is None:
        return ""
    return f"{row.threshold:.0%}" if row.deviation is None else deviation_text(row.threshold)


def _fields(events: "list[AlarmEventRow]", row: "AlarmRow", settings: Settings) -> dict[str, Any]:
    action = action_of(row.likeliest_mode or row.mode, settings.modes)
    return {**asdict(row), "action": action, "events": [asdict(event) for event in events]}
