"""Columns of files that are left out: of each file which, and of each column why and how often."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision: str | None = "0014"


def upgrade() -> None:
    """Add the column and make the table; of files read before, nobody knows."""
    left = sa.Column("left_columns", sa.JSON(), server_default=sa.text("'[]'"), nullable=False)
    op.add_column("batches", left)
    op.create_table(
        "left_columns",
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("cause", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("first_sequence", sa.BigInteger, nullable=False),
        sa.Column("last_sequence", sa.BigInteger, nullable=False),
        sa.Column("files", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("source", "name", "cause", name="left_columns_pkey"),
        sqlite_with_rowid=False,
    )
