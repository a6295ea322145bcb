"""Progress of long work: what share of it is done, and in words what is done now."""

from collections.abc import Callable

Progress = Callable[[float, str], None]


def silent(done: float, text: str) -> None:
    """Progress nobody watches."""


def unwatched() -> None:
    """A beat nobody hears."""


def part_of(progress: Progress, start: float, end: float) -> Progress:
    """Progress of a step that covers the work from `start` to `end`."""
    return lambda done, text: progress(start + (end - start) * done, text)
