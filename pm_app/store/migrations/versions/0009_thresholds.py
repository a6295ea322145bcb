"""From which risk on alarms are raised, as backtests set it."""

import sqlalchemy as sa
from alembic import op

from pm_app.store.schema.types import Moment

revision = "0009"
down_revision: str | None = "0008"


def upgrade() -> None:
    """Make the table."""
    number = sa.BigInteger().with_variant(sa.Integer, "sqlite")
    op.create_table(
        "thresholds",
        sa.Column("id", number, nullable=False),
        sa.Column("at", Moment, nullable=False),
        sa.Column("threshold", sa.Float(53), nullable=False),
        sa.Column("horizon_hours", sa.Float(53), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="thresholds_pkey"),
        sqlite_autoincrement=True,
    )
