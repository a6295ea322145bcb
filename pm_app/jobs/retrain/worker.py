"""One training of a network, by whoever is told its folder and number.

Runs in processes and on machines of their own, which are training processes as the trainer is:
they hold TensorFlow. It reads and writes in the scratch folder of the run alone.
"""

import secrets
from functools import lru_cache
from pathlib import Path
from typing import Final

from pm_app.errors import PmAppError
from pm_app.jobs.retrain.worker_files import (
    BROUGHT,
    TRAINING,
    Brought,
    bring,
    read_lesson,
    read_study,
    training_file,
)
from pm_app.jobs.workers.files import read_told, require_program
from pm_app.learning.training.executor import Training, train_one
from pm_app.learning.training.fit import Study

_TOKEN_BYTES: Final = 8


def do_training(scratch: str, number: int) -> str:
    """Do training `number` of the run in this folder; a `Brought` as JSON.

    What goes wrong on purpose is in the answer; each attempt writes files of its own names.
    """
    folder = Path(scratch)
    try:
        training: Training = read_told(folder / training_file(number), TRAINING)
        study = _study(folder)
        name = f"{number:04d}-{secrets.token_hex(_TOKEN_BYTES)}"
        brought = bring(folder, name, train_one(study, training))
    except PmAppError as error:
        brought = Brought(kind=type(error).__name__, error=str(error))
    return BROUGHT.dump_json(brought).decode()


# A worker does several trainings of one study, and reads it once.
@lru_cache(maxsize=1)
def _study(folder: Path) -> Study:
    lesson = read_lesson(folder)
    require_program(lesson.program)
    return read_study(folder, lesson)
