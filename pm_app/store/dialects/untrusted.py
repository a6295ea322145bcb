"""Untrusted SQLite files: tables and columns that are ours are read, and nothing is run.

Whoever wrote one may be a stranger, and views, triggers, virtual tables and generated columns are
code.
"""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

from sqlalchemy import Connection

from pm_app.errors import TerminalError
from pm_app.store.dialects.sqlite import unchanging_address

# A virtual table runs code of its own when it is read.
_ORDINARY: Final = "type = 'table' AND sql LIKE 'CREATE TABLE%'"
_STORED_AS: Final = {"INT": "'integer'", "CHAR": "'text'", "TEXT": "'text'", "JSON": "'text'"}
_NUMBERS: Final = "'integer', 'real'"


def revision_of(saved: Path) -> str:
    """The schema that a saved database says it has. Raises TerminalError."""
    try:
        with closing(sqlite3.connect(unchanging_address(saved), uri=True)) as file:
            file.execute("PRAGMA trusted_schema = OFF").close()
            ordinary = f"SELECT 1 FROM sqlite_master WHERE name = 'alembic_version' AND {_ORDINARY}"
            if file.execute(ordinary).fetchone():
                found = file.execute("SELECT version_num FROM alembic_version").fetchone()
                if found is not None:
                    return str(found[0])
    except sqlite3.Error as error:
        raise TerminalError(f"the backup's database cannot be read: {error}") from error
    raise TerminalError("the backup's database holds no tables of pm-app")


def copy_own_tables(connection: Connection) -> tuple[str, ...]:
    """Fill the tables of a database from those of the one attached to the connection.

    Returns what else that one holds, which is left out. Raises TerminalError where a table of
    ours is not there, or not as its schema says.
    """
    run = connection.exec_driver_sql
    run("PRAGMA trusted_schema = OFF")
    run("PRAGMA defer_foreign_keys = ON")
    own = [str(name) for (name,) in run(f"SELECT name FROM main.sqlite_master WHERE {_ORDINARY}")]
    names = f"SELECT name FROM attached.sqlite_master WHERE {_ORDINARY}"
    brought = {str(name) for (name,) in run(names)}
    left_out: list[str] = []
    for table in own:
        if table not in ("alembic_version", "sqlite_sequence"):
            if table not in brought:
                raise TerminalError(f"the backup's database lacks the table {table}")
            left_out += _copy_table(connection, table)
    if "sqlite_sequence" in own:
        # What numbers were given, so that none is given twice.
        run("DELETE FROM main.sqlite_sequence")
        run(
            "INSERT INTO main.sqlite_sequence SELECT name, seq FROM attached.sqlite_sequence "
            "WHERE name IN (SELECT name FROM main.sqlite_master) AND typeof(seq) = 'integer'"
        )
    others = run(
        "SELECT type, name FROM attached.sqlite_master WHERE name NOT LIKE 'sqlite_%' "
        "AND (type, name) NOT IN (SELECT type, name FROM main.sqlite_master) ORDER BY name"
    )
    return (*left_out, *(f"{kind} {name[:100]!r}" for kind, name in others))


def _copy_table(connection: Connection, table: str) -> list[str]:
    """Copy the columns that are ours; returns the others. Raises TerminalError."""
    run = connection.exec_driver_sql
    columns = {str(row[1]): str(row[2]) for row in run(f'PRAGMA main.table_xinfo("{table}")')}
    # Of a generated column only its expression is kept, and that would be run.
    rows = run(f'PRAGMA attached.table_xinfo("{table}")').all()
    plain = {str(row[1]) for row in rows if row[6] == 0}
    if missing := sorted(set(columns) - plain):
        raise TerminalError(f"the backup's database lacks the column {table}.{missing[0]}")
    listed = ", ".join(f'"{name}"' for name in columns)
    run(f'DELETE FROM main."{table}"')
    run(f'INSERT INTO main."{table}" ({listed}) SELECT {listed} FROM attached."{table}"')
    for name, kind in columns.items():
        stored = next((kept for part, kept in _STORED_AS.items() if part in kind), _NUMBERS)
        odd = f'SELECT 1 FROM main."{table}" WHERE typeof("{name}") NOT IN ({stored}, \'null\')'
        if run(f"{odd} LIMIT 1").first():
            raise TerminalError(f"the backup's database holds no {kind} in {table}.{name}")
    others = sorted({str(row[1]) for row in rows} - set(columns))
    return [f"column {f'{table}.{name}'[:100]!r}" for name in others]
