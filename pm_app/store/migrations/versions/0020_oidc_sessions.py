"""Sessions of people whom an OpenID Connect provider has signed in."""

import sqlalchemy as sa
from alembic import op

from pm_app.store.schema.types import Moment

revision = "0020"
down_revision: str | None = "0019"


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "oidc_sessions",
        sa.Column("token_hash", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("role", sa.Text, nullable=False),
        sa.Column("csrf", sa.Text, nullable=False),
        sa.Column("created_at", Moment, nullable=False),
        sa.Column("expires_at", Moment, nullable=False),
        sa.PrimaryKeyConstraint("token_hash", name="oidc_sessions_pkey"),
    )
