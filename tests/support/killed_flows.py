"""Flows run in children that are killed; a program, so that nothing but this is forked.

Reads one line of JSON a job from standard input, [flow, plant.toml, at], and answers each with
the instants it heard: all where `at` is null, none where the child died at that number of them,
as it must. [flow, plant.toml, {"seconds": s}] kills it after that time, wherever it is.
"""

import gc
import json
import os
import signal
import subprocess
import sys
import time
from importlib import import_module
from pathlib import Path

from flows import FLOWS
from instants import Instant, heard, killing_at, listening

# What flows load when they first need it: once for all children.
LOADED_LATE = ("alembic.command", "argon2", "pyarrow.dataset", "sqlalchemy.dialects.sqlite")


class FlowKiller:
    """Runs flows in children of a program that has loaded everything once."""

    def __init__(self):
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
        self._process = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            text=True,
        )

    def __call__(self, flow, config, at=None):
        """The instants heard, as `run` has it."""
        self._process.stdin.write(json.dumps([flow, str(config), at]) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        assert answer, self._process.stderr.read()
        return [Instant(*instant) for instant in json.loads(answer)]

    def close(self):
        """End the program."""
        self._process.communicate()


def run(flow, config, at):
    """The flow in a child, undisturbed or killed; returns the instants of an undisturbed one."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        os.close(reader)
        _run_here(flow, config, at, writer)
    os.close(writer)
    if isinstance(at, dict):
        time.sleep(at["seconds"])
        os.kill(child, signal.SIGKILL)
    with os.fdopen(reader) as pipe:
        answer = pipe.read()
    _, status = os.waitpid(child, 0)
    expected = {0} if at is None else {signal.SIGKILL, 0} if isinstance(at, dict) else {9}
    if status not in expected:
        sys.exit(f"{flow} at {at}: ended with {status} after {answer or '?'}")
    return json.loads(answer) if answer else []


def _run_here(flow, config, at, writer):
    try:
        if isinstance(at, int):
            with listening(killing_at(at)):
                FLOWS[flow].run(config)
            os._exit(70)
        with heard() as instants:
            FLOWS[flow].run(config)
        os.write(writer, json.dumps(instants).encode())
        os._exit(0)
    except BaseException as error:
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        os._exit(71)


if __name__ == "__main__":
    for name in LOADED_LATE:
        import_module(name)
    # What a child does not touch, it does not copy.
    gc.freeze()
    for line in sys.stdin:
        flow, config, at = json.loads(line)
        sys.stdout.write(json.dumps(run(flow, Path(config), at)) + "\n")
        sys.stdout.flush()
