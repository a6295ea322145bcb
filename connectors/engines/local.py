"""Processes of this machine."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, CancelledError, Executor, ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing.connection import wait


def end_with_parent() -> None:
    """Let this process end once whoever started it is gone, and leave Ctrl-C to that one."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch(sentinel: int) -> None:
        wait([sentinel])
        os._exit(1)

    threading.Thread(target=watch, args=(parent.sentinel,), daemon=True).start()


def processors() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0))


@dataclass(frozen=True)
class LocalEngine:
    """So many processes, each a lane of its own: where one dies the others go on.

    They are started afresh, never forked: a fork copies the locks of threads that it leaves
    behind. prepare: a module's function that each calls first.
    """

    lanes: int
    prepare: Callable[[], None] = end_with_parent
    width: int = 1
    lost: tuple[type[BaseException], ...] = (BrokenExecutor, CancelledError)

    @property
    def name(self) -> str:
        """As it is asked for."""
        return f"local:{self.lanes}"

    def open(self) -> Executor:
        """A process."""
        context = multiprocessing.get_context("spawn")
        return ProcessPoolExecutor(1, mp_context=context, initializer=self.prepare)

    def workers(self) -> int:
        """All of them: one that dies is replaced."""
        return self.lanes
