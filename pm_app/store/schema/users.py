"""People who may sign in, what lets programs in, and who did what."""

from sqlalchemy import Column, ForeignKey, Integer, Table, Text

from pm_app.store.dialects.table import NUMBERED
from pm_app.store.schema.types import NUMBER, Moment, metadata

users = Table(
    "users",
    metadata,
    Column("name", Text, primary_key=True),
    Column("role", Text, nullable=False),
    Column("password_hash", Text, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("changed_at", Moment, nullable=False),
    Column("disabled_at", Moment),
)

# What a browser shows is kept as its hash only: who reads the table cannot sign in with it.
sessions = Table(
    "sessions",
    metadata,
    Column("token_hash", Text, primary_key=True),
    Column("user", Text, ForeignKey("users.name"), nullable=False, index=True),
    Column("csrf", Text, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("expires_at", Moment, nullable=False),
)

# Of people whom a provider signs in: most have no row in users. role is that of their groups.
oidc_sessions = Table(
    "oidc_sessions",
    metadata,
    Column("token_hash", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("csrf", Text, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("expires_at", Moment, nullable=False),
)

api_tokens = Table(
    "api_tokens",
    metadata,
    Column("id", NUMBER, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("role", Text, nullable=False),
    Column("token_hash", Text, nullable=False, unique=True),
    Column("created_at", Moment, nullable=False),
    Column("revoked_at", Moment),
    **NUMBERED,
)

# Of the last minutes: more than so many are not looked at.
sign_in_attempts = Table(
    "sign_in_attempts",
    metadata,
    Column("id", NUMBER, primary_key=True),
    Column("at", Moment, nullable=False, index=True),
    Column("drawer", Integer, nullable=False),
    Column("client", Text, nullable=False),
    **NUMBERED,
)

# Rows are only ever added.
audit = Table(
    "audit",
    metadata,
    Column("id", NUMBER, primary_key=True),
    Column("at", Moment, nullable=False, index=True),
    Column("actor", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("target", Text, nullable=False),
    Column("details", Text, nullable=False),
    Column("address", Text, nullable=False),
    **NUMBERED,
)
