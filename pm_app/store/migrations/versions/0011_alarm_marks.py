"""Where looks at risks go on, so that a long time in which nothing decides is read once."""

import sqlalchemy as sa
from alembic import op

from pm_app.store.schema.types import Moment

revision = "0011"
down_revision: str | None = "0010"


def upgrade() -> None:
    """Create the table."""
    asset = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
    op.create_table(
        "alarm_marks",
        sa.Column("asset_id", asset, nullable=False),
        sa.Column("horizon_hours", sa.Float(53), nullable=False),
        sa.Column("threshold", sa.Float(53), nullable=False),
        sa.Column("clear", sa.Float(53), nullable=False),
        sa.Column("persistence", sa.Integer, nullable=False),
        sa.Column("since", Moment, nullable=False),
        sa.Column("cutoff", Moment, nullable=False),
        sa.Column("run", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("asset_id", name="alarm_marks_pkey"),
        sqlite_with_rowid=False,
    )
