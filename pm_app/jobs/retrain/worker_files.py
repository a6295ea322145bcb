"""What a worker trains by and brings back: files of arrays and JSON in the folder of one run."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter

from pm_app.durable import write_bytes
from pm_app.errors import TransientError
from pm_app.jobs.workers.files import read_arrays, read_told, unreadable, write_arrays
from pm_app.learning.network import Schedule, load_network, save_network
from pm_app.learning.training.executor import Training
from pm_app.learning.training.fit import Study, Trained
from pm_app.records.features import Frame
from pm_app.records.labels import Labels
from pm_app.records.learning import Allocation, Head

_LABELS: Final = ("duration_hours", "failed", "value", "usable", "life")
_ARRAYS: Final = "study.npz"
_WORDS: Final = "study.json"


@dataclass(frozen=True)
class Lesson:
    """What of a study is no array; program: the version of pm-app that wrote it."""

    program: str
    assets: tuple[str, ...]
    features: tuple[str, ...]
    sensor_of: tuple[str, ...]
    head: Head


@dataclass(frozen=True)
class Brought:
    """What came of a training: where its arrays and network lie, or the error that ended it.

    kind, error: of the error and its text, "" where all went well.
    """

    name: str = ""
    epoch: int = 0
    schedule: Schedule | None = None
    allocation: Allocation | None = None
    kind: str = ""
    error: str = ""


LESSON = TypeAdapter(Lesson)
TRAINING = TypeAdapter(Training)
BROUGHT = TypeAdapter(Brought)


def write_study(folder: Path, study: Study, *, program: str) -> None:
    """Lay a study down; durable when this returns."""
    frame = study.frame
    arrays = {name: getattr(study.labels, name) for name in _LABELS}
    arrays |= {"asset": frame.asset, "cutoff": frame.cutoff, "values": frame.values}
    arrays |= {"train": study.train, "validation": study.validation}
    if study.group is not None:
        arrays["group"] = study.group
    write_arrays(folder / _ARRAYS, arrays)
    lesson = Lesson(program, frame.assets, frame.features, frame.sensor_of, study.head)
    write_bytes(folder / _WORDS, LESSON.dump_json(lesson))


def read_lesson(folder: Path) -> Lesson:
    """What of the study of a run is no array. Raises BadSettings where it is not there."""
    lesson: Lesson = read_told(folder / _WORDS, LESSON)
    return lesson


def read_study(folder: Path, lesson: Lesson) -> Study:
    """The study of a run, to the bit. Raises TransientError where it cannot be read."""
    arrays = read_arrays(folder / _ARRAYS)
    return Study(
        Frame(
            lesson.assets,
            arrays["asset"],
            arrays["cutoff"],
            lesson.features,
            lesson.sensor_of,
            arrays["values"],
        ),
        Labels(**{name: arrays[name] for name in _LABELS}),
        arrays["train"],
        arrays["validation"],
        lesson.head,
        arrays.get("group"),
    )


def training_file(number: int) -> str:
    """The name of the file that a training is told in."""
    return f"training-{number:04d}.json"


def bring(folder: Path, name: str, trained: Trained) -> Brought:
    """Lay down what came of a training, under a name that nobody else has."""
    write_bytes(folder / f"{name}.keras", save_network(trained.network))
    write_arrays(folder / f"{name}.npz", {"losses": trained.losses})
    return Brought(name, trained.epoch, trained.schedule, trained.allocation)


def take(folder: Path, brought: Brought) -> Trained:
    """What a worker laid down. Raises TransientError where it cannot be read, BadVersion."""
    losses = read_arrays(folder / f"{brought.name}.npz")["losses"]
    try:
        content = (folder / f"{brought.name}.keras").read_bytes()
    except OSError as error:
        raise unreadable(folder / f"{brought.name}.keras", error) from error
    if brought.schedule is None or brought.allocation is None:
        raise TransientError(f"{folder}: a worker brought a network without its plan")
    return Trained(
        load_network(content), brought.epoch, brought.schedule, losses, brought.allocation
    )
