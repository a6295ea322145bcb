"""Since when each asset is known, and until when."""

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import Connection, select

from pm_app.store.schema import assets

_NAMES_PER_STATEMENT = 500


def widen_spans(connection: Connection, spans: Mapping[str, tuple[datetime, datetime]]) -> None:
    """Make room for these first and last times, within a transaction."""
    names = sorted(spans)
    for start in range(0, len(names), _NAMES_PER_STATEMENT):
        part = names[start : start + _NAMES_PER_STATEMENT]
        found = connection.execute(select(assets).where(assets.c.asset_id.in_(part)))
        known = {row.asset_id: (row.first_time, row.last_time) for row in found}
        fresh = [_row(name, spans[name]) for name in part if name not in known]
        if fresh:
            connection.execute(assets.insert(), fresh)
        for name, (first, last) in known.items():
            wider = min(first, spans[name][0]), max(last, spans[name][1])
            if wider != (first, last):
                statement = assets.update().where(assets.c.asset_id == name)
                connection.execute(statement.values(first_time=wider[0], last_time=wider[1]))


def _row(name: str, span: tuple[datetime, datetime]) -> dict[str, object]:
    return {"asset_id": name, "first_time": span[0], "last_time": span[1]}
