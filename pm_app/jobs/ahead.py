"""The next item made while the present one is worked on."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

Item = TypeVar("Item")
_END: Final = object()


def ahead(items: Iterator[Item]) -> Iterator[Item]:
    """The same items in order, each made by a thread while the one before is in use.

    Pays where making and using both leave Python's lock, as decoding and numpy do. One item
    more is held at a time. What making one raises is raised in its place; where the user ends
    early, the rest is not made, and `items`, where it can be, is closed.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="ahead") as thread:
        try:
            coming = thread.submit(next, items, _END)
            while (item := coming.result()) is not _END:
                coming = thread.submit(next, items, _END)
                yield item  # type: ignore[misc]
        finally:
            # The thread may be in the middle of one; what is read from is closed after it.
            thread.submit(getattr(items, "close", bool)).result()
