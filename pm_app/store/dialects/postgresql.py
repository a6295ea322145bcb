"""PostgreSQL: a server, for databases on another machine or of several readers elsewhere."""

from collections.abc import Iterable, Sequence
from datetime import UTC
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import (
    ARRAY,
    TIMESTAMP,
    URL,
    Connection,
    Engine,
    Text,
    any_,
    create_engine,
    literal,
    text,
)

from pm_app.errors import BadSettings
from pm_app.store.dialects.dialect import ConnectionOptions, DatabaseRights, StoreDialect

_CONNECT_SECONDS: Final = 10
# A server that is gone without a word (power, cable, firewall) is noticed within a minute or so,
# not after the two hours of the system's own keepalives. Settings of libpq; an address may say
# otherwise.
_NOTICE: Final = {
    "connect_timeout": str(_CONNECT_SECONDS),
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
    "tcp_user_timeout": "60000",
    "application_name": "pm-app",
}
# What a commit has confirmed is on the server's disk, and no connection that a dead process left
# holds the writers' lock for long.
_SESSION: Final = (
    "-c timezone=UTC -c synchronous_commit=on -c idle_in_transaction_session_timeout=600s"
)
# One writer at a time, as SQLite has it: any number will do that others are unlikely to use.
_WRITER_LOCK: Final = 0x706D_6170_70
_DRIVER: Final = "postgresql+psycopg"


_DENIED: Final = """
SELECT string_agg(t.table_name, ', ' ORDER BY t.table_name) FROM information_schema.tables t
WHERE t.table_schema = current_schema() AND t.table_type = 'BASE TABLE'
AND NOT (SELECT bool_and(has_table_privilege(format('%I.%I', t.table_schema, t.table_name), r))
    FROM unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS r)
"""


def _rights(connection: Connection, _name: str) -> DatabaseRights:
    """Those of the role on the tables of its schema."""
    number = ".".join(map(str, connection.dialect.server_version_info or ()))
    size = connection.execute(text("SELECT pg_database_size(current_database())")).scalar()
    tables = connection.execute(text(_DENIED)).scalar()
    denied = f"this user may not read and write {tables}" if tables else ""
    return DatabaseRights(f"PostgreSQL {number}", denied, int(size or 0))


def _engine(address: URL, options: ConnectionOptions) -> tuple[Engine, str]:
    """An engine whose connections are looked at before they are used again."""
    session = f"{_SESSION} -c lock_timeout={1000 * options.wait_seconds:.0f}ms"
    if options.read_only:
        session += " -c default_transaction_read_only=on"
    # Settings of the address go last, so that they win.
    given = str(address.query.get("options", ""))
    address = address.update_query_dict({"options": f"{session} {given}".strip()})
    absent = {key: value for key, value in _NOTICE.items() if key not in address.query}
    address = address.update_query_dict(absent)
    try:
        engine = create_engine(address, pool_pre_ping=True, hide_parameters=True)
    except ImportError as error:
        raise BadSettings(
            "store.url names PostgreSQL, which needs the driver psycopg: "
            "pip install 'pm-app[postgresql]'"
        ) from error
    return engine, address.set(query={}).render_as_string(hide_password=True)


def _begin_reading(connection: Connection) -> None:
    """READ COMMITTED, the default, sees another state with each statement."""
    connection.execution_options(isolation_level="REPEATABLE READ")


def _lock_writers(connection: Connection) -> None:
    """An advisory lock, which the transaction's end gives back."""
    connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_WRITER_LOCK})")


def _insert(table: Any) -> Any:
    from sqlalchemy.dialects import postgresql

    return postgresql.insert(table)


def _stored_moments(nanoseconds: NDArray[np.int64]) -> list[object]:
    instants = (nanoseconds // 1000).astype("datetime64[us]")
    return [moment.replace(tzinfo=UTC) for moment in instants.tolist()]


def _insert_rows(
    connection: Connection,
    table: str,
    columns: Sequence[str],
    rows: Iterable[tuple[object, ...]],
) -> None:
    """COPY, several times as fast as INSERT."""
    cursor = connection.connection.cursor()
    statement = f"COPY {table} ({', '.join(columns)}) FROM STDIN"
    with cursor, cursor.copy(statement) as copy:  # type: ignore[attr-defined]  # psycopg's own
        for row in rows:
            copy.write_row(row)


def _analyze(connection: Connection, table: str) -> None:
    """Autovacuum never sees a temporary table."""
    connection.execute(text(f"ANALYZE {table}"))


def _count_on_from(connection: Connection, table: str, column: str, newest: int) -> None:
    """The sequence of a column does not follow numbers that were inserted."""
    place = f"pg_get_serial_sequence('{table}', '{column}')"
    connection.execute(text(f"SELECT setval({place}, {newest})"))


POSTGRESQL: Final = StoreDialect(
    example="postgresql+psycopg://user@host/database",
    drivers=dict.fromkeys(("postgresql", _DRIVER), _DRIVER),
    file=None,
    number_type=None,
    # By code points, whatever the server's own collation is.
    asset_type=Text(collation="C"),
    moment_type=TIMESTAMP(timezone=True),
    # Sequences never give a number twice, and tables are heaps.
    numbered={},
    clustered={},
    partial="postgresql_where",
    engine=_engine,
    rights=_rights,
    begin_reading=_begin_reading,
    lock_writers=_lock_writers,
    insert=_insert,
    # psycopg takes and gives datetimes.
    stored_moment=lambda moment: moment,
    stored_moments=_stored_moments,
    arrow_moment=lambda column: column,
    among=lambda column, names: column == any_(literal(list(names), ARRAY(Text))),
    insert_rows=_insert_rows,
    analyze=_analyze,
    # The planner knows the sizes.
    keep_join_order=lambda join: join,
    count_on_from=_count_on_from,
)
