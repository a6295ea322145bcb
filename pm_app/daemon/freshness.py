"""Freshness: how old the newest reading, event, score and retraining are, against the wall clock.

Features and predictions never know of this: they go by times in the data alone.

What is usual is learned from the plant's own deliveries. Just before a file comes, the newest
time of its source is as old as it gets; a gap counts for as long as it lasted, and what is usual
is the age that is not exceeded in 95 % of the time. So weekends without readings are usual, and a
hundred files within a minute of each hour are an hour apart. Where files came much faster than
the times in them went by (a past that was read in one go), the times tell; the two longest of many
gaps are outages and tell nothing. Events come at random: at a random moment the gap between them
is a sum of two exponentials (a gamma of shape 2), whose 95 % point is 4.74 of their mean.

Overdue is what is older than twice the usual, and than a floor: half an hour or twenty turns of
scoring for readings, a day for events, assets and where too little came to know what is usual.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np

from pm_app.daemon.schedule import make_cron, next_time
from pm_app.records.alarms import PlantCondition
from pm_app.settings.plant import Settings
from pm_app.store import Store
from pm_app.store.ledger.deliveries import DeliveredFile
from pm_app.times import NS, format_duration, parse_duration

FACTOR: Final = 2.0
SHARE_OF_TIME: Final = 0.95
RANDOM_GAPS: Final = 4.74
FLOOR_SECONDS: Final = 1800.0
TURNS: Final = 20
DAY_SECONDS: Final = 86_400.0
# With fewer nothing is usual yet.
LEAST_GAPS: Final = 3
LEAST_EVENTS: Final = 10
# Of at least so many gaps the longest are left out: what was an outage is not usual.
MANY_GAPS, OUTAGES = 20, 2
# Files that came faster than this share of the time that passed in them are of a past read at once.
LIVE_SHARE: Final = 0.5
# An asset that has been silent for longer is out of service.
IN_SERVICE: Final = timedelta(days=30)
MOST_ASSETS, MOST_CUTOFFS, NAMES = 50, 200, 5
# The clock of the machine is set by seconds; more is a jump.
MOST_AHEAD: Final = timedelta(minutes=5)
# What a retraining may be late beyond its own timeout.
LATE_RETRAINING_SECONDS: Final = 3600.0


@dataclass(frozen=True)
class Freshness:
    """How old the newest of one feed is, and how old it may become, in seconds.

    feed: one of `records.alarms.SILENCES`; "assets" are those of which nothing comes while others
    have readings, `about` their names. newest: None where there is none yet.
    usual_seconds: how old it usually becomes, None where that is not known; limit_seconds: from
    which age on it is overdue, None where no age is. words: what is overdue, since when, what is
    usual and what to do; "" where all is well.
    """

    feed: str
    newest: datetime | None = None
    age_seconds: float | None = None
    usual_seconds: float | None = None
    limit_seconds: float | None = None
    overdue: bool = False
    words: str = ""
    about: tuple[str, ...] = ()


def read_freshness(store: Store, settings: Settings, *, now: datetime) -> tuple[Freshness, ...]:
    """Every feed of a plant, readings first. Raises StoreUnavailable, BadSettings."""
    readings = _readings(store, settings, now)
    return (
        readings,
        _assets(store, settings, readings, now),
        _events(store, settings, now),
        _scores(store, settings, now),
        _retraining(store, settings, now),
    )


def usual_age(deliveries: Sequence[DeliveredFile]) -> float | None:
    """The age in seconds that the newest time of a source usually reaches; None if unknown.

    deliveries: in order of ingestion.
    """
    return _usual(_gaps(deliveries))


def _usual(gaps: np.ndarray) -> float | None:
    """The gap that is not exceeded in most of the time, but for outages; None if unknown."""
    if len(gaps) < LEAST_GAPS:
        return None
    gaps = np.sort(gaps)[: -OUTAGES or None] if len(gaps) >= MANY_GAPS else np.sort(gaps)
    return float(gaps[np.searchsorted(np.cumsum(gaps), SHARE_OF_TIME * gaps.sum())])


def _gaps(deliveries: Sequence[DeliveredFile]) -> np.ndarray:
    found: list[float] = []
    newest = arrived = None
    for each in deliveries:
        if newest is not None and arrived is not None and each.newest > newest:
            passed = (each.newest - newest).total_seconds()
            waited = (each.arrived - arrived).total_seconds()
            live = waited >= LIVE_SHARE * passed
            found.append((each.arrived - newest).total_seconds() if live else passed)
        if newest is None or each.newest > newest:
            newest, arrived = each.newest, each.arrived
    return np.array(found, dtype=np.float64)


def plant_conditions(feeds: Sequence[Freshness]) -> list[PlantCondition]:
    """What alarms of the plant go by: whether each feed is overdue."""
    return [
        PlantCondition(
            each.feed,
            each.overdue,
            each.words or f"{_AGAIN[each.feed]} again",
            each.about,
            each.newest,
        )
        for each in feeds
    ]


_AGAIN: Final = {
    "readings": "readings come",
    "assets": "every asset has readings",
    "events": "events come",
    "scores": "files are scored",
    "retraining": "the plant is learned",
}


def _readings(store: Store, settings: Settings, now: datetime) -> Freshness:
    deliveries = store.deliveries.newest("readings")
    by_time = store.deliveries.newest_times("readings")
    if not deliveries:
        return Freshness("readings")
    every = parse_duration(settings.scoring.every) / NS
    usual = usual_age(deliveries)
    floor = max(FLOOR_SECONDS, TURNS * every) if usual is not None else DAY_SECONDS
    limit = max(FACTOR * (usual or 0.0), floor)
    newest = max(each.newest for each in (*deliveries, *by_time))
    age = max((now - newest).total_seconds(), 0.0)
    arrived = max(each.arrived for each in deliveries)
    words = ""
    if age > limit:
        refused = store.deliveries.refused_since("readings", arrived)
        words = _silence(
            "reading", newest, age, usual, settings, "look at the historian and at readings.uri"
        )
        if refused:
            words += (
                f"; {refused} files came since and are quarantined: pm-app batches --quarantined"
            )
    elif arrived - now > MOST_AHEAD:
        words = (
            f"the clock of this machine stands at {_local(now, settings)}, before "
            f"{_local(arrived, settings)}, when the newest readings came: it was set back"
        )
    return Freshness("readings", newest, age, usual, limit, bool(words), words)


def _assets(store: Store, settings: Settings, readings: Freshness, now: datetime) -> Freshness:
    """Where all readings have stopped, that says it all."""
    if readings.limit_seconds is None or readings.overdue:
        return Freshness("assets")
    limit = max(readings.limit_seconds, DAY_SECONDS)
    before, since = now - timedelta(seconds=limit), now - IN_SERVICE
    candidates = store.deliveries.silent_assets(since, before=before, limit=MOST_ASSETS)
    silent = {}
    for name, last in candidates.items():
        cutoffs = store.deliveries.cutoffs(name, limit=MOST_CUTOFFS)
        usual = _usual(np.diff([moment.timestamp() for moment in cutoffs])) or 0.0
        if (now - last).total_seconds() > FACTOR * usual:
            silent[name] = last
    if not silent:
        return Freshness("assets", limit_seconds=limit)
    first = min(silent.values())
    age = (now - first).total_seconds()
    shown = [f"{name} since {_local(last, settings)}" for name, last in silent.items()][:NAMES]
    more = f", and {len(silent) - NAMES} assets more" if len(silent) > NAMES else ""
    words = (
        f"no reading of {', '.join(shown)}{more}, while other assets have some; "
        "look at that part of the historian"
    )
    about = tuple(sorted(silent))
    return Freshness("assets", first, age, None, limit, overdue=True, words=words, about=about)


def _events(store: Store, settings: Settings, now: datetime) -> Freshness:
    deliveries = store.deliveries.newest("events")
    if not deliveries:
        return Freshness("events")
    newest = max(each.newest for each in (*deliveries, *store.deliveries.newest_times("events")))
    age = max((now - newest).total_seconds(), 0.0)
    rows = sum(each.rows for each in deliveries)
    if rows < LEAST_EVENTS:
        return Freshness("events", newest, age)
    span = (newest - min(each.first for each in deliveries)).total_seconds()
    usual = max(RANDOM_GAPS * span / rows, usual_age(deliveries) or 0.0)
    limit = max(FACTOR * usual, DAY_SECONDS)
    todo = "if something has happened since, look at what fills events.uri"
    words = _silence("event", newest, age, usual, settings, todo) if age > limit else ""
    return Freshness("events", newest, age, usual, limit, bool(words), words)


def _scores(store: Store, settings: Settings, now: datetime) -> Freshness:
    """A score is due where a file waits: without one, readings are what is silent."""
    every = parse_duration(settings.scoring.every) / NS
    newest, waiting = store.ledger_pages.newest_scored(), store.deliveries.waiting_since()
    limit = max(TURNS * every, FLOOR_SECONDS)
    age = None if newest is None else max((now - newest).total_seconds(), 0.0)
    waited = 0.0 if waiting is None else (now - waiting).total_seconds()
    words = ""
    if waiting is not None and waited > limit:
        words = (
            f"nothing is scored: files wait since {_local(waiting, settings)} "
            f"({format_duration(waited)}), usually {settings.scoring.every}: "
            "look at pm-app status and the daemon's log"
        )
    return Freshness("scores", newest, age, every, limit, bool(words), words)


def _retraining(store: Store, settings: Settings, now: datetime) -> Freshness:
    last = next(iter(store.lineage.retrainings(limit=1)), None)
    if last is None:
        return Freshness("retraining")
    cron, newest = make_cron(settings), last.started_at
    age = max((now - newest).total_seconds(), 0.0)
    due = next_time(cron, newest)
    after = None if due is None else next_time(cron, due)
    if due is None or after is None:
        return Freshness("retraining", newest, age)
    late = parse_duration(settings.retraining.timeout) / NS + LATE_RETRAINING_SECONDS
    limit = (due - newest).total_seconds() + late
    usual = (after - due).total_seconds()
    words = ""
    if age > limit:
        todo = f"it was due {_local(due, settings)}: look at pm-app status and the daemon's log"
        words = _silence("retraining", newest, age, usual, settings, todo)
    return Freshness("retraining", newest, age, usual, limit, bool(words), words)


def _silence(
    what: str, newest: datetime, age: float, usual: float | None, settings: Settings, todo: str
) -> str:
    often = f"usually at most {format_duration(usual)}" if usual else "what is usual is not known"
    return (
        f"no {what} since {_local(newest, settings)}: the newest is {format_duration(age)} old, "
        f"{often}; {todo}"
    )


def _local(moment: datetime, settings: Settings) -> str:
    return f"{moment.astimezone(ZoneInfo(settings.plant.timezone)):%Y-%m-%d %H:%M %Z}"
