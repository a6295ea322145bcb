"""Whose database this is: one row with a name that its state folder bears as well."""

import sqlalchemy as sa
from alembic import op

from pm_app.store.schema.types import Moment

revision = "0006"
down_revision: str | None = "0005"


def upgrade() -> None:
    """Create the table, empty: the plant that opens the database fills it."""
    op.create_table(
        "plant",
        sa.Column("identity", sa.Text(), nullable=False),
        sa.Column("created_at", Moment(), nullable=False),
        sa.PrimaryKeyConstraint("identity", name="plant_pkey"),
    )
