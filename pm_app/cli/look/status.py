"""`pm-app status`: health of the daemon, backlog, champion."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import typer

from pm_app.cli.options import PLANT, Json, PlantOption
from pm_app.cli.output import print_json, print_rows, say
from pm_app.settings.plant import read_settings
from pm_app.times import format_duration, read_clock

if TYPE_CHECKING:
    from pm_app.daemon.freshness import Freshness
    from pm_app.daemon.status import JobStatus, Status
    from pm_app.jobs.record.health import RecorderState


def status(config: PlantOption = PLANT, as_json: Json = False) -> None:
    """State of the daemon: jobs, what waits, the champion; exit code 1 where it is not well."""
    from pm_app.wiring import status_of

    found = status_of(read_settings(config), now=read_clock())
    if as_json:
        print_json(_fields(found))
    else:
        _print(found)
    if not found.fine:
        raise typer.Exit(1)


def _fields(found: "Status") -> dict[str, Any]:
    fields = asdict(found)
    backlog, balance = fields.pop("backlog"), fields.pop("balance")
    if backlog is None:
        fields.pop("champion")
        fields.pop("normal")
    return {**fields, **(backlog or {}), **(balance or {})}


def _print(found: "Status") -> None:
    for trouble in found.troubles:
        say(f"trouble: {trouble}")
    if found.fine:
        say(f"fine: process {found.process}")
    if found.jobs:
        print_rows([_shown(job) for job in found.jobs])
    if found.freshness:
        print_rows([_feed(each) for each in found.freshness])
    if found.recorders:
        print_rows([_recorder(each) for each in found.recorders])
    backlog, balance = found.backlog, found.balance
    if backlog is None or balance is None:
        return
    unread = f"{backlog.unread_readings} + {backlog.unread_events} files unread"
    scores = "no model yet" if found.champion is None else f"version {found.champion} scores"
    if found.normal is not None:
        scores += f", version {found.normal} watches what is unusual"
    say(
        f"{unread} (readings + events), {backlog.unscored} unscored, "
        f"{backlog.quarantined} quarantined; {scores}"
    )
    if found.first_version:
        say(found.first_version)
    for waiting in found.waiting:
        say(waiting)
    for left in backlog.left:
        say(left.words)
    used, rejected = balance.rows_used, balance.rows_rejected
    say(f"{used + rejected:,} rows read: {used:,} used, {rejected:,} rejected")


def _feed(each: "Freshness") -> dict[str, Any]:
    ages = each.age_seconds, each.usual_seconds, each.limit_seconds
    age, usual, limit = ("" if age is None else format_duration(age) for age in ages)
    return {
        "newest": each.feed,
        "age": age or "none yet",
        "usually at most": usual,
        "overdue from": limit,
        "": "overdue" if each.overdue else "",
    }


def _recorder(each: "RecorderState") -> dict[str, Any]:
    health = each.health
    if health is None:
        return {"recorder": each.name, "newest": "never ran"}
    newest = "none yet" if health.newest is None else format_duration(each.silent_seconds or 0.0)
    return {
        "recorder": each.name,
        "newest": newest,
        "recorded": f"{health.recorded:,}",
        "came again": health.repeated or "",
        "refused": health.refused or "",
        "not good": health.not_good or "",
        "files": health.files,
        "waiting": f"{health.waiting_values:,}",
        "refused for": health.example,
    }


def _shown(job: "JobStatus") -> dict[str, Any]:
    age = job.success_age_seconds
    since = "never" if age is None else f"{format_duration(age)} ago"
    return {
        "job": job.job,
        "last success": f"{since}, at work now" if job.busy else since,
        "failed in a row": job.failures_in_a_row or "",
        "words": job.words,
    }
