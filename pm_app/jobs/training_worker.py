"""One training of a network, by whoever is told its folder and number.

Runs in processes and on machines of their own, which are training processes as the trainer is:
they hold TensorFlow. It reads and writes in the scratch folder of the run alone.
"""

import secrets
import socket
from functools import lru_cache
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from pm_app import __version__
from pm_app.errors import BadSettings, PmAppError, TerminalError
from pm_app.jobs.lessons import (
    BROUGHT,
    TRAINING,
    Brought,
    bring,
    read_lesson,
    read_study,
    training_file,
)
from pm_app.learning.training import Study
from pm_app.learning.trainings import Training, train_one

_TOKEN_BYTES: Final = 8


def do_training(scratch: str, number: int) -> str:
    """Do training `number` of the run in this folder; a `Brought` as JSON.

    What goes wrong on purpose is in the answer; each attempt writes files of its own names.
    """
    folder = Path(scratch)
    try:
        study, training = _told(folder, number)
        name = f"{number:04d}-{secrets.token_hex(_TOKEN_BYTES)}"
        brought = bring(folder, name, train_one(study, training))
    except PmAppError as error:
        brought = Brought(kind=type(error).__name__, error=str(error))
    return BROUGHT.dump_json(brought).decode()


def _told(folder: Path, number: int) -> tuple[Study, Training]:
    path = folder / training_file(number)
    try:
        training: Training = TRAINING.validate_json(path.read_bytes())
        return _study(folder), training
    except (OSError, ValidationError) as error:
        why = getattr(error, "strerror", None) or "it is another program's"
        raise BadSettings(
            f"a worker on {socket.gethostname()} needs the plant's state folder under the same "
            f"path as the plant's server, but cannot read {path}: {why}"
        ) from error


# A worker does several trainings of one study, and reads it once.
@lru_cache(maxsize=1)
def _study(folder: Path) -> Study:
    lesson = read_lesson(folder)
    if lesson.program != __version__:
        raise TerminalError(
            f"a worker on {socket.gethostname()} runs pm-app {__version__}, the plant's server "
            f"{lesson.program}: both need the same"
        )
    return read_study(folder, lesson)
