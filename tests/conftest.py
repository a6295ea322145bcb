"""Where the open data sets lie, the session's database server, and who needs a server."""

import gc
import os
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import argon2
import hypothesis
import pytest
from databases import postgresql, postgresql_copies, postgresql_server
from sqlalchemy import Engine, create_engine
from sqlalchemy.util import LRUCache

from pm_app.learning.pool import forest
from pm_app.store.dialects import sqlite

# Fixtures that start a server, and the parameter that asks for one by name.
SERVERS = {"postgresql_server", "browser", "dask_cluster"}
POSTGRESQL = "postgresql"
# Many times what all folders of a session hold.
MEMORY, MEMORY_BYTES = Path("/dev/shm"), 4 * 2**30

__all__ = ["open_data", "postgresql", "postgresql_copies", "postgresql_server"]


def pytest_configure(config: pytest.Config) -> None:
    """Folders of tests lie in memory where there is room; benchmarks wait for the disk.

    No property fails for the time it takes: a machine may be busy.
    """
    if "CI" not in os.environ:  # hypothesis has a profile of its own for that
        slow = [hypothesis.HealthCheck.too_slow]
        hypothesis.settings.register_profile("busy", deadline=None, suppress_health_check=slow)
        hypothesis.settings.load_profile("busy")
    measures = "not benchmark" not in config.getoption("markexpr")
    if not measures and MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > MEMORY_BYTES:
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY))


@pytest.fixture(scope="session")
def open_data() -> Path:
    """The folder of public data sets; the test skips where it is absent."""
    default = Path(__file__).parents[2] / "shared" / "data"
    folder = Path(os.environ.get("PM_APP_TEST_DATA", default))
    if not folder.is_dir():
        pytest.skip(f"needs the public data sets; set PM_APP_TEST_DATA (looked in {folder})")
    return folder


@pytest.fixture(scope="session", autouse=True)
def quick_passwords() -> Iterator[None]:
    """Passwords are hashed with little work; what they cost in a plant, the store's tests ask."""
    quick = partial(argon2.PasswordHasher, time_cost=1, memory_cost=8, parallelism=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(argon2, "PasswordHasher", quick)
        yield


@pytest.fixture(scope="session", autouse=True)
def quick_forests() -> Iterator[None]:
    """Forests of few rows have no more trees than others; what more are worth, the pool's tests
    ask."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(forest, "MOST_TIMES", 1)
        yield


@pytest.fixture(scope="session", autouse=True)
def statements_compiled_once() -> Iterator[None]:
    """SQL is put into words once a session, where each of its thousands of databases would."""
    words: LRUCache[object, object] = LRUCache(2000)
    first = create_engine("sqlite://")
    first.connect().close()

    def create(*args: object, **options: object) -> Engine:
        engine = create_engine(*args, **options)
        # The words are kept by dialect.
        engine.dialect = first.dialect
        engine.update_execution_options(compiled_cache=words)
        return engine

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sqlite, "create_engine", create)
        yield
    first.dispose()


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Nothing that is imported and collected goes again: no look for garbage passes over it."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark `server` whatever starts a server; what is benchmark or slow has its own time."""
    for item in items:
        apart = any(item.get_closest_marker(name) for name in ("benchmark", "slow"))
        if not apart and _needs_server(item):
            item.add_marker(pytest.mark.server)


def _needs_server(item: pytest.Item) -> bool:
    callspec = getattr(item, "callspec", None)
    parameters = callspec.params.values() if callspec else ()
    asked = any(isinstance(value, str) and value == POSTGRESQL for value in parameters)
    return asked or not SERVERS.isdisjoint(getattr(item, "fixturenames", ()))
