"""Attempts to sign in: counted where all threads and servers of the pages see them."""

import sqlalchemy as sa
from alembic import op

from pm_app.store.schema.types import Moment

revision = "0014"
down_revision: str | None = "0013"


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "sign_in_attempts",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("at", Moment, nullable=False),
        sa.Column("drawer", sa.Integer, nullable=False),
        sa.Column("client", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="sign_in_attempts_pkey"),
        sqlite_autoincrement=True,
    )
    op.create_index("sign_in_attempts_at", "sign_in_attempts", ["at"])
