"""`pm-app record` in this process, and in one of its own."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from recorders.brokers import wait_until

from pm_app.cli.act.record import run_recorders
from pm_app.jobs.record.health import read_recorder_health, recorder_folder
from pm_app.settings.plant import read_settings

ROOT = Path(__file__).parents[3]


class Running:
    """`pm-app record` in this process, until the block ends."""

    def __init__(self, config):
        self.settings, self.stop = read_settings(config), threading.Event()
        self.folder = recorder_folder(self.settings.state, "line")
        self.alive = None
        self.thread = threading.Thread(target=self.run)

    def run(self):
        self.alive = run_recorders(self.settings, ["line"], stop=self.stop)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join(30)

    @property
    def health(self):
        return read_recorder_health(self.folder)

    def wait_for(self, done, what):
        wait_until(lambda: self.health is not None and done(self.health), what)


@contextmanager
def recorder_processes() -> Iterator[Callable[..., "subprocess.Popen[bytes]"]]:
    """Starts `pm-app record` in processes of their own, which are gone when the block ends.

    names: which recorders, by default "line".
    """
    started = []

    def start(config, names=("line",)):
        command = [sys.executable, "-m", "pm_app", "record", *names, "-c", str(config)]
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        started.append(subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL))
        return started[-1]

    try:
        yield start
    finally:
        for process in started:
            process.kill()
            process.wait()
