"""`pm-app status`: how the daemon is, and how much waits for it."""

from dataclasses import asdict
from typing import Any

import typer

from pm_app.cli.options import PLANT, Json, Plant
from pm_app.cli.output import print_json, print_rows, say
from pm_app.clock import Stamp, read_clock, seconds_between
from pm_app.errors import PmAppError
from pm_app.health import JobHealth, find_troubles, is_there, read_health
from pm_app.settings import Settings, read_settings
from pm_app.times import format_duration


def status(config: Plant = PLANT, as_json: Json = False) -> None:
    """Whether the daemon gets on with its work, what waits, who scores; 1 where it does not."""
    settings = read_settings(config)
    health, now = read_health(settings.state), read_clock()
    alive = health is not None and is_there(health.process)
    troubles = find_troubles(health, now=now, alive=alive)
    work, unreadable = _work(settings)
    troubles += unreadable
    fields = {
        "fine": not troubles,
        "troubles": troubles,
        "process": health.process if health and alive and not health.stopped else None,
        "jobs": [_job_fields(job, now) for job in health.jobs] if health else [],
        **work,
    }
    if as_json:
        print_json(fields)
    else:
        _print(fields)
    if troubles:
        raise typer.Exit(1)


def _work(settings: Settings) -> tuple[dict[str, Any], list[str]]:
    """What waits and who scores, as fields; and why that cannot be told."""
    from pm_app.jobs.backlog import count_backlog
    from pm_app.wiring import events_source, open_views, readings_source

    try:
        with open_views(settings) as store:
            backlog = count_backlog(store, readings_source(settings), events_source(settings))
            balance = asdict(store.ledger.balance())
            return {**asdict(backlog), **balance, "champion": store.lineage.champion()}, []
    except PmAppError as error:
        return {}, [str(error)]


def _job_fields(job: JobHealth, now: Stamp) -> dict[str, Any]:
    return {
        "job": job.name,
        "busy": job.busy,
        "began": job.began.at if job.began else None,
        "ended": job.ended.at if job.ended else None,
        "succeeded": job.succeeded.at if job.succeeded else None,
        "success_age_seconds": _age(job.succeeded, now),
        "progress_age_seconds": _age(job.worked, now),
        "expected_seconds": job.expected_seconds,
        "took_seconds": job.seconds,
        "failures_in_a_row": job.failures_in_a_row,
        "words": job.words,
    }


def _age(stamp: Stamp | None, now: Stamp) -> float | None:
    return None if stamp is None else round(seconds_between(stamp, now), 1)


def _print(fields: dict[str, Any]) -> None:
    for trouble in fields["troubles"]:
        say(f"trouble: {trouble}")
    if fields["fine"]:
        say(f"fine: process {fields['process']}")
    rows = [_shown(job) for job in fields["jobs"]]
    print_rows(rows, ("job", "last success", "failed in a row", "words"), as_json=False)
    if "champion" in fields:
        unread = f"{fields['unread_readings']} + {fields['unread_events']} files unread"
        version = fields["champion"]
        say(
            f"{unread} (readings + events), {fields['unscored']} unscored, "
            f"{fields['quarantined']} quarantined; "
            f"{'no model yet' if version is None else f'version {version} scores'}"
        )
        used, rejected = fields["rows_used"], fields["rows_rejected"]
        say(f"{used + rejected:,} rows read: {used:,} used, {rejected:,} rejected")


def _shown(job: dict[str, Any]) -> dict[str, Any]:
    age = job["success_age_seconds"]
    since = "never" if age is None else f"{format_duration(age)} ago"
    return {
        "job": job["job"],
        "last success": f"{since}, at work now" if job["busy"] else since,
        "failed in a row": job["failures_in_a_row"] or "",
        "words": job["words"],
    }
