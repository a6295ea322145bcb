"""New batches to predictions: each cutoff that a batch makes or changes gets its row.

Predictions and the mark that a batch is scored commit in one transaction, some batches at a
time. A crash before it leaves the batches unscored, and the next run says the same.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from pm_app.errors import BadVersion, SourceUnavailable
from pm_app.jobs.ingest.batch import Ingested
from pm_app.jobs.ingest.housekeeping import compact
from pm_app.jobs.ingest.repair import repairing
from pm_app.jobs.ingest.run import ingest
from pm_app.jobs.plant import Plant
from pm_app.jobs.score.affected import affected_spans, last_scored_pane
from pm_app.jobs.score.champion import Champion, alarm_judge, load_champion
from pm_app.jobs.score.predict import PaneSpan, predict_spans
from pm_app.progress import Progress, silent
from pm_app.settings.values import FOR_EVER
from pm_app.store import BatchRow, CommitCounts
from pm_app.times import NS, parse_duration, to_moment, to_nanoseconds

log = logging.getLogger(__name__)
# Batches of about this many readings share a transaction; a large one has its own.
GROUP_ROWS = 200_000


@dataclass(frozen=True)
class Scored:
    """What one scoring run did."""

    ingested: Ingested
    batches: int
    committed: CommitCounts
    version: int | None


def score(
    plant: Plant,
    *,
    now: datetime,
    progress: Progress = silent,
    stop: Callable[[], bool] = lambda: False,
) -> Scored:
    """Ingest what is new, score every batch that waits, and join some of the oldest segments.

    `stop` is asked in between.

    Raises SourceUnavailable, after all else is scored where only some batches cannot be
    fetched, StoreUnavailable, and BadVersion, after all is scored where a version before the
    champion could stand in for it.
    """
    ingested = ingest(plant, now=now, progress=progress, stop=stop)
    champion = load_champion(plant)
    apply_retention(plant, now)
    floor = backfill_floor(plant, now)
    committed = CommitCounts()
    if champion is not None and floor is not None:
        committed += repairing(plant, partial(_score_without_model, plant, champion, floor, now))
    pending = plant.store.ledger.unscored_batches()
    scored_until = last_scored_pane(plant)
    done = 0
    for group in _groups(pending):
        if stop():
            break
        progress(done / len(pending), f"scoring {group[0].name}")
        score_group = partial(_score_group, plant, champion, group, floor, scored_until, now)
        committed += repairing(plant, score_group)
        done += len(group)
    if not stop():
        _end_shelving(plant, champion, now)
    progress(1.0, f"{done} batches scored")
    if not stop():
        repairing(plant, partial(compact, plant, now=now))
    if champion is not None and champion.stands_in:
        raise BadVersion(f"{champion.stands_in}; version {champion.number} scores in its place")
    if ingested.unavailable:
        raise SourceUnavailable(f"{'; '.join(ingested.unavailable)} (all else is scored)")
    return Scored(ingested, done, committed, champion.number if champion else None)


def _score_group(
    plant: Plant,
    champion: Champion | None,
    group: Sequence[BatchRow],
    floor: int | None,
    scored_until: int | None,
    now: datetime,
) -> CommitCounts:
    """One transaction with all that these batches make or change."""
    spans = affected_spans(plant, champion, group, floor, scored_until=scored_until)
    chunks = predict_spans(plant, champion, spans)
    return plant.store.writer.commit_scores(
        [row.sequence for row in group], chunks, scored_at=now, judge=alarm_judge(plant, champion)
    )


def _end_shelving(plant: Plant, champion: Champion | None, now: datetime) -> None:
    """Alarms whose time on the shelf is over come back, also where no batch came."""
    if plant.store.alarms.shelf_time_over(now):
        judge = alarm_judge(plant, champion)
        plant.store.writer.commit_scores((), (), scored_at=now, judge=judge)


def backfill_floor(plant: Plant, now: datetime) -> int | None:
    """The first pane that scoring answers for; what is older is left to `pm-app backfill`.

    Counted back from the newest reading that was known when the first champion came, so that
    it never moves afterwards; before that from the newest reading. Where a stray clock has
    sent one from the future, from the present. None without readings.
    """
    first = next(iter(plant.store.lineage.promotions()), None)
    newest = plant.store.ledger.newest_time("readings", ingested_until=first.at if first else None)
    if newest is None:
        return None
    latest = to_nanoseconds(min(newest, first.at if first else now))
    reach = parse_duration(plant.settings.scoring.backfill)
    return max(latest - reach, retired_until_ns(plant), 0) // plant.history.pane_ns


def _score_without_model(
    plant: Plant, champion: Champion, floor: int, now: datetime
) -> CommitCounts:
    """Cutoffs that were told no_model get what the first champion says of them."""
    pane_ns = plant.history.pane_ns
    waiting = plant.store.tables.cutoffs_without_model(to_moment((floor + 1) * pane_ns))
    if not waiting:
        return CommitCounts()
    spans = {
        name: PaneSpan(to_nanoseconds(first) // pane_ns - 1, to_nanoseconds(last) // pane_ns - 1)
        for name, (first, last) in waiting.items()
    }
    chunks = predict_spans(plant, champion, spans)
    judge = alarm_judge(plant, champion)
    return plant.store.writer.commit_predictions(chunks, scored_at=now, judge=judge)


def _groups(pending: Sequence[BatchRow]) -> Iterator[list[BatchRow]]:
    """Batches in order of ingestion, small ones together."""
    group: list[BatchRow] = []
    for row in pending:
        if group and sum(member.rows for member in group) + row.rows > GROUP_ROWS:
            yield group
            group = []
        group.append(row)
    if group:
        yield group


# So many days a turn: a plant that sets a limit after years still scores in between.
MOST_DAYS = 20


def apply_retention(
    plant: Plant, now: datetime, *, stop: Callable[[], bool] = lambda: False
) -> int:
    """Retire whole UTC days that lie longer back than is kept; returns how many."""
    kept = plant.settings.retention.predictions
    if kept == FOR_EVER:
        return 0
    until = now - timedelta(seconds=parse_duration(kept) / NS)
    until = until.replace(hour=0, minute=0, second=0, microsecond=0)
    days = 0
    while days < MOST_DAYS and not stop():
        day = plant.store.retention.oldest_day(until)
        if day is None:
            break
        rows = plant.store.retention.retire_day(day)
        log.info("retired %s: %d predictions left their daily peaks", day.date(), rows)
        days += 1
    return days


def retired_until_ns(plant: Plant) -> int:
    """Cutoffs before this are kept no longer, nanoseconds since 1970; 0 where all are."""
    until = plant.store.retention.retired_until()
    return 0 if until is None else to_nanoseconds(until)
