"""Scoring of new batches: each cutoff that a batch makes or changes gets its prediction.

Predictions and the mark that a batch is scored commit in one transaction, some batches at a
time. A crash before it leaves the batches unscored, and the next run says the same.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from pm_app.errors import BadVersion, SourceUnavailable
from pm_app.jobs.ingest.batch import Ingested
from pm_app.jobs.ingest.housekeeping import compact
from pm_app.jobs.ingest.repair import repairing
from pm_app.jobs.ingest.run import ingest
from pm_app.jobs.plant import Plant
from pm_app.jobs.score.affected import (
    ScoringRun,
    affected_spans,
    last_scored_pane,
)
from pm_app.jobs.score.alarm_rules import alarm_judges
from pm_app.jobs.score.champion import Champion, load_champion
from pm_app.jobs.score.frames import PaneSpan, spans_with_readings
from pm_app.jobs.score.normal_champion import NormalSpeaker, load_normal_champion
from pm_app.jobs.score.predict import predict_spans
from pm_app.progress import Progress, silent
from pm_app.scoring.alarms import RuleJudge
from pm_app.settings.plant import Settings
from pm_app.settings.values import FOR_EVER
from pm_app.store import BatchRow, CommitCounts, Store
from pm_app.store.alarms.alarms import Alarms
from pm_app.store.predictions.retention import Retention
from pm_app.store.rows import VersionKind
from pm_app.times import NS, parse_duration, to_moment, to_nanoseconds

log = logging.getLogger(__name__)
Judges = Callable[[], tuple[RuleJudge, ...]]
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

    `stop` is asked in between. Raises SourceUnavailable, after all else is scored where only some
    batches cannot be fetched, StoreUnavailable, and BadVersion, after all is scored where another
    version could stand in for a champion.
    """
    ingested = ingest(plant, now=now, progress=progress, stop=stop)
    champion, normal = load_champion(plant), load_normal_champion(plant)
    apply_retention(plant.settings, plant.store.retention, now)
    store = plant.store
    floor = backfill_floor(plant.settings, store, plant.history.pane_ns, now)
    until = last_scored_pane(plant.ledger, plant.history.pane_ns)
    run = ScoringRun(plant.view, plant.ledger, floor, until, champion, normal.champion)
    judges = _judges(run, store.alarms, plant.channels)
    committed = repairing(plant, partial(_score_without_model, run, store, judges, now))
    pending = plant.ledger.unscored_batches()
    done = 0
    for group in _groups(pending):
        if stop():
            break
        progress(done / len(pending), f"scoring {group[0].name}")
        committed += repairing(plant, partial(_score_group, run, store, judges, now, group))
        done += len(group)
    if not stop():
        _end_shelving(store, judges, now)
    progress(1.0, f"{done} batches scored")
    if not stop():
        repairing(plant, partial(compact, plant, now=now))
    _require_sound(champion, normal)
    if ingested.unavailable:
        raise SourceUnavailable(f"{'; '.join(ingested.unavailable)} (all else is scored)")
    return Scored(ingested, done, committed, champion.number if champion else None)


def _judges(run: ScoringRun, alarms: Alarms, channels: tuple[str, ...]) -> Judges:
    """What judges alarms of the risks and of the deviations that are said."""
    level = None if run.normal is None else run.normal.card.level
    return partial(alarm_judges, run.champion, level, run.view.settings, alarms, channels=channels)


def _require_sound(champion: Champion | None, normal: NormalSpeaker) -> None:
    """Raises BadVersion where another version had to speak in the place of one."""
    if champion is not None and champion.stands_in:
        raise BadVersion(f"{champion.stands_in}; version {champion.number} scores in its place")
    if normal.trouble:
        raise BadVersion(normal.trouble)


def _score_group(
    run: ScoringRun, store: Store, judges: Judges, now: datetime, group: Sequence[BatchRow]
) -> CommitCounts:
    """One transaction with all that these batches make or change."""
    spans = run.scored.left_of(affected_spans(run, group))
    chunks = predict_spans(run.view, run.champion, spans, normal=run.normal)
    numbers = [row.sequence for row in group]
    counts = store.writer.commit_scores(numbers, chunks, scored_at=now, judges=judges())
    run.scored.add(spans)
    return counts


def _score_without_model(
    run: ScoringRun, store: Store, judges: Judges, now: datetime
) -> CommitCounts:
    """Cutoffs of which no model spoke get what the first champion says, of either kind."""
    if (run.champion is None and run.normal is None) or run.floor is None:
        return CommitCounts()
    pane_ns = run.view.history.pane_ns
    kind: VersionKind = "normal" if run.champion is None else "failure"
    floor = backfill_floor(run.view.settings, store, pane_ns, now, kinds=(kind,)) or 0
    since = to_moment((max(floor, run.floor) + 1) * pane_ns)
    waiting = store.tables.cutoffs_without_model(since, kind=kind)
    if not waiting:
        return CommitCounts()
    spans = {
        name: PaneSpan(to_nanoseconds(first) // pane_ns - 1, to_nanoseconds(last) // pane_ns - 1)
        for name, (first, last) in waiting.items()
    }
    spans = spans_with_readings(run.view, spans)
    chunks = predict_spans(run.view, run.champion, spans, normal=run.normal)
    counts = store.writer.commit_predictions(chunks, scored_at=now, judges=judges())
    run.scored.add(spans)
    return counts


def _end_shelving(store: Store, judges: Judges, now: datetime) -> None:
    """Alarms whose time on the shelf is over come back, also where no batch came."""
    if store.alarms.shelf_time_over(now):
        store.writer.commit_scores((), (), scored_at=now, judges=judges())


_EITHER: Final[tuple[VersionKind, ...]] = ("failure", "normal")


def backfill_floor(
    settings: Settings,
    store: Store,
    pane_ns: int,
    now: datetime,
    *,
    kinds: Sequence[VersionKind] = _EITHER,
) -> int | None:
    """The first pane that scoring answers for; what is older is left to `pm-app backfill`.

    Counted back from the newest reading that was known when the first champion (of these kinds)
    came, so that it never moves afterwards; before that from the newest reading. Where a stray
    clock has sent one from the future, from the present. None without readings.
    """
    moves = [move for kind in kinds for move in store.lineage.promotions(kind=kind)[:1]]
    first = min(moves, key=lambda move: move.at, default=None)
    newest = store.ledger.newest_time("readings", ingested_until=first.at if first else None)
    if newest is None:
        return None
    latest = to_nanoseconds(min(newest, first.at if first else now))
    reach = parse_duration(settings.scoring.backfill)
    retired = store.retention.retired_until()
    return max(latest - reach, to_nanoseconds(retired) if retired else 0, 0) // pane_ns


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


# So many days a run: a plant that sets a limit after years still scores in between.
MOST_DAYS = 20


def apply_retention(settings: Settings, retention: Retention, now: datetime) -> int:
    """Retire whole UTC days of predictions older than the plant keeps; returns how many.

    Each day leaves its peaks.
    """
    kept = settings.retention.predictions
    if kept == FOR_EVER:
        return 0
    until = now - timedelta(seconds=parse_duration(kept) / NS)
    until = until.replace(hour=0, minute=0, second=0, microsecond=0)
    for days in range(MOST_DAYS):
        day = retention.oldest_day(until)
        if day is None:
            return days
        rows = retention.retire_day(day)
        log.info("retired %s: %d predictions left their daily peaks", day.date(), rows)
    return MOST_DAYS
