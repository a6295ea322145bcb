"""Failure modes: of predictions, of alarms, and as people found them; null of all said before."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision: str | None = "0016"


def upgrade() -> None:
    """Add the columns; no row is rewritten."""
    for table in ("predictions", "prediction_history", "latest_predictions"):
        op.add_column(table, sa.Column("mode", sa.Text))
        op.add_column(table, sa.Column("mode_risks", sa.Text))
    op.add_column("alarms", sa.Column("mode", sa.Text))
    op.add_column("alarms", sa.Column("likeliest_mode", sa.Text))
    empty = sa.text("''")
    op.add_column("verdicts", sa.Column("mode", sa.Text, nullable=False, server_default=empty))
