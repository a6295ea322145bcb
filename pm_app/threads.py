"""Number of threads that share one piece of work: two, but one where processes share it."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

Item = TypeVar("Item")
# More gain nothing: the numbers of many chunks at once do not stay in the processor's cache.
_MOST: ContextVar[int] = ContextVar("threads", default=2)


def threads() -> int:
    """How many threads to start for large work; what comes out does not depend on it."""
    return _MOST.get()


def on_threads(work: Callable[[Item], object], items: Sequence[Item], *, least: int) -> None:
    """Do this work for every item, by several threads from so many items on."""
    if len(items) < least or threads() == 1:
        for item in items:
            work(item)
    else:
        with ThreadPoolExecutor(threads()) as pool:
            list(pool.map(work, items))


@contextmanager
def one_thread() -> Iterator[None]:
    """Inside the block work is done by the thread that asks for it, and no other."""
    token = _MOST.set(1)
    try:
        yield
    finally:
        _MOST.reset(token)
