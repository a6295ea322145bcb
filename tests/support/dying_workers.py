"""Workers that die at an instant, told so by value: once, or each time they get there; and an
engine of one that answers while it is asked, in this process."""

import os
import signal
import sys
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path

from instants import INSTANT

from connectors.engines.local import end_with_parent


def die_bringing_back(marker: str, times: int, what: str = "") -> None:
    """Kill this process when what it brings has no name yet, up to so many times in all.

    marker: a path; a file beside it counts each death. what: part of the name it writes.
    """

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        if event != INSTANT or arguments[0] != "rename":
            return
        path = Path(str(arguments[1]))
        folder = path.parent
        brings = folder.name.startswith((".backfill-", ".trainings-"))
        if brings and what in path.name and _counted(marker, times):
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


def dying_worker(marker: str, times: int, what: str = "") -> None:
    """What a local process does first to die so."""
    end_with_parent()
    die_bringing_back(marker, times, what)


def deaths(marker: str) -> int:
    """How many there were."""
    path = Path(marker)
    return len(list(path.parent.glob(f"{path.name}.*")))


def _counted(marker: str, times: int) -> bool:
    for number in range(times):
        try:
            os.close(os.open(f"{marker}.{number}", os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            continue
        return True
    return False


class InlineEngine:
    """Does `before` with the folder of the run, then the task; EOFError is a worker's death."""

    name, lanes, width, lost = "at once", 1, 1, (EOFError,)

    def __init__(self, before: Callable[[str], object] = lambda place: None) -> None:
        self.before = before

    def open(self) -> "InlineEngine":
        return self

    def submit(self, work: Callable[[str, int], str], place: str, number: int) -> Future[str]:
        future: Future[str] = Future()
        try:
            self.before(place)
            future.set_result(work(place, number))
        except EOFError as error:
            future.set_exception(error)
        return future

    def shutdown(self, wait: bool) -> None:
        pass

    def workers(self) -> int:
        return 1
