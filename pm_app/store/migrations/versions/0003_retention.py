"""Daily peaks of predictions that are kept no longer, and until when they went."""

import sqlalchemy as sa
from alembic import op

from pm_app.store.schema.types import Moment

revision = "0003"
down_revision: str | None = "0002"


def upgrade() -> None:
    """Create both tables."""
    asset = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
    op.create_table(
        "prediction_peaks",
        sa.Column("asset_id", asset, nullable=False),
        sa.Column("day", Moment, nullable=False),
        sa.Column("horizon_hours", sa.Float(53), nullable=False),
        sa.Column("cutoff", Moment, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("risk", sa.Float(53)),
        sa.Column("rul_hours", sa.Float(53)),
        sa.Column("top_sensors", sa.Text, nullable=False),
        sa.Column("model_version", sa.Integer, nullable=False),
        sa.Column("cutoffs", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("asset_id", "day", "horizon_hours", name="prediction_peaks_pkey"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "retirements",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True),
        sa.Column("day", Moment, nullable=False),
        sa.Column("rows", sa.BigInteger, nullable=False),
        sqlite_autoincrement=True,
    )
