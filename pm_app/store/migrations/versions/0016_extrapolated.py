"""How much of what a prediction rests on lies beyond what was learned; null of all said before."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision: str | None = "0015"


def upgrade() -> None:
    """Add the column; no row is rewritten."""
    for table in ("predictions", "prediction_history", "latest_predictions"):
        op.add_column(table, sa.Column("extrapolated", sa.Float(53)))
