"""Where later looks at risks go on, so that a long time in which nothing decides is read once."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, delete, select

from pm_app.records.alarms import AlarmRule, Marks
from pm_app.records.readings import Int64
from pm_app.store.alarm_tables import alarm_marks
from pm_app.store.moments import moment_of
from pm_app.store.schema import staged_predictions
from pm_app.store.upserts import insert_into


def forget_marks(connection: Connection) -> None:
    """Drop the marks of assets of which staged rows say something up to there anew."""
    staged, own = staged_predictions.c, alarm_marks.c
    anew = select(staged.asset_id).where(
        staged.asset_id == own.asset_id, staged.cutoff <= own.cutoff
    )
    connection.execute(delete(alarm_marks).where(anew.exists()))


def marks_of(
    connection: Connection, rule: AlarmRule, assets: Sequence[str]
) -> dict[str, tuple[datetime, int]]:
    """From where on to read each asset that has a mark by this rule, and the run it tells."""
    own = alarm_marks.c
    query = select(own.asset_id, own.since, own.run).where(
        own.asset_id.in_(assets),
        own.horizon_hours == rule.horizon_hours,
        own.threshold == rule.threshold,
        own.clear == rule.clear,
        own.persistence == rule.persistence,
    )
    return {row.asset_id: (row.since, row.run) for row in connection.execute(query)}


def keep_marks(
    connection: Connection, rule: AlarmRule, assets: Sequence[str], upto: Int64, marks: Marks
) -> None:
    """Keep what is known up to these cutoffs, in place of what was."""
    columns = zip(assets, upto.tolist(), marks.since.tolist(), marks.run.tolist(), strict=True)
    rows = [
        {
            "asset_id": asset,
            "horizon_hours": rule.horizon_hours,
            "threshold": rule.threshold,
            "clear": rule.clear,
            "persistence": rule.persistence,
            "since": moment_of(since),
            "cutoff": moment_of(cutoff),
            "run": run,
        }
        for asset, cutoff, since, run in columns
    ]
    statement = insert_into(connection, alarm_marks)
    new = {name: statement.excluded[name] for name in rows[0] if name != "asset_id"}
    kept = statement.on_conflict_do_update(index_elements=["asset_id"], set_=new)
    connection.execute(kept, rows)
