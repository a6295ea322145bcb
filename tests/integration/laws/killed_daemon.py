"""A daemon as a process that is stopped, continued and killed at moments that chance names."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Self

from pm_app.daemon.health import read_health
from pm_app.settings.plant import read_settings
from pm_app.times import read_clock
from pm_app.wiring import status_of

SECONDS = 300.0  # far more than anything here takes


class DoomedDaemon:
    """`pm-app run` on a plant; what it says goes to a log beside plant.toml."""

    def __init__(self, config: Path):
        self.settings = read_settings(config)
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
        with (config.parent / "daemon.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "pm_app", "run", "-c", str(config)],
                stdout=log,
                stderr=log,
                env=environment,
            )

    def live(self, rng: Random, meanwhile: Callable[[], None]) -> None:
        """A life at the end of which it is killed; now and then it is killed as it starts.

        meanwhile: what happens while it lies stopped, as on a machine that slept.
        """
        if rng.random() < 0.8:
            self._wait_until(self._is_up)
        time.sleep(rng.uniform(0.0, 0.5))
        self._process.send_signal(signal.SIGSTOP)
        meanwhile()
        self._process.send_signal(signal.SIGCONT)
        time.sleep(rng.uniform(0.0, 0.5))
        self._process.kill()
        self._process.wait(SECONDS)

    def finish(self) -> int:
        """Let it do all there is to do, and end it as it is asked to; its exit code."""
        self._wait_until(self._has_nothing_left)
        self._process.terminate()
        return self._process.wait(SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait(SECONDS)

    def _is_up(self) -> bool:
        health = read_health(self.settings.state)
        return health is not None and health.process == self._process.pid and bool(health.jobs)

    def _has_nothing_left(self) -> bool:
        backlog = status_of(self.settings, now=read_clock()).backlog
        counts = (backlog.unread_readings, backlog.unread_events, backlog.unscored)
        return self._is_up() and not any(counts)

    def _wait_until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + SECONDS
        while not condition():
            assert self._process.poll() is None, "it ended by itself: see daemon.log"
            assert time.monotonic() < deadline
            time.sleep(0.05)
