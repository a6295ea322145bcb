"""Where the network looked, beside each prediction: text, "" for all that was said before."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision: str | None = "0001"


def upgrade() -> None:
    """Add the column; no row is rewritten."""
    for table in ("predictions", "prediction_history", "latest_predictions"):
        op.add_column(table, sa.Column("attention", sa.Text(), server_default="", nullable=False))
