"""Sessions of people whom an OpenID Connect provider has signed in; they need no account here."""

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import delete, insert, select

from pm_app.store.database.connection import Database
from pm_app.store.schema.users import oidc_sessions, users
from pm_app.store.users import SessionRow, highest_role, token_hash

# Tells these tokens from those of people with a password; no other begins like this.
_PREFIX: Final = "oidc."
_TOKEN_BYTES: Final = 32


@dataclass(frozen=True, eq=False)
class OidcSessions:
    """Who is signed in by a provider. Tokens are kept as SHA-256.

    Methods raise StoreUnavailable when a later call may succeed.
    """

    database: Database

    def open(self, name: str, *, role: str, at: datetime, lasts: timedelta) -> str:
        """Sign a browser in: the token for its cookie, fresh every time.

        role: of their groups, "" where only an account of this name has one.
        """
        token = _PREFIX + secrets.token_urlsafe(_TOKEN_BYTES)
        csrf, times = (
            secrets.token_urlsafe(_TOKEN_BYTES),
            {"created_at": at, "expires_at": at + lasts},
        )
        with self.database.writing() as connection:
            connection.execute(delete(oidc_sessions).where(oidc_sessions.c.expires_at <= at))
            row = insert(oidc_sessions).values(token_hash=token_hash(token), **times)
            connection.execute(row.values(name=name, role=role, csrf=csrf))
        return token

    def find(self, token: str, *, at: datetime) -> SessionRow | None:
        """Whose browser shows this token, with the higher role of groups and account.

        None where the token is of no session or it is over, the account of this name is disabled,
        or neither groups nor account have a role.
        """
        if not token.startswith(_PREFIX):
            return None
        own = oidc_sessions.c
        query = (
            select(own.name, own.role, users.c.role.label("account"), own.csrf, own.expires_at)
            .select_from(oidc_sessions.outerjoin(users, users.c.name == own.name))
            .where(own.token_hash == token_hash(token), own.expires_at > at)
            .where(users.c.disabled_at.is_(None))
        )
        with self.database.reading() as connection:
            found = connection.execute(query).first()
        role = "" if found is None else highest_role([found.role, found.account or ""])
        return (
            SessionRow(found.name, role, found.csrf, found.expires_at) if found and role else None
        )

    def close(self, token: str) -> None:
        """Sign a browser out."""
        if token.startswith(_PREFIX):
            own = oidc_sessions.c
            with self.database.writing() as connection:
                connection.execute(delete(oidc_sessions).where(own.token_hash == token_hash(token)))
