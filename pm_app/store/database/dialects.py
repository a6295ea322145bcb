"""Inserts that know what to do with a row that is there already."""

from typing import Any

from sqlalchemy import Connection


def insert_into(connection: Connection, table: Any) -> Any:
    """An insert that takes `on_conflict_do_...`, as the database of a connection has it."""
    # Both speak the same ON CONFLICT, but SQLAlchemy keeps one construct a database.
    if connection.dialect.name == "postgresql":
        from sqlalchemy.dialects import postgresql

        return postgresql.insert(table)
    from sqlalchemy.dialects import sqlite

    return sqlite.insert(table)
