"""Progress of long work: what share of it is done, and in words what is done now."""

from collections.abc import Callable

Progress = Callable[[float, str], None]


def silent(done: float, text: str) -> None:
    """Progress nobody watches."""


def unwatched() -> None:
    """A beat nobody hears."""
