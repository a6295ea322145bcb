"""Flows run in children that are killed; a program, so that nothing but this is forked.

Reads one line of JSON a job from standard input, [flow, plant.toml, at], and answers each with
the instants it heard: all where `at` is null, none where the child died at that number of them,
as it must. [flow, plant.toml, {"seconds": s}] kills it after that time, wherever it is.
"""

import json
import os
import signal
import sys
import time
from pathlib import Path

from flows import FLOWS
from striking import heard, killing_at, listening


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
        said = pipe.read()
    _, status = os.waitpid(child, 0)
    expected = {0} if at is None else {signal.SIGKILL, 0} if isinstance(at, dict) else {9}
    if status not in expected:
        sys.exit(f"{flow} at {at}: ended with {status} after {said or '?'}")
    return json.loads(said) if said else []


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
    for line in sys.stdin:
        flow, config, at = json.loads(line)
        sys.stdout.write(json.dumps(run(flow, Path(config), at)) + "\n")
        sys.stdout.flush()
