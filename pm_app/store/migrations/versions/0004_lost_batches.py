"""A file whose batch was lost may come again: only what is kept or refused is unique."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision: str | None = "0003"


def upgrade() -> None:
    """Build the index anew; no row is rewritten."""
    counts = sa.text("status IN ('ingested', 'quarantined')")
    op.drop_index("batches_one_digest", table_name="batches")
    op.create_index(
        "batches_one_digest",
        "batches",
        ["source", "digest"],
        unique=True,
        sqlite_where=counts,
        postgresql_where=counts,
    )
