"""Indexes for what a look asks of the ledger, and whose segments are joined: it costs as much after
years as on the first day."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision: str | None = "0006"


def upgrade() -> None:
    """Add the column and build the indexes; no row is rewritten."""
    op.add_column(
        "batches", sa.Column("settled", sa.Integer(), server_default=sa.text("0"), nullable=False)
    )
    op.drop_index("batches_unscored", table_name="batches")
    op.create_index("batches_content", "batches", ["source", "digest", "name"])
    for name, columns, rows in (
        ("unscored", ["sequence"], "scored_at IS NULL AND status = 'ingested'"),
        ("in_order", ["source", "sequence"], "status = 'ingested'"),
        ("newest", ["source", "last_time"], "status = 'ingested'"),
        ("ingested", ["source", "ingested_at", "last_time"], "status = 'ingested'"),
        ("quarantined", ["source", "reader"], "status = 'quarantined'"),
        ("unsettled", ["settled", "source", "sequence"], "status = 'ingested'"),
        ("come_again", ["source"], "status IN ('lost', 'retried')"),
    ):
        op.create_index(
            f"batches_{name}",
            "batches",
            columns,
            sqlite_where=sa.text(rows),
            postgresql_where=sa.text(rows),
        )
