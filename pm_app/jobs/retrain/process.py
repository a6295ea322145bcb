"""Trainer process: starting it, watching it, and ending it."""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import IO

from pm_app.errors import BadSettings, PmAppError, TransientError, error_named
from pm_app.jobs.retrain.messages import REFUSED
from pm_app.progress import Progress

LINES_OF_BLAME = 12
LOOK_SECONDS = 0.5
# TensorFlow's greetings would bury the last words of a trainer that died.
_QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3"}
GRACE_SECONDS = 5.0
# The program that trains on this machine alone, and the one that can open an engine.
ALONE, WITH_ENGINE = "pm_app.jobs.retrain.trainer", "pm_app.engine_trainer"
# The extra "train": the scorer does without.
_TRAINING_PACKAGES = ("tensorflow", "keras", "onnx", "tf2onnx")


def require_training() -> None:
    """Raises BadSettings where a package that learning needs is missing; loads none."""
    missing = [name for name in _TRAINING_PACKAGES if find_spec(name) is None]
    if missing:
        raise BadSettings(
            f"learning needs {', '.join(missing)}: pip install 'pm-app[train]'; "
            "scoring and the pages do without"
        )


def run_trainer(
    order: Path,
    answer: Path,
    progress: Progress,
    *,
    timeout_seconds: float,
    stop: Callable[[], bool] = lambda: False,
    program: str = ALONE,
) -> None:
    """Run the trainer to its end, reporting its progress.

    Raises TransientError with its last words when it dies, takes longer than the timeout, or
    `stop` says so; it is then gone. What a person must change is raised as the trainer met
    it: BadSettings, BadVersion, or TerminalError. BadSettings also where packages are missing.
    """
    require_training()
    command = [sys.executable, "-m", program, str(order), str(answer)]
    with tempfile.TemporaryFile("w+") as errors, _started(command, errors) as process:
        ended: list[str] = []
        watcher = threading.Thread(
            target=_watch, args=(process, timeout_seconds, stop, ended), daemon=True
        )
        watcher.start()
        for line in process.stdout or ():
            done, _, text = line.strip().partition(" ")
            progress(float(done), text)
        code = process.wait()
        watcher.join()
        if code != 0:
            errors.seek(0)
            words = "".join(errors.readlines()[-LINES_OF_BLAME:]).strip()
            raise _error_of(code, ended, words)


def _started(command: Sequence[str], errors: IO[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command,
        # Never written to: its end tells the trainer that this process is gone.
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=errors,
        text=True,
        encoding="utf-8",
        env=_QUIET | os.environ,
    )


def _error_of(code: int, ended: Sequence[str], words: str) -> PmAppError:
    """The trainer's own error where it refused, else why it ended: what this process did, how
    the system ended it, or its last words."""
    if code == REFUSED:
        kind, _, text = words.rpartition("\n")[2].partition(": ")
        return error_named(kind, text)
    if code == -signal.SIGKILL and not ended:
        return TransientError("the trainer was killed, most likely because memory ran out")
    why = ended[0] if ended else words or "no message"
    return TransientError(f"the trainer ended with code {code}: {why}")


def _watch(
    process: subprocess.Popen[str], timeout: float, stop: Callable[[], bool], ended: list[str]
) -> None:
    """End the process when its time is up or the application stops."""
    deadline = time.monotonic() + timeout
    while process.poll() is None:
        late = time.monotonic() > deadline
        if late or stop():
            ended.append(f"still at it after {timeout:.0f} s" if late else "asked to stop")
            process.terminate()
            try:
                process.wait(GRACE_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
            return
        time.sleep(LOOK_SECONDS)


# The plant's scoring comes first: training gives way to it.
NICENESS = 10
# When memory runs out the trainer goes before the daemon, and before anything else that counts.
_OUT_OF_MEMORY_SCORE = "800"
ORPHANED = 4


def give_way() -> None:
    """Let the plant's scoring have processor and memory before this process."""
    os.nice(NICENESS)
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(_OUT_OF_MEMORY_SCORE, encoding="ascii")


def release_memory() -> None:
    """Give the system back what was freed here: glibc keeps what numpy's threads had.

    Half of what building features takes would stay with a training to its end.
    """
    with contextlib.suppress(OSError, AttributeError):  # another C library
        ctypes.CDLL("libc.so.6").malloc_trim(0)


def tell_parent() -> Progress:
    """Progress as lines of what was standard output, a share done and a text each.

    What libraries print goes where errors go from now on: LightGBM's words are no progress.
    """
    lines = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    # In one order with errors, the last of which is what the parent looks for.
    sys.stdout = sys.stderr

    def tell(done: float, text: str) -> None:
        lines.write(f"{done:.3f} {text}\n")
        lines.flush()

    return tell


def end_with_parent() -> None:
    """End this process once whoever started it is gone: the pipe to it then ends.

    An orphan would write into folders that the next daemon has emptied for a training of its own.
    """

    def wait() -> None:
        # Read past Python's buffers, whose lock would be missed when the process ends by itself.
        while os.read(sys.stdin.fileno(), 1):
            pass
        os._exit(ORPHANED)

    threading.Thread(target=wait, daemon=True).start()
