"""The instants that the product announces: heard, derived from its code, and struck at.

An instant has a site, the function of the product that changes something there, and a step, what
is about to happen to it.
"""

import ast
import os
import signal
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from pm_app.durable import INSTANT

PRODUCT = Path(__file__).parents[2] / "pm_app"
# They make changes for others: a site is whoever asked them to.
MAKERS = {str(PRODUCT / name) for name in ("durable.py", "store/database/connection.py")}


class Instant(NamedTuple):
    """Where and what."""

    site: str
    step: str


_listeners: list[Callable[[Instant], None]] = []


def _hook(event, arguments):
    if event == INSTANT and _listeners:
        _listeners[-1](Instant(_site(), arguments[0]))


# A hook stays for the life of its process; without listeners it does nothing.
sys.addaudithook(_hook)


@contextmanager
def listening(listener: Callable[[Instant], None]) -> Iterator[None]:
    """Every instant until the block ends goes to this listener; what it raises, happens there."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)


@contextmanager
def heard() -> Iterator[list[Instant]]:
    """All instants of the block, in order."""
    instants: list[Instant] = []
    with listening(instants.append):
        yield instants


def killing_at(number: int) -> Callable[[Instant], None]:
    """A listener that ends its process at the instant of this number, counted from 0."""
    left = number

    def listen(_: Instant) -> None:
        nonlocal left
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left -= 1

    return listen


class Failing:
    """A listener that fails the instant of this number, counted from 0, once, with this code:
    as the system does for files, in the database's words for a commit.

    struck: the instant where it did, None before.
    """

    def __init__(self, number: int, code: int) -> None:
        self._left, self._code = number, code
        self.struck: Instant | None = None

    def __call__(self, instant: Instant) -> None:
        """Count, and strike."""
        if self._left == 0:
            self.struck = instant
        self._left -= 1
        if self._left == -1:
            words = os.strerror(self._code)
            if instant.step in ("commit", "committed"):
                raise sqlite3.OperationalError(words)
            raise OSError(self._code, words)


def first_of_each(instants: list[Instant]) -> list[int]:
    """The number of the first instant of each kind, ascending."""
    first: dict[Instant, int] = {}
    for number, instant in enumerate(instants):
        first.setdefault(instant, number)
    return sorted(first.values())


def sites_in_code() -> set[str]:
    """Every function of the product that changes files or commits, read from its source."""
    found: set[str] = set()
    for path in sorted(PRODUCT.rglob("*.py")):
        if str(path) not in MAKERS:
            tree = ast.parse(path.read_text(encoding="utf-8"))
            found |= {f"{_module(path)}:{name}" for name in _changers(tree)}
    return found


def _changers(tree: ast.Module) -> Iterator[str]:
    makers = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == "pm_app.durable"
        for alias in node.names
        # They look at who may change a file and at how quick the disk is, and change none.
        if alias.name not in ("denial", "sync_seconds")
    }

    def visit(node: ast.AST, names: tuple[str, ...]) -> Iterator[str]:
        for child in ast.iter_child_nodes(node):
            inner = names
            if isinstance(child, (ast.FunctionDef, ast.ClassDef)):
                inner = (*names, child.name)
            if isinstance(child, ast.Call) and names:
                called = child.func
                if getattr(called, "id", "") in makers or getattr(called, "attr", "") == "writing":
                    yield ".".join(names)
            yield from visit(child, inner)

    return visit(tree, ())


def _site() -> str:
    frame = sys._getframe(2)
    while frame is not None:
        path = frame.f_code.co_filename
        if path.startswith(str(PRODUCT)) and path not in MAKERS:
            name = frame.f_code.co_qualname.split(".<locals>")[0]
            return f"{_module(Path(path))}:{name}"
        frame = frame.f_back
    return "elsewhere"


def _module(path: Path) -> str:
    return ".".join(path.relative_to(PRODUCT.parent).with_suffix("").parts)
