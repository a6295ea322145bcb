"""Sign-in attempts of the last minutes: each counted before its password is looked at.

Counted in the store, in one transaction: a hundred guesses at once, on whatever thread or server,
are counted one after the other.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import ColumnElement, Connection, delete, func, insert, or_, select

from pm_app.store.database.connection import Database
from pm_app.store.schema.users import sign_in_attempts

SPAN: Final = timedelta(minutes=5)
# A name from one client; a client, whatever the names; a name, wherever it is tried from.
MOST_OF_A_PAIR, MOST_OF_A_CLIENT, MOST_OF_A_NAME = 5, 20, 50
# Refusals beyond are not noted one by one: the log of what people did is kept for ever.
MOST_NOTED: Final = 200
_BUCKETS: Final = 2**16


@dataclass(frozen=True)
class SignInAttempt:
    """Whether a password may be looked at: now where wait_seconds is 0.

    noted: whether its refusal is worth a line in the audit log.
    """

    wait_seconds: int
    noted: bool = True


@dataclass(frozen=True, eq=False)
class SignInAttempts:
    """Attempts by name and client. People type passwords where names go: no name is kept, but
    which of 65,536 drawers it falls into.

    Methods raise StoreUnavailable when a later call may succeed.
    """

    database: Database

    def begin(self, name: str, client: str, *, at: datetime) -> SignInAttempt:
        """Count an attempt, which holds unless `succeeded` takes it back.

        client: the network it comes from.
        """
        drawer = _drawer(name)
        with self.database.reading() as connection:
            # Who floods is turned away without keeping other writers waiting.
            if wait := _wait_seconds(connection, drawer, client, at):
                return SignInAttempt(wait)
        own = sign_in_attempts.c
        with self.database.writing() as connection:
            # A clock that was set back leaves attempts of times to come.
            over = or_(own.at <= at - SPAN, own.at > at + SPAN)
            connection.execute(delete(sign_in_attempts).where(over))
            if wait := _wait_seconds(connection, drawer, client, at):
                return SignInAttempt(wait)
            connection.execute(insert(sign_in_attempts).values(at=at, drawer=drawer, client=client))
            count = connection.execute(select(func.count()).select_from(sign_in_attempts)).scalar()
        return SignInAttempt(0, noted=(count or 0) <= MOST_NOTED)

    def succeeded(self, name: str, client: str) -> None:
        """Let someone who got in begin anew; other names of the same client stay counted."""
        own = sign_in_attempts.c
        with self.database.writing() as connection:
            pair = (own.drawer == _drawer(name), own.client == client)
            connection.execute(delete(sign_in_attempts).where(*pair))


def _wait_seconds(connection: Connection, drawer: int, client: str, at: datetime) -> int:
    own = sign_in_attempts.c
    limits: tuple[tuple[int, tuple[ColumnElement[bool], ...]], ...] = (
        (MOST_OF_A_PAIR, (own.drawer == drawer, own.client == client)),
        (MOST_OF_A_CLIENT, (own.client == client,)),
        (MOST_OF_A_NAME, (own.drawer == drawer,)),
    )
    waits = [0]
    for most, alike in limits:
        recent = select(own.at).where(*alike, own.at > at - SPAN, own.at <= at + SPAN)
        oldest = connection.execute(recent.order_by(own.at.desc()).offset(most - 1).limit(1))
        begun = oldest.scalar()
        if begun is not None:
            waits.append(max(1, round((begun + SPAN - at).total_seconds())))
    return max(waits)


def _drawer(name: str) -> int:
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8], "big") % _BUCKETS
