"""Worker protocol of backfill, backtest and retraining: a run's request, and a task's answer.

Who asks lays one request down in the scratch folder of the run. A worker gets the name of a
function, the folder and the number of a task; it reads the request, writes what is large beside
it, and answers in JSON.
"""

import secrets
import socket
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

from pydantic import TypeAdapter, ValidationError

from pm_app import __version__
from pm_app.durable import write_bytes
from pm_app.errors import BadSettings, PmAppError, TerminalError, error_named
from pm_app.jobs.workers.dispatch import Tasks, dispatch
from pm_app.jobs.workers.files import TOKEN_BYTES, read_arrays, write_arrays
from pm_app.ports import Engine
from pm_app.state.segments import MissingSegment

REQUEST_FILE: Final = "request.json"
ARRAYS_FILE: Final = "request.npz"
Request = TypeVar("Request")
Result = TypeVar("Result")


@dataclass(frozen=True)
class _Envelope:
    """A request as it lies in a file. program: the version of pm-app that asks."""

    program: str
    request: Any


@dataclass(frozen=True, eq=False)
class TaskInput(Generic[Request]):
    """What an attempt at a task works on.

    arrays: of the request, by name. file: a path for what is large in its result, which no other
    attempt has.
    """

    request: Request
    arrays: Mapping[str, Any]
    number: int
    file: Path


@dataclass(frozen=True)
class TaskAnswer:
    """What came of a task: a result, or the error that ended it on purpose.

    file: its name beside the request, where the task wrote one. kind, error: of the error and
    its text, "" where all went well. missing: the file name of a segment that is gone.
    """

    number: int
    file: str
    result: Any = None
    kind: str = ""
    error: str = ""
    missing: str = ""

    def read(self, result: type[Result]) -> Result:
        """The result. Raises MissingSegment, and what else the task met on purpose."""
        if self.missing:
            raise MissingSegment(Path(self.missing), self.error)
        if self.kind:
            raise error_named(self.kind, self.error)
        return TypeAdapter(result).validate_python(self.result)


_ENVELOPE = TypeAdapter(_Envelope)
_ANSWER = TypeAdapter(TaskAnswer)


def write_request(folder: Path, request: object, arrays: Mapping[str, Any] | None = None) -> None:
    """Lay down what a run's workers need to know; durable when this returns."""
    if arrays is not None:
        write_arrays(folder / ARRAYS_FILE, arrays)
    write_bytes(folder / REQUEST_FILE, _ENVELOPE.dump_json(_Envelope(__version__, request)))


# A worker does several tasks of one run, and reads its request once.
@lru_cache(maxsize=1)
def read_request(folder: Path, kind: type[Request]) -> tuple[Request, Mapping[str, Any]]:
    """What a run's workers need to know, and its arrays by name.

    Raises BadSettings where it is not there, TerminalError where another program wrote it, and
    TransientError where its arrays cannot be read.
    """
    path = folder / REQUEST_FILE
    try:
        envelope = _ENVELOPE.validate_json(path.read_bytes())
        if envelope.program != __version__:
            raise TerminalError(
                f"a worker on {socket.gethostname()} runs pm-app {__version__}, the plant's server "
                f"{envelope.program}: both need the same"
            )
        request = TypeAdapter(kind).validate_python(envelope.request)
    except (OSError, ValidationError) as error:
        why = getattr(error, "strerror", None) or "it is another program's"
        raise BadSettings(
            f"a worker on {socket.gethostname()} needs the plant's state folder under the same "
            f"path as the plant's server, but cannot read {path}: {why}"
        ) from error
    arrays = folder / ARRAYS_FILE
    return request, read_arrays(arrays) if arrays.exists() else {}


def perform(
    task: Callable[[TaskInput[Request]], object], kind: type[Request], folder: str, number: int
) -> str:
    """Task `number` of the run in this folder, done by a worker; a `TaskAnswer` as JSON.

    kind: of the request. What goes wrong on purpose is in the answer; each attempt writes files
    of its own name, so that two at the same task do not meet.
    """
    name = f"{number:06d}-{secrets.token_hex(TOKEN_BYTES)}"
    scratch = Path(folder)
    try:
        request, arrays = read_request(scratch, kind)  # type: ignore[arg-type]  # a class can be hashed
        result = task(TaskInput(request, arrays, number, scratch / name))
        answer = TaskAnswer(number, name, result)
    except PmAppError as error:
        missing = error.name if isinstance(error, MissingSegment) else ""
        answer = TaskAnswer(
            number, name, kind=type(error).__name__, error=str(error), missing=missing
        )
    return _ANSWER.dump_json(answer).decode()


def answers(
    engine: Engine, tasks: Tasks, *, beat: Callable[[], None], ahead: int = 0
) -> Iterator[TaskAnswer]:
    """The answers of a run's workers, as they come; an error names its task. As `dispatch`."""
    for number, text in dispatch(engine, tasks, beat=beat, ahead=ahead):
        answer = _ANSWER.validate_json(text)
        if answer.kind and not answer.missing:
            answer = replace(answer, error=f"{tasks.describe(number)}: {answer.error}")
        yield answer
