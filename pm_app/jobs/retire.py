"""Predictions older than the plant keeps: a day at a time, each leaves its peaks."""

import logging
from collections.abc import Callable
from datetime import datetime, timedelta

from pm_app.jobs.site import Site, to_nanoseconds
from pm_app.settings.values import FOR_EVER
from pm_app.times import NS, parse_duration

log = logging.getLogger(__name__)
# So many days a turn: a plant that sets a limit after years still scores in between.
MOST_DAYS = 20


def retire(site: Site, now: datetime, *, stop: Callable[[], bool] = lambda: False) -> int:
    """Retire whole UTC days that lie longer back than is kept; returns how many."""
    kept = site.settings.retention.predictions
    if kept == FOR_EVER:
        return 0
    until = now - timedelta(seconds=parse_duration(kept) / NS)
    until = until.replace(hour=0, minute=0, second=0, microsecond=0)
    days = 0
    while days < MOST_DAYS and not stop():
        day = site.store.retention.oldest_day(until)
        if day is None:
            break
        rows = site.store.retention.retire_day(day)
        log.info("retired %s: %d predictions left their daily peaks", day.date(), rows)
        days += 1
    return days


def retired_until_ns(site: Site) -> int:
    """Cutoffs before this are kept no longer, nanoseconds since 1970; 0 where all are."""
    until = site.store.retention.retired_until()
    return 0 if until is None else to_nanoseconds(until)
