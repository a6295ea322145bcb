"""Numbers for the commits of predictions, so that what is new since a look can be asked for.

The time a prediction is scored at orders nothing: clocks are set back, and several commits may
share one. What was said before has number 0.
"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision: str | None = "0011"


def upgrade() -> None:
    """Add the columns, indexes of the rows to come, and the counter; no row is rewritten."""
    for table in ("predictions", "prediction_history"):
        number = sa.Column(
            "commit_number", sa.BigInteger, server_default=sa.text("0"), nullable=False
        )
        op.add_column(table, number)
        numbered = sa.text("commit_number > 0")
        op.create_index(
            f"{table}_commit_number",
            table,
            ["commit_number"],
            sqlite_where=numbered,
            postgresql_where=numbered,
        )
    op.create_table(
        "counters",
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("newest", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("name", name="counters_pkey"),
        sqlite_with_rowid=False,
    )
