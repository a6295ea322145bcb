"""Where the open data sets lie, and the database server of the session."""

import os
from pathlib import Path

import pytest
from databases import postgresql, postgresql_copies, postgresql_server

__all__ = ["open_data", "postgresql", "postgresql_copies", "postgresql_server"]


@pytest.fixture(scope="session")
def open_data() -> Path:
    """The folder of public data sets; the test skips where it is absent."""
    default = Path(__file__).parents[2] / "shared" / "data"
    folder = Path(os.environ.get("PM_APP_TEST_DATA", default))
    if not folder.is_dir():
        pytest.skip(f"needs the public data sets; set PM_APP_TEST_DATA (looked in {folder})")
    return folder
