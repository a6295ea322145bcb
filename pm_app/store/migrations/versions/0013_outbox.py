"""What is to be told of alarms, and to whom: written with them, so that nothing is lost."""

import sqlalchemy as sa
from alembic import op

from pm_app.store.schema.types import Moment

revision = "0013"
down_revision: str | None = "0012"


def upgrade() -> None:
    """Make the table."""
    number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "outbox",
        sa.Column("id", number, nullable=False),
        sa.Column("event_id", number, nullable=False),
        sa.Column("channel", sa.Text, nullable=False),
        sa.Column("created_at", Moment, nullable=False),
        sa.Column("due_at", Moment, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("error", sa.Text, nullable=False),
        sa.Column("done_at", Moment),
        sa.PrimaryKeyConstraint("id", name="outbox_pkey"),
        sa.ForeignKeyConstraint(["event_id"], ["alarm_events.id"], name="outbox_event_id_fkey"),
        sqlite_autoincrement=True,
    )
    op.create_index("outbox_event_id", "outbox", ["event_id", "channel"])
    waiting = sa.text("done_at IS NULL")
    op.create_index(
        "outbox_waiting", "outbox", ["due_at"], sqlite_where=waiting, postgresql_where=waiting
    )
