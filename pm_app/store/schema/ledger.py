"""Tables of the ledger: delivered files, and the assets they held.

Every question a look asks has an index, so that it costs as much after years as on the first day.
"""

from typing import Any, Final

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    ColumnElement,
    Index,
    Integer,
    PrimaryKeyConstraint,
    Table,
    Text,
    literal,
    text,
)

from pm_app.store.dialects.table import CLUSTERED, NUMBERED, partial_index
from pm_app.store.schema.types import NUMBER, Moment, metadata

batches = Table(
    "batches",
    metadata,
    Column("sequence", NUMBER, primary_key=True),
    Column("source", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("modified_ns", BigInteger, nullable=False),
    Column("rows", BigInteger, nullable=False),
    Column("rejected", BigInteger, nullable=False),
    Column("status", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("first_time", Moment),
    Column("last_time", Moment),
    Column("segments", JSON, nullable=False),
    Column("ingested_at", Moment, nullable=False),
    Column("scored_at", Moment),
    Column("reader", Text, nullable=False, server_default=text("''")),
    Column("settled", Integer, nullable=False, server_default=text("0")),
    Column("left_columns", JSON, nullable=False, server_default=text("'[]'")),
    **NUMBERED,
)


def _has_status(*statuses: str) -> ColumnElement[bool]:
    # Written out: a database takes an index of some rows only where it sees that it may.
    written = [literal(status, literal_execute=True) for status in statuses]
    return batches.c.status == written[0] if len(written) == 1 else batches.c.status.in_(written)


INGESTED: Final = _has_status("ingested")
QUARANTINED: Final = _has_status("quarantined")
UNSCORED: Final = batches.c.scored_at.is_(None) & INGESTED
UNSETTLED: Final = INGESTED & (batches.c.settled == 0) & (batches.c.source == "readings")
# Rows that bring their content first: any other of the same digest is a duplicate.
CARRY: Final = _has_status("ingested", "quarantined")
# Rows that stand for no file any more: the same one is read again.
MAY_COME_AGAIN: Final = _has_status("lost", "retried")


def _index(
    name: str, rows: ColumnElement[bool], *columns: Column[Any], unique: bool = False
) -> None:
    Index(name, *columns, unique=unique, **partial_index(rows))


_index("batches_one_digest", CARRY, batches.c.source, batches.c.digest, unique=True)
Index("batches_content", batches.c.source, batches.c.digest, batches.c.name)
_index("batches_unscored", UNSCORED, batches.c.sequence)
_index("batches_in_order", INGESTED, batches.c.source, batches.c.sequence)
_index("batches_newest", INGESTED, batches.c.source, batches.c.last_time)
_index("batches_ingested", INGESTED, batches.c.source, batches.c.ingested_at, batches.c.last_time)
_index("batches_quarantined", QUARANTINED, batches.c.source, batches.c.reader)
_index("batches_unsettled", INGESTED, batches.c.settled, batches.c.source, batches.c.sequence)
_index("batches_come_again", MAY_COME_AGAIN, batches.c.source)

assets = Table(
    "assets",
    metadata,
    Column("asset_id", Text, primary_key=True),
    Column("first_time", Moment, nullable=False),
    Column("last_time", Moment, nullable=False),
    **CLUSTERED,
)

# A row a column and cause, however many files come.
left_columns = Table(
    "left_columns",
    metadata,
    Column("source", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("cause", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("first_sequence", BigInteger, nullable=False),
    Column("last_sequence", BigInteger, nullable=False),
    Column("files", BigInteger, nullable=False),
    PrimaryKeyConstraint("source", "name", "cause"),
    **CLUSTERED,
)
