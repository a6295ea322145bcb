"""Numbers that only grow: in the order of commits, whatever the clocks say."""

from typing import Final

from sqlalchemy import Connection, select

from pm_app.store.schema import counters
from pm_app.store.upserts import insert_into

PREDICTION_COMMITS: Final = "predictions"


def newest(connection: Connection, name: str) -> int:
    """The newest number of this name, 0 before the first."""
    return (
        connection.execute(select(counters.c.newest).where(counters.c.name == name)).scalar() or 0
    )


def advance(connection: Connection, name: str, number: int) -> None:
    """Make this the newest number, in the transaction that uses it. Writers come one at a time."""
    statement = insert_into(connection, counters).values(name=name, newest=number)
    connection.execute(
        statement.on_conflict_do_update(index_elements=["name"], set_={"newest": number})
    )
