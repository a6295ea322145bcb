"""Dispatch of tasks to the workers of an engine; a task whose worker dies is tried again."""

import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import (
    FIRST_COMPLETED,
    BrokenExecutor,
    Executor,
    Future,
    ThreadPoolExecutor,
    wait,
)
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pm_app.errors import TerminalError, TransientError
from pm_app.ports import Engine

# A worker that dies each time it meets a task dies of it.
ATTEMPTS: Final = 3
LOOK_SECONDS: Final = 5.0
PATIENCE_SECONDS: Final = 60.0
GRACE_SECONDS: Final = 30.0


@dataclass(frozen=True)
class Tasks:
    """Tasks of one run: `work(folder, number)` of each number.

    work: a module's function, which workers find by its name. describe: a task in messages.
    """

    work: Callable[[str, int], str]
    folder: Path
    numbers: Sequence[int]
    describe: Callable[[int], str]


def dispatch(
    engine: Engine, tasks: Tasks, *, beat: Callable[[], None], ahead: int = 0
) -> Iterator[tuple[int, str]]:
    """What comes of each task, as they end.

    A task whose worker is lost is done again, up to ATTEMPTS times. beat is called while
    waiting. ahead: how many tasks are laid beside each that is worked at, once all lanes are
    busy: where tasks are short, no lane then waits for whoever asks.
    Raises TerminalError where a task has lost that many workers, TransientError where no worker
    is left for PATIENCE_SECONDS, and what `tasks.work` raises.
    """
    lanes = _Lanes(engine, tasks, engine.width * (1 + ahead))
    waiting, lost = deque(tasks.numbers), Counter[int]()
    try:
        while waiting or lanes.running:
            lanes.fill(waiting)
            ended = lanes.wait_for_some(beat)
            # Workers go on while whoever asked deals with what came.
            lanes.fill(waiting)
            for number, future in ended:
                try:
                    yield number, future.result()
                except engine.lost as error:
                    lost[number] += future not in lanes.behind
                    if lost[number] >= ATTEMPTS:
                        raise TerminalError(
                            f"{engine.name}: {tasks.describe(number)} lost its worker {ATTEMPTS} "
                            f"times, most likely because memory ran out; the rest is kept ({error})"
                        ) from error
                    waiting.append(number)
    finally:
        lanes.close()


@dataclass(frozen=True)
class _Submitted:
    """Which task runs, or waits, on which lane's executor."""

    task: int
    lane: int
    executor: Executor


class _Lanes:
    """Executors, and which task runs on which."""

    def __init__(self, engine: Engine, tasks: Tasks, depth: int) -> None:
        self._engine, self._tasks, self._depth = engine, tasks, depth
        self._executors: list[Executor | None] = [None] * engine.lanes
        self._seen = time.monotonic()
        self.running: dict[Future[str], _Submitted] = {}
        # Lost with another task that was before them in a lane.
        self.behind: set[Future[str]] = set()

    def fill(self, waiting: deque[int]) -> None:
        """Give every lane as much as it takes; what has least is given first."""
        busy = Counter(given.lane for given in self.running.values())
        while waiting:
            lane = min(range(self._engine.lanes), key=lambda lane: busy[lane])
            if busy[lane] >= self._depth:
                return
            self._submit(lane, waiting.popleft())
            busy[lane] += 1

    def _submit(self, lane: int, task: int) -> None:
        work, folder = self._tasks.work, str(self._tasks.folder)
        try:
            future = self._opened(lane).submit(work, folder, task)
        except BrokenExecutor:
            # It broke with nothing on it.
            self._drop(lane)
            future = self._opened(lane).submit(work, folder, task)
        self.running[future] = _Submitted(task, lane, self._opened(lane))

    def wait_for_some(self, beat: Callable[[], None]) -> list[tuple[int, Future[str]]]:
        """Tasks that have ended, their lanes free again; none where it takes long."""
        if not self.running:
            return []
        ended, _ = wait(self.running, LOOK_SECONDS, FIRST_COMPLETED)
        beat()
        if not ended:
            self._require_workers()
            return []
        self._seen = time.monotonic()
        # In the order they were given: what breaks an executor is the first that it had.
        found = [(future, given) for future, given in self.running.items() if future in ended]
        for future, given in found:
            self.running.pop(future, None)
            if not future.cancelled() and isinstance(future.exception(), BrokenExecutor):
                self._give_up(future, given)
        return [(given.task, future) for future, given in found]

    def _give_up(self, future: Future[str], given: _Submitted) -> None:
        """Let go of a broken executor; what waited behind the first task lost is not to blame."""
        if future not in self.behind:
            same = (each for each, of in self.running.items() if of.executor is given.executor)
            self.behind.update(same)
        if self._executors[given.lane] is given.executor:
            self._drop(given.lane)

    def close(self) -> None:
        """Let go of all lanes, once what still runs has ended, or after GRACE_SECONDS."""
        executors = [executor for executor in self._executors if executor is not None]
        self._executors = [None] * len(self._executors)
        idle = not self.running
        # A process takes half a second to end: all do at once.
        with ThreadPoolExecutor(max(len(executors), 1)) as threads:
            list(threads.map(lambda executor: executor.shutdown(wait=idle), executors))
        wait(self.running, GRACE_SECONDS)

    def _opened(self, lane: int) -> Executor:
        executor = self._executors[lane] or self._engine.open()
        self._executors[lane] = executor
        return executor

    def _drop(self, lane: int) -> None:
        executor, self._executors[lane] = self._executors[lane], None
        if executor is not None:
            executor.shutdown(wait=False)

    def _require_workers(self) -> None:
        if self._engine.workers() > 0:
            self._seen = time.monotonic()
        elif time.monotonic() - self._seen > PATIENCE_SECONDS:
            raise TransientError(
                f"{self._engine.name}: no worker is left for {PATIENCE_SECONDS:.0f} s; what was "
                "done by then is kept"
            )
