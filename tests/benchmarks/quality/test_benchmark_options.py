"""Options of the benchmarks from the environment."""

import pytest
from benchmarks.quality.options import whole_numbers


def test_numbers_from_the_environment_are_checked(monkeypatch):
    monkeypatch.setenv("PM_APP_SOMETHING", "300; 0;60;0")

    assert whole_numbers("PM_APP_SOMETHING", (1,)) == (0, 60, 300)
    assert whole_numbers("PM_APP_OTHER", (2, 1)) == (1, 2)
    with pytest.raises(AssertionError, match="PM_APP_SOMETHING must be at least 1"):
        whole_numbers("PM_APP_SOMETHING", (1,), least=1)
