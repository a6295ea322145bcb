"""`pm-app record`: recorders of brokers and servers, in a process of their own."""

import os
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated

import typer

from pm_app.cli.options import PLANT, PlantOption
from pm_app.cli.output import start_log
from pm_app.errors import BadSettings
from pm_app.settings.plant import Settings, read_settings

if TYPE_CHECKING:
    from pm_app.jobs.record.run import Recorder

# A turn takes a second at most, a file of readings a few, a server's history some more.
PATIENCE_SECONDS = 120.0
PING_SECONDS = 10.0


def record(
    name: Annotated[
        str | None,
        typer.Argument(metavar="[NAME]", help="One of [recorders.NAME]; default: all of them."),
    ] = None,
    config: PlantOption = PLANT,
) -> None:
    """Recorders: values from MQTT or OPC UA into files of readings, until SIGTERM."""
    settings = read_settings(config)
    if not settings.recorders:
        raise BadSettings(f"{config} names no recorder: a table [recorders.NAME] does")
    if name is not None and name not in settings.recorders:
        raise BadSettings(f"needed one of {[*settings.recorders]}, got {name!r}")
    start_log(settings.log)
    if not run_recorders(settings, [name] if name else [*settings.recorders]):
        # A recorder that hangs would keep the process from ending, and so from a new start.
        sys.stderr.flush()
        os._exit(1)


def run_recorders(
    settings: Settings, names: Sequence[str], *, stop: threading.Event | None = None
) -> bool:
    """Run these recorders until they are asked to stop; False where one hangs.

    Raises BadSettings, and Busy where another process runs one of them.
    """
    from pm_app.daemon.loop import notify_supervisor, stop_on_signals

    if stop is None:
        stop = threading.Event()
        stop_on_signals(stop)
    with ExitStack() as opened:
        runs = [_Run(_opened_recorder(settings, name, opened), stop) for name in names]
        notify_supervisor("READY=1")
        alive = _watch(runs, stop)
        notify_supervisor("STOPPING=1")
        stop.set()
        for run in runs:
            run.thread.join(PATIENCE_SECONDS if alive else 0.0)
    for run in runs:
        if run.error is not None:
            raise run.error
    return alive and not any(run.thread.is_alive() for run in runs)


def _opened_recorder(settings: Settings, name: str, opened: ExitStack) -> "Recorder":
    from pm_app.jobs.record.batch import BatchFolder
    from pm_app.jobs.record.health import recorder_folder
    from pm_app.jobs.record.run import make_recorder
    from pm_app.state.lock import hold_state
    from pm_app.times import read_clock
    from pm_app.wiring import open_feed, recorded_folder

    folder = recorder_folder(settings.state, name)
    opened.enter_context(hold_state(folder))
    return make_recorder(
        name,
        settings.recorders[name],
        open_feed(settings, name),
        folder=folder,
        files=BatchFolder(recorded_folder(settings, name), settings.readings),
        now=read_clock(),
    )


class _Run:
    """A recorder on a thread of its own."""

    def __init__(self, recorder: "Recorder", stop: threading.Event) -> None:
        self.beat = threading.Event()
        self.error: BaseException | None = None
        self._recorder, self._stop = recorder, stop
        self.quiet_since = time.monotonic()
        self.thread = threading.Thread(target=self._work, name=recorder.name, daemon=True)
        self.thread.start()

    def hangs(self) -> bool:
        """Whether it has not come to the end of a turn for too long."""
        if self.beat.is_set():
            self.beat.clear()
            self.quiet_since = time.monotonic()
        return time.monotonic() - self.quiet_since > PATIENCE_SECONDS

    def _work(self) -> None:
        from pm_app.jobs.record.run import run_recorder
        from pm_app.times import read_clock

        try:
            run_recorder(self._recorder, stop=self._stop, clock=read_clock, beat=self.beat)
        # Whatever it is, whoever waits for this thread raises it.
        except BaseException as error:
            self.error = error
            self._stop.set()


def _watch(runs: Sequence[_Run], stop: threading.Event) -> bool:
    """Tell the supervisor that all are alive, until `stop`; False where one hangs."""
    from pm_app.daemon.loop import notify_supervisor

    while not stop.wait(PING_SECONDS):
        if any(run.hangs() for run in runs):
            return False
        notify_supervisor("WATCHDOG=1")
    return True
