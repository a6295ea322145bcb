"""Users, sessions, API tokens and the audit log."""

import hashlib
import secrets
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import Connection, Row, delete, exc, insert, select, update

from pm_app.errors import BadSettings, TerminalError
from pm_app.store.database.connection import Database
from pm_app.store.schema.users import api_tokens, audit, oidc_sessions, sessions, users

if TYPE_CHECKING:
    from argon2 import PasswordHasher

# From who may only look to who may move models; each may what those before it may.
ROLES: Final = ("viewer", "operator", "engineer")
SHORTEST_PASSWORD, LONGEST_PASSWORD = 10, 1000
_LONGEST_NAME: Final = 100
_TOKEN_BYTES: Final = 32
# Says where a token leads when it is found in a log.
TOKEN_PREFIX: Final = "pmapp_"


@dataclass(frozen=True)
class UserRow:
    """Someone who may sign in, unless disabled."""

    name: str
    role: str
    created_at: datetime
    changed_at: datetime
    disabled_at: datetime | None


@dataclass(frozen=True)
class SessionRow:
    """A browser that is signed in. csrf has to come with everything it changes."""

    user: str
    role: str
    csrf: str
    expires_at: datetime


@dataclass(frozen=True)
class TokenRow:
    """What lets a program in, but for the token itself."""

    id: int
    name: str
    role: str
    created_at: datetime
    revoked_at: datetime | None


@dataclass(frozen=True)
class AuditRow:
    """Something that someone did, and from where."""

    id: int
    at: datetime
    actor: str
    action: str
    target: str
    details: str
    address: str


@dataclass(frozen=True, eq=False)
class Users:
    """People, sessions and tokens. Passwords are kept as argon2id hashes, tokens as SHA-256.

    Methods raise StoreUnavailable when a later call may succeed.
    """

    database: Database

    def users(self) -> list[UserRow]:
        """Everyone, by name."""
        query = select(users).order_by(users.c.name)
        with self.database.reading() as connection:
            return [_user(row) for row in connection.execute(query)]

    def any_enabled(self) -> bool:
        """Whether there is anyone who may sign in."""
        query = select(users.c.name).where(users.c.disabled_at.is_(None)).limit(1)
        with self.database.reading() as connection:
            return connection.execute(query).first() is not None

    def user(self, name: str) -> UserRow | None:
        """Someone by name, disabled or not; None where there is no such user."""
        with self.database.reading() as connection:
            found = connection.execute(select(users).where(users.c.name == name)).first()
        return None if found is None else _user(found)

    def add(self, name: str, password: str, *, role: str, at: datetime, actor: str) -> None:
        """Let someone sign in. Raises BadSettings for a name, password or role that will not do,
        or that is taken."""
        _check_name(name, "a user's name")
        _check_role(role)
        _check_password(password)
        row = {"role": role, "password_hash": self._hasher.hash(password)}
        with self._noted(actor, "add user", name, role, at) as connection:
            try:
                connection.execute(
                    insert(users).values(name=name, created_at=at, changed_at=at, **row)
                )
            except exc.IntegrityError as error:
                raise BadSettings(f"there is a user {name!r} already") from error

    def set_password(self, name: str, password: str, *, at: datetime, actor: str) -> None:
        """A new password; whoever is signed in as this user is signed out."""
        _check_password(password)
        values = {"password_hash": self._hasher.hash(password)}
        with self._noted(actor, "set password", name, "", at) as connection:
            _change(connection, name, at, values)
            connection.execute(delete(sessions).where(sessions.c.user == name))

    def set_role(self, name: str, role: str, *, at: datetime, actor: str) -> None:
        """Another role, which holds at once."""
        _check_role(role)
        with self._noted(actor, "set role", name, role, at) as connection:
            _change(connection, name, at, {"role": role})

    def set_disabled(self, name: str, disabled: bool, *, at: datetime, actor: str) -> None:
        """Let someone in no more, and sign them out; or let them in again."""
        action = "disable user" if disabled else "enable user"
        with self._noted(actor, action, name, "", at) as connection:
            _change(connection, name, at, {"disabled_at": at if disabled else None})
            if disabled:
                for own in (sessions.c.user, oidc_sessions.c.name):
                    connection.execute(delete(own.table).where(own == name))

    def check_password(self, name: str, password: str) -> UserRow | None:
        """Who this is; None where name and password do not belong together.

        Takes as long for a name that there is not.
        """
        with self.database.reading() as connection:
            found = connection.execute(select(users).where(users.c.name == name)).first()
        stored = self._no_password_hash if found is None else found.password_hash
        right = self._verify(stored, password)
        if found is None or found.disabled_at is not None or not right:
            return None
        return _user(found)

    def open_session(self, user: str, *, at: datetime, lasts: timedelta) -> tuple[str, SessionRow]:
        """Sign a browser in: the token for its cookie, fresh every time, and the session."""
        token, csrf = secrets.token_urlsafe(_TOKEN_BYTES), secrets.token_urlsafe(_TOKEN_BYTES)
        row = {"user": user, "csrf": csrf, "created_at": at, "expires_at": at + lasts}
        with self.database.writing() as connection:
            connection.execute(delete(sessions).where(sessions.c.expires_at <= at))
            connection.execute(insert(sessions).values(token_hash=token_hash(token), **row))
        found = self.session(token, at=at)
        if found is None:
            raise TerminalError(f"{user!r} may not sign in")
        return token, found

    def session(self, token: str, *, at: datetime) -> SessionRow | None:
        """Whose browser shows this token; None where it is unknown, over, or the user is."""
        query = (
            select(sessions.c.user, users.c.role, sessions.c.csrf, sessions.c.expires_at)
            .join_from(sessions, users)
            .where(sessions.c.token_hash == token_hash(token), sessions.c.expires_at > at)
            .where(users.c.disabled_at.is_(None))
        )
        with self.database.reading() as connection:
            found = connection.execute(query).first()
        return None if found is None else SessionRow(*found)

    def close_session(self, token: str) -> None:
        """Sign a browser out."""
        with self.database.writing() as connection:
            connection.execute(delete(sessions).where(sessions.c.token_hash == token_hash(token)))

    def tokens(self) -> list[TokenRow]:
        """What lets programs in, by name."""
        own = api_tokens.c
        query = select(own.id, own.name, own.role, own.created_at, own.revoked_at)
        with self.database.reading() as connection:
            return [TokenRow(*row) for row in connection.execute(query.order_by(own.name))]

    def add_token(self, name: str, *, role: str, at: datetime, actor: str) -> str:
        """A token for a program; it is shown this once. Raises BadSettings as `add`."""
        _check_name(name, "a token's name")
        _check_role(role)
        token = TOKEN_PREFIX + secrets.token_urlsafe(_TOKEN_BYTES)
        with self._noted(actor, "add token", name, role, at) as connection:
            try:
                connection.execute(
                    insert(api_tokens).values(
                        name=name, role=role, token_hash=token_hash(token), created_at=at
                    )
                )
            except exc.IntegrityError as error:
                raise BadSettings(f"there is a token {name!r} already") from error
        return token

    def revoke_token(self, name: str, *, at: datetime, actor: str) -> None:
        """Let the program in no more. Raises BadSettings where there is no such token."""
        own = api_tokens.c
        with self._noted(actor, "revoke token", name, "", at) as connection:
            done = connection.execute(
                update(api_tokens)
                .where(own.name == name, own.revoked_at.is_(None))
                .values(revoked_at=at)
            )
            if not done.rowcount:
                raise BadSettings(f"there is no token {name!r} that lets anyone in")

    def check_token(self, token: str) -> TokenRow | None:
        """Which program shows this token; None where it lets no one in."""
        own = api_tokens.c
        query = select(own.id, own.name, own.role, own.created_at, own.revoked_at)
        query = query.where(own.token_hash == token_hash(token), own.revoked_at.is_(None))
        with self.database.reading() as connection:
            found = connection.execute(query).first()
        return None if found is None else TokenRow(*found)

    def note(
        self,
        actor: str,
        action: str,
        target: str,
        *,
        at: datetime,
        details: str = "",
        address: str = "",
    ) -> None:
        """Keep who did what, for ever."""
        with self.database.writing() as connection:
            note(connection, Actor(actor, address), action, target, at=at, details=details)

    def audit(self, *, limit: int = 1000) -> list[AuditRow]:
        """What was done, newest first."""
        query = select(audit).order_by(audit.c.id.desc()).limit(limit)
        with self.database.reading() as connection:
            return [AuditRow(**row._asdict()) for row in connection.execute(query)]

    @contextmanager
    def _noted(
        self, actor: str, action: str, target: str, details: str, at: datetime
    ) -> Iterator[Connection]:
        """A transaction that changes something, and says who did it."""
        with self.database.writing() as connection:
            yield connection
            note(connection, Actor(actor), action, target, at=at, details=details)

    @cached_property
    def _hasher(self) -> "PasswordHasher":
        """Only the pages need it, and the scorer has no memory to spare."""
        try:
            from argon2 import PasswordHasher
        except ImportError as error:
            raise BadSettings("users need argon2: pip install 'pm-app[web]'") from error
        return PasswordHasher()

    @cached_property
    def _no_password_hash(self) -> str:
        """The hash of a password that nobody has."""
        return self._hasher.hash(secrets.token_urlsafe(_TOKEN_BYTES))

    def _verify(self, stored: str, password: str) -> bool:
        if len(password) > LONGEST_PASSWORD:
            return False
        from argon2.exceptions import InvalidHashError, VerificationError

        try:
            return self._hasher.verify(stored, password)
        except (VerificationError, InvalidHashError):
            return False


def may(role: str, needed: str) -> bool:
    """Whether a role includes another."""
    return ROLES.index(role) >= ROLES.index(needed)


def highest_role(roles: Iterable[str]) -> str:
    """The one that includes the others, "" where there is none."""
    return max((role for role in roles if role), key=ROLES.index, default="")


def _user(row: Row[Any]) -> UserRow:
    fields = row._asdict()
    fields.pop("password_hash")
    return UserRow(**fields)


def _change(connection: Connection, name: str, at: datetime, values: Mapping[str, object]) -> None:
    done = connection.execute(
        update(users).where(users.c.name == name).values(changed_at=at, **values)
    )
    if not done.rowcount:
        names = [row.name for row in connection.execute(select(users.c.name).limit(10))]
        raise BadSettings(f"there is no user {name!r}; there are: {', '.join(names) or 'none'}")


def token_hash(token: str) -> str:
    """SHA-256 of a token. It is as long as a key: nothing to be guessed, so no slow hash."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def _check_name(name: str, what: str) -> None:
    if not name.isprintable() or not name.strip() or len(name) > _LONGEST_NAME:
        raise BadSettings(
            f"{what} needs 1 to {_LONGEST_NAME} printable characters, got {name[:_LONGEST_NAME]!r}"
        )


def _check_role(role: str) -> None:
    if role not in ROLES:
        raise BadSettings(f"a role is one of {', '.join(ROLES)}, got {role!r}")


def _check_password(password: str) -> None:
    # The password itself is never told.
    if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
        raise BadSettings(
            f"a password needs {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters, "
            f"got {len(password)}"
        )


@dataclass(frozen=True)
class Actor:
    """Who does something: a name, and the network address it came from, "" for a terminal."""

    name: str
    address: str = ""


def note(
    connection: Connection,
    actor: Actor,
    action: str,
    target: str,
    *,
    at: datetime,
    details: str = "",
) -> None:
    """Keep who did what, if the transaction commits."""
    row = {"actor": actor.name, "address": actor.address, "action": action, "target": target}
    connection.execute(insert(audit).values(at=at, details=details, **row))
