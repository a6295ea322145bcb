"""The table of database dialects, by the name SQLAlchemy gives each: a new one is a row here."""

from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection
from sqlalchemy.types import TypeEngine

from pm_app.store.dialects.dialect import StoreDialect
from pm_app.store.dialects.postgresql import POSTGRESQL
from pm_app.store.dialects.sqlite import SQLITE

DIALECTS: Final[Mapping[str, StoreDialect]] = {
    "sqlite": SQLITE,
    "postgresql": POSTGRESQL,
}


def dialect_of(connection: Connection) -> StoreDialect:
    """The dialect of the database of a connection."""
    return DIALECTS[connection.dialect.name]


def insert_into(connection: Connection, table: Any) -> Any:
    """An insert that takes `on_conflict_do_...`, as the database of a connection has it."""
    return dialect_of(connection).insert(table)


# Options of tables and indexes, and types of columns, for all dialects at once: SQLAlchemy takes
# what is meant for the one it speaks.
NUMBERED: Final[Mapping[str, Any]] = {
    key: value for dialect in DIALECTS.values() for key, value in dialect.numbered.items()
}
CLUSTERED: Final[Mapping[str, Any]] = {
    key: value for dialect in DIALECTS.values() for key, value in dialect.clustered.items()
}


def partial_index(rows: ColumnElement[bool]) -> dict[str, Any]:
    """Options of an index of these rows only."""
    return {dialect.partial: rows for dialect in DIALECTS.values()}


def with_variants(
    kind: TypeEngine[Any], variants: Mapping[str, TypeEngine[Any] | None]
) -> TypeEngine[Any]:
    """A type of column, but for those dialects that have one of their own."""
    for name, variant in variants.items():
        if variant is not None:
            kind = kind.with_variant(variant, name)
    return kind
