"""By which settings a file was read: one that they refused is taken again under others."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision: str | None = "0004"


def upgrade() -> None:
    """Add the column; of files read before, nobody knows by which."""
    op.add_column("batches", sa.Column("reader", sa.Text(), server_default="", nullable=False))
