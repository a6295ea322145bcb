"""Processes of this machine."""

import ctypes
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, CancelledError, Executor, ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing.connection import wait

# Of glibc's malloc.h.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3


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


def begin_working() -> None:
    """What a process that works for another does first."""
    end_with_parent()
    keep_freed_memory()


def keep_freed_memory() -> None:
    """Let blocks up to 32 MB stay with this process once they are freed, 64 MB of them in all.

    glibc gives them back at once, and the kernel zeroes every page of the next one: a tenth of a
    worker's time, and more where two work at once. Another C library is left as it is.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_MMAP_THRESHOLD, 32 << 20)
        mallopt(_TRIM_THRESHOLD, 64 << 20)


@dataclass(frozen=True)
class LocalEngine:
    """So many processes, each a lane of its own: where one dies the others go on.

    They are started afresh, never forked: a fork copies the locks of threads that it leaves
    behind. prepare: a module's function that each calls first.
    """

    lanes: int
    prepare: Callable[[], None] = begin_working
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
