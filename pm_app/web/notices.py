"""Notices of every page: what has stopped or fails, and how old the newest reading is."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from pm_app.daemon.freshness import read_freshness
from pm_app.daemon.health import read_health
from pm_app.daemon.status import daemon_troubles
from pm_app.errors import PmAppError
from pm_app.jobs.record.health import recorder_states, troubles_of
from pm_app.settings.plant import Settings
from pm_app.store import Store
from pm_app.times import Stamp

MOST_TROUBLES: Final = 8
# Pages of a simulated plant go by its clock.
ONE_CLOCK: Final = timedelta(hours=1)


@dataclass(frozen=True)
class Notices:
    """What a page tells before all else.

    troubles: what has stopped or fails, in words. reading: the time of the newest reading, None
    without any. clock: that the pages go by another clock than the machine's, else "".
    """

    troubles: tuple[str, ...]
    reading: datetime | None
    clock: str


def look_for_notices(
    settings: Settings, store: Callable[[], Store], *, now: datetime, clock: Stamp
) -> Notices:
    """What there is to tell at `now`; clock: the machine's.

    A store that cannot be read is a trouble, and raises nothing.
    """
    state = settings.state
    # Where the state folder is on another machine, how its daemon is cannot be seen from here.
    troubles = daemon_troubles(read_health(state), now=clock) if state.is_dir() else []
    if state.is_dir():
        troubles += troubles_of(recorder_states(state, settings.recorders, now=clock))
    reading = None
    try:
        feeds = read_freshness(store(), settings, now=now)
        reading = feeds[0].newest
        troubles += [each.words for each in feeds if each.overdue]
    except PmAppError as error:
        troubles.append(str(error))
    more = len(troubles) - MOST_TROUBLES
    shown = troubles[:MOST_TROUBLES] + ([f"and {more} more: pm-app status"] if more > 0 else [])
    return Notices(tuple(shown), reading, _own_clock(settings, now, clock.at))


def _own_clock(settings: Settings, now: datetime, wall: datetime) -> str:
    if abs(now - wall) < ONE_CLOCK:
        return ""
    zone = ZoneInfo(settings.plant.timezone)
    own, machine = (f"{moment.astimezone(zone):%Y-%m-%d %H:%M}" for moment in (now, wall))
    return (
        "These pages go by a clock of their own, that of a simulated plant: it stands at "
        f"{own}, the clock of this machine at {machine}."
    )
