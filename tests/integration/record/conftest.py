"""Recorders in processes of their own."""

import pytest
from recorders.running_recorders import recorder_processes


@pytest.fixture
def start_process():
    """Starts `pm-app record` on a plant.toml; what still runs is killed with the test."""
    with recorder_processes() as start:
        yield start
