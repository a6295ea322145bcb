"""Alarms of two kinds, with their reasons; what was done to them and found behind them.

The tables of alarms there were before stood empty: nothing raised any.
"""

import sqlalchemy as sa
from alembic import op

from pm_app.store.schema.types import Moment

revision = "0008"
down_revision: str | None = "0007"


def upgrade() -> None:
    """Make the tables anew."""
    op.drop_table("alarm_events")
    op.drop_table("alarms")
    _create_alarms()
    _create_events()
    _create_verdicts()


def _create_alarms() -> None:
    asset = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
    op.create_table(
        "alarms",
        _number(),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("asset_id", asset, nullable=False),
        sa.Column("horizon_hours", sa.Float(53), nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("raised_at", Moment, nullable=False),
        sa.Column("changed_at", Moment, nullable=False),
        sa.Column("shelved_until", Moment),
        sa.Column("cleared_at", Moment),
        sa.Column("cutoff", Moment, nullable=False),
        sa.Column("risk", sa.Float(53)),
        sa.Column("threshold", sa.Float(53)),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("top_sensors", sa.Text, nullable=False),
        sa.Column("model_version", sa.Integer, nullable=False),
        sa.Column("about", sa.JSON, nullable=False),
        sa.PrimaryKeyConstraint("id", name="alarms_pkey"),
        sqlite_autoincrement=True,
    )
    still_open = sa.text("cleared_at IS NULL")
    op.create_index(
        "alarms_one_open",
        "alarms",
        ["kind", "asset_id"],
        unique=True,
        sqlite_where=still_open,
        postgresql_where=still_open,
    )


def _create_events() -> None:
    op.create_table(
        "alarm_events",
        _number(),
        _alarm(),
        sa.Column("at", Moment, nullable=False),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("from_state", sa.Text),
        sa.Column("to_state", sa.Text, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("note", sa.Text, nullable=False),
        sa.Column("cutoff", Moment),
        sa.PrimaryKeyConstraint("id", name="alarm_events_pkey"),
        sa.ForeignKeyConstraint(["alarm_id"], ["alarms.id"], name="alarm_events_alarm_id_fkey"),
        sqlite_autoincrement=True,
    )
    op.create_index("alarm_events_alarm_id", "alarm_events", ["alarm_id"])


def _create_verdicts() -> None:
    op.create_table(
        "verdicts",
        _number(),
        _alarm(),
        sa.Column("at", Moment, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("verdict", sa.Text, nullable=False),
        sa.Column("found", sa.Text, nullable=False),
        sa.Column("failed_from", Moment),
        sa.Column("failed_until", Moment),
        sa.Column("code", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="verdicts_pkey"),
        sa.ForeignKeyConstraint(["alarm_id"], ["alarms.id"], name="verdicts_alarm_id_fkey"),
        sqlite_autoincrement=True,
    )
    op.create_index("verdicts_alarm_id", "verdicts", ["alarm_id"])


def _number() -> sa.Column[int]:
    kind = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    return sa.Column("id", kind, nullable=False)


def _alarm() -> sa.Column[int]:
    kind = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    return sa.Column("alarm_id", kind, nullable=False)
