"""`pm-app score` on each plant named, killed at evenly spaced instants; run as a program.

Every other plant is shot between changes to its files, the ones between within an SQL
statement. The first of each kind is spared, and tells how many instants there are.
"""

import os
import signal
import sys
from pathlib import Path

STEPS_A_LOOK = 50  # virtual machine steps of SQLite from one instant to the next
FILE_EVENTS = {"open", "os.rename", "os.remove", "os.mkdir"}


class Trigger:
    """Counts instants, and at the chosen one kills the process it is in."""

    def __init__(self, at):
        self.at, self.count = at, 0

    def __call__(self):
        self.count += 1
        if self.count == self.at:
            os.kill(os.getpid(), signal.SIGKILL)


def watch_files(trigger, folder):
    def hook(event, arguments):
        if event in FILE_EVENTS and str(arguments[0]).startswith(folder):
            trigger()

    sys.addaudithook(hook)


def watch_sql(trigger, folder):
    from sqlalchemy import Engine, event

    def watch(connection, _):
        connection.set_progress_handler(trigger, STEPS_A_LOOK)

    event.listen(Engine, "connect", watch)


def score(config, watch, at):
    """The command line as it is started by hand, in a child; returns the instants it saw."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        trigger = Trigger(at)
        watch(trigger, str(Path(config).parent))
        sys.argv = ["pm-app", "score", "-c", config]
        try:
            main()
        except SystemExit as done:
            os.write(writer, str(trigger.count).encode())
            os._exit(done.code or 0)
        os._exit(70)
    os.close(writer)
    _, status = os.waitpid(child, 0)
    with os.fdopen(reader) as pipe:
        seen = pipe.read()
    if status != (signal.SIGKILL if at else 0):
        sys.exit(f"{config}: to be killed at {at}, ended with {status} after {seen or '?'}")
    return int(seen or 0)


def kill_all(configs):
    """Shoot at every plant once."""
    for first, watch in enumerate((watch_files, watch_sql)):
        spared, *others = configs[first::2]
        instants = score(spared, watch, 0)
        for number, config in enumerate(others):
            score(config, watch, 1 + instants * number // len(others))


if __name__ == "__main__":
    import pm_app.jobs.score
    from pm_app.cli import main

    pm_app.jobs.score.GROUP_ROWS = 60  # so that there are several transactions
    kill_all(sys.argv[1:])
