"""Which assets are without usable readings just now."""

from datetime import datetime

from sqlalchemy import Connection, and_, func, select

from pm_app.records.alarms import OUTAGES
from pm_app.store.schema import latest_predictions, predictions


def dark_assets(
    connection: Connection, horizon: float, persistence: int
) -> tuple[tuple[str, ...], datetime | None]:
    """Assets whose newest cutoffs all abstain for lack of readings, and the newest of these."""
    latest, said = latest_predictions.c, predictions.c
    own = and_(said.asset_id == latest.asset_id, said.horizon_hours == horizon)
    first = (
        select(said.cutoff)
        .where(own)
        .order_by(said.cutoff.desc())
        .limit(1)
        .offset(persistence - 1)
        .correlate(latest_predictions)
        .scalar_subquery()
    )
    spoke = (
        select(said.asset_id)
        .where(own, said.cutoff >= first, said.status.not_in(OUTAGES))
        .correlate(latest_predictions)
        .exists()
    )
    query = select(latest.asset_id, latest.cutoff).where(
        latest.horizon_hours == horizon, latest.status.in_(OUTAGES), first.is_not(None), ~spoke
    )
    rows = connection.execute(query.order_by(latest.asset_id)).all()
    return tuple(row.asset_id for row in rows), max((row.cutoff for row in rows), default=None)


def assets_told_of(connection: Connection, horizon: float) -> int:
    """How many assets something was ever said of."""
    query = select(func.count()).where(latest_predictions.c.horizon_hours == horizon)
    count: int = connection.execute(query).scalar_one()
    return count
