"""Liveness and readiness probes: /healthz and /readyz, for supervisors, without signing in.

They say in fixed words what is wrong, and name no path, address, asset or error of the plant.
"""

from typing import Final, Literal

from fastapi import FastAPI, Response
from fastapi.responses import PlainTextResponse
from pydantic import BaseModel

from pm_app.daemon.health import read_health
from pm_app.errors import NoStore, PmAppError
from pm_app.settings.plant import Settings
from pm_app.times import Stamp, format_duration, read_clock, seconds_between
from pm_app.web.context import PageContext
from pm_app.web.timed_cache import TimedCache

LOOKS: Final = "score"


class Readiness(BaseModel):
    """Whether the pages can say what is so now; of each part "ok", or what is wrong."""

    ready: bool
    store: Literal["ok", "cannot be reached"]
    migrations: Literal["ok", "not those of this program", "not known"]
    daemon: str


def add_probes(app: FastAPI, context: PageContext) -> None:
    """/healthz answers while the process lives, /readyz 503 where a request would be in vain."""
    recent: TimedCache[Readiness] = TimedCache()

    @app.get("/healthz", include_in_schema=False)
    async def alive() -> Response:
        # Not in a thread of the pool: it lives also where all of them are at work.
        return PlainTextResponse("alive\n")

    @app.get("/readyz", include_in_schema=False)
    def ready(response: Response) -> Readiness:
        found = recent.get("", lambda: readiness(context))
        response.status_code = 200 if found.ready else 503
        return found


def readiness(context: PageContext) -> Readiness:
    """The store reached, its schema ours, the daemon's last look young."""
    store: Literal["ok", "cannot be reached"] = "ok"
    migrations: Literal["ok", "not those of this program", "not known"] = "ok"
    try:
        context.store().check()
    except NoStore:
        migrations = "not those of this program"
    except PmAppError:
        store, migrations = "cannot be reached", "not known"
    daemon = last_look(context.settings, now=read_clock())
    fine = store == migrations == "ok" and daemon in ("ok", "not on this machine")
    return Readiness(ready=fine, store=store, migrations=migrations, daemon=daemon)


def last_look(settings: Settings, *, now: Stamp) -> str:
    """ "ok" where the daemon has looked lately, else how long ago it did."""
    if not settings.state.is_dir():
        return "not on this machine"
    health = read_health(settings.state)
    if health is None:
        return "has never run"
    looks = next((job for job in health.jobs if job.name == LOOKS), None)
    if looks is None or looks.worked is None:
        return "has not looked yet"
    age = seconds_between(looks.worked, now)
    return "ok" if age <= looks.expected_seconds else f"last looked {format_duration(age)} ago"
