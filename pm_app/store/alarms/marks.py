"""Alarm marks: where looks at risks and deviations go on from, so that the past is read once."""

from collections.abc import Sequence

from sqlalchemy import Connection, delete, select

from pm_app.records.alarms import AlarmMarks, AlarmRule
from pm_app.records.readings import Int64
from pm_app.store.database.connection import columns_as_stored
from pm_app.store.dialects.table import dialect_of, insert_into
from pm_app.store.schema.alarms import alarm_marks
from pm_app.store.schema.predictions import staged_predictions
from pm_app.store.schema.types import nanoseconds_list
from pm_app.times import to_moment

# From where on to read an asset, nanoseconds UTC, and the newest run before.
Mark = tuple[int, int]


def forget_marks(connection: Connection) -> None:
    """Drop the marks of assets of which staged rows say something up to there anew."""
    staged, own = staged_predictions.c, alarm_marks.c
    anew = select(staged.asset_id).where(
        staged.asset_id == own.asset_id, staged.cutoff <= own.cutoff
    )
    connection.execute(delete(alarm_marks).where(anew.exists()))


def marks_of(connection: Connection, rule: AlarmRule, assets: Sequence[str]) -> dict[str, Mark]:
    """From where on to read each asset that has a mark by this rule, and the run it tells."""
    own, dialect = alarm_marks.c, dialect_of(connection)
    query = select(own.asset_id, dialect.arrow_moment(own.since), own.run).where(
        own.kind == rule.kind,
        dialect.among(own.asset_id, assets),
        own.horizon_hours == rule.horizon_hours,
        own.threshold == rule.threshold,
        own.clear == rule.clear,
        own.persistence == rule.persistence,
    )
    names, since, runs = columns_as_stored(connection, query)
    marks = zip(names, nanoseconds_list(since), runs, strict=True)
    return {name: (moment, run) for name, moment, run in marks if moment is not None}


def keep_marks(
    connection: Connection, rule: AlarmRule, assets: Sequence[str], upto: Int64, marks: AlarmMarks
) -> None:
    """Keep what is known up to these cutoffs, in place of what was."""
    columns = zip(assets, upto.tolist(), marks.since.tolist(), marks.run.tolist(), strict=True)
    rows = [
        {
            "kind": rule.kind,
            "asset_id": asset,
            "horizon_hours": rule.horizon_hours,
            "threshold": rule.threshold,
            "clear": rule.clear,
            "persistence": rule.persistence,
            "since": to_moment(since),
            "cutoff": to_moment(cutoff),
            "run": run,
        }
        for asset, cutoff, since, run in columns
    ]
    statement = insert_into(connection, alarm_marks)
    key = ["kind", "asset_id"]
    new = {name: statement.excluded[name] for name in rows[0] if name not in key}
    kept = statement.on_conflict_do_update(index_elements=key, set_=new)
    connection.execute(kept, rows)
