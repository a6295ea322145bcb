"""Failure modes: of predictions, of alarms, and as people found them; null of all said before."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision: str | None = "0016"


def upgrade() -> None:
    """Add the columns; no row is rewritten."""
    for table in ("predictions", "prediction_history", "latest_predictions"):
        for name in ("mode", "mode_risks", "mode_sensors"):
            op.add_column(table, sa.Column(name, sa.Text))
    for name in ("mode", "mode_risks", "likeliest_mode"):
        op.add_column("alarms", sa.Column(name, sa.Text))
    empty = sa.text("''")
    op.add_column("verdicts", sa.Column("mode", sa.Text, nullable=False, server_default=empty))
