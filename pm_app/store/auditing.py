"""Who did what: one row with every change that a person makes, in the same transaction."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, insert

from pm_app.store.user_tables import audit


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
