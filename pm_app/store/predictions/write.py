"""Prediction writer: each prediction is written once, and what it supersedes is kept.

Rows are laid down in a temporary table some thousands at a time, while others may write, and
then merged by a few statements over whole sets: memory is flat however many come, and the lock
is held for the merge alone.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Connection,
    Insert,
    Subquery,
    and_,
    func,
    insert,
    literal,
    or_,
    select,
    true,
)

from pm_app.ports import AlarmJudge
from pm_app.records.predictions import Predictions
from pm_app.store.alarms.marks import forget_marks
from pm_app.store.alarms.update import alarms_before_commit, update_alarms
from pm_app.store.database.connection import Database
from pm_app.store.dialects.table import insert_into
from pm_app.store.ledger.ledger import mark_scored
from pm_app.store.predictions.changes import PREDICTION_COMMITS, advance, newest
from pm_app.store.predictions.staging import (
    STAGED,
    StagedJoin,
    forget_staged,
    stage,
    stage_file,
)
from pm_app.store.rows import CommitCounts
from pm_app.store.schema.predictions import (
    COMMIT_NUMBER,
    PREDICTION_COLUMNS,
    PREDICTION_KEY,
    PREDICTION_VALUES,
    latest_predictions,
    prediction_history,
    predictions,
    staged_predictions,
)
from pm_app.store.schema.types import Moment


@dataclass(frozen=True, eq=False)
class PredictionWriter:
    """Commits of predictions. Methods raise StoreUnavailable when a later call may succeed."""

    database: Database

    def commit_scores(
        self,
        sequences: Sequence[int],
        chunks: Iterable[Predictions],
        *,
        scored_at: datetime,
        judges: Sequence[AlarmJudge] = (),
        live: bool = True,
    ) -> CommitCounts:
        """Write predictions and mark the batches they answer as scored: all or nothing.

        A row whose content (all but revision and scored_at) is there already stays as it is.
        Otherwise it replaces the row of its key with the next revision, the old one moves to
        `prediction_history`, and `latest_predictions` follows, never to an older cutoff. An
        exception from `chunks` passes through and leaves nothing behind.
        A key must not come twice in one commit. Other writers wait only once the last chunk
        has come.

        judges: tell what becomes of alarms, each of its kind, which follow in the same
        transaction; without one they stay as they are. Without `live` only what stands in the end
        raises one, not what came and went.
        """
        with self.database.writing(lambda staging: stage(staging, chunks)) as connection:
            forget_marks(connection)
            before = (
                alarms_before_commit(connection, judges, scored_at, live=live) if judges else None
            )
            counts = _merge(connection, scored_at)
            mark_scored(connection, sequences, scored_at)
            if before is not None:
                update_alarms(connection, judges, before, scored_at)
            forget_staged(connection)
        return counts

    def commit_predictions(
        self,
        chunks: Iterable[Predictions],
        *,
        scored_at: datetime,
        judges: Sequence[AlarmJudge] = (),
    ) -> CommitCounts:
        """As commit_scores, not live, for rows that answer no batch: backfill, first champion."""
        return self.commit_scores((), chunks, scored_at=scored_at, judges=judges, live=False)

    def commit_staged(self, path: Path, *, scored_at: datetime) -> CommitCounts:
        """As commit_predictions, of what `write_staged` has laid down in this file."""
        prepare: Callable[[Connection], None] = partial(stage_file, path=path)
        if self.database.dialect.file is not None:
            # Attached, its table is found by its name, which no table of this database has.
            prepare = forget_staged
        with self.database.writing(prepare, attached=path) as connection:
            forget_marks(connection)
            counts = _merge(connection, scored_at)
            forget_staged(connection)
        return counts


def _merge(connection: Connection, scored_at: datetime) -> CommitCounts:
    staged = connection.execute(select(func.count()).select_from(staged_predictions)).scalar_one()
    revised = _keep_superseded(connection)
    number = newest(connection, PREDICTION_COMMITS) + 1
    written = _upsert(connection, scored_at, number)
    if written:
        advance(connection, PREDICTION_COMMITS, number)
        _follow_latest(connection)
    return CommitCounts(written - revised, revised, staged - written)


def _keep_superseded(connection: Connection) -> int:
    kept = (*PREDICTION_COLUMNS, COMMIT_NUMBER)
    superseded = (
        select(*(predictions.c[name] for name in kept))
        .select_from(StagedJoin(staged_predictions, predictions, _same_key()))
        .where(_differs(staged_predictions.c))
    )
    statement = insert(prediction_history).from_select(kept, superseded)
    return _count(connection, statement)


def _upsert(connection: Connection, scored_at: datetime, number: int) -> int:
    staged_rows = select(
        *(staged_predictions.c[name] for name in STAGED),
        literal(1).label("revision"),
        literal(scored_at, Moment).label("scored_at"),
        literal(number).label(COMMIT_NUMBER),
    ).where(true())  # SQLite reads "FROM t ON CONFLICT" as a join without it
    columns = (*STAGED, "revision", "scored_at", COMMIT_NUMBER)
    statement = insert_into(connection, predictions).from_select(columns, staged_rows)
    new = statement.excluded
    statement = statement.on_conflict_do_update(
        index_elements=PREDICTION_KEY,
        set_={
            **{name: new[name] for name in PREDICTION_VALUES},
            "revision": predictions.c.revision + 1,
            "scored_at": new.scored_at,
            COMMIT_NUMBER: number,
        },
        where=_differs(new),
    )
    return _count(connection, statement)


def _count(connection: Connection, statement: Insert) -> int:
    # Without the option SQLAlchemy forgets the count of an insert on some drivers.
    return connection.execute(statement, execution_options={"preserve_rowcount": True}).rowcount


def _follow_latest(connection: Connection) -> None:
    last = _newest_staged()
    same = and_(*(predictions.c[name] == last.c[name] for name in PREDICTION_KEY))
    rows = select(*(predictions.c[name] for name in PREDICTION_COLUMNS))
    statement = insert_into(connection, latest_predictions).from_select(
        PREDICTION_COLUMNS, rows.join_from(last, predictions, same).where(true())
    )
    new, old = statement.excluded, latest_predictions.c
    statement = statement.on_conflict_do_update(
        index_elements=["asset_id", "horizon_hours"],
        set_={name: new[name] for name in PREDICTION_COLUMNS if name not in _LATEST_KEY},
        where=or_(
            new.cutoff > old.cutoff,
            and_(new.cutoff == old.cutoff, new.revision > old.revision),
        ),
    )
    connection.execute(statement)


_LATEST_KEY: Final = ("asset_id", "horizon_hours")


def _newest_staged() -> Subquery:
    staged = staged_predictions.c
    query = select(staged.asset_id, staged.horizon_hours, func.max(staged.cutoff).label("cutoff"))
    return query.group_by(staged.asset_id, staged.horizon_hours).subquery("newest")


def _same_key() -> ColumnElement[bool]:
    return and_(*(predictions.c[name] == staged_predictions.c[name] for name in PREDICTION_KEY))


def _differs(columns: Any) -> ColumnElement[bool]:
    return or_(*(predictions.c[name].is_distinct_from(columns[name]) for name in PREDICTION_VALUES))
