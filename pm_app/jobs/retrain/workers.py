"""Trainings of networks on workers, which hold TensorFlow as the trainer process does."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from pm_app.jobs.workers.dispatch import Tasks
from pm_app.jobs.workers.files import read_arrays, scratch_folder, write_arrays
from pm_app.jobs.workers.protocol import TaskAnswer, TaskInput, answers, perform, write_request
from pm_app.learning.network import Schedule, load_network, save_network
from pm_app.learning.training.executor import Done, Training, train_one
from pm_app.learning.training.fit import Study, Trained
from pm_app.ports import Engine
from pm_app.progress import unwatched
from pm_app.records.features import Frame
from pm_app.records.labels import Labels
from pm_app.records.learning import Allocation, Head

JOB: Final = "trainings"
_FRAME: Final = ("asset", "cutoff", "values")
_LABELS: Final = ("duration_hours", "failed", "value", "usable", "life")


@dataclass(frozen=True)
class TrainingsRequest:
    """Trainings, and what of the study that they learn from is no array."""

    trainings: tuple[Training, ...]
    assets: tuple[str, ...]
    features: tuple[str, ...]
    sensor_of: tuple[str, ...]
    head: Head


@dataclass(frozen=True)
class TrainedPlan:
    """What of a trained network is no array."""

    epoch: int
    schedule: Schedule
    allocation: Allocation


@dataclass(frozen=True)
class TrainOnWorkers:
    """A `TrainAll` whose trainings are done by the workers of an engine.

    parent: a folder that workers see under the same path; each call has one of its own in it.
    To the bit what `train_here` gives, where workers are machines of this kind.
    Raises as `dispatch` where a worker cannot be had, and what a training met on purpose.
    """

    engine: Engine
    parent: Path

    def __call__(self, study: Study, trainings: Sequence[Training], done: Done) -> list[Trained]:
        found: dict[int, Trained] = {}
        reported = 0
        with scratch_folder(self.parent, JOB) as folder:
            write_request(folder, request_of(study, trainings), study_arrays(study))
            tasks = Tasks(
                train_task,
                folder,
                range(len(trainings)),
                lambda number: f"training {number + 1} of {len(trainings)}",
            )
            for answer in answers(self.engine, tasks, beat=unwatched):
                found[answer.number] = _load_trained(folder, answer)
                while reported in found:
                    reported += 1
                    done(reported, found[reported - 1])
        return [found[number] for number in range(len(trainings))]


def request_of(study: Study, trainings: Sequence[Training]) -> TrainingsRequest:
    """The request for these trainings; its arrays are `study_arrays`."""
    frame = study.frame
    return TrainingsRequest(
        tuple(trainings), frame.assets, frame.features, frame.sensor_of, study.head
    )


def study_arrays(study: Study) -> dict[str, Any]:
    """The arrays of a study by name."""
    arrays = {name: getattr(study.labels, name) for name in _LABELS}
    arrays |= {name: getattr(study.frame, name) for name in _FRAME}
    arrays |= {"train": study.train, "validation": study.validation}
    return arrays if study.group is None else {**arrays, "group": study.group}


def study_of(request: TrainingsRequest, arrays: Mapping[str, Any]) -> Study:
    """The study of a request, to the bit."""
    asset, cutoff, values = (arrays[name] for name in _FRAME)
    return Study(
        Frame(request.assets, asset, cutoff, request.features, request.sensor_of, values),
        Labels(**{name: arrays[name] for name in _LABELS}),
        arrays["train"],
        arrays["validation"],
        request.head,
        arrays.get("group"),
    )


def train_task(folder: str, number: int) -> str:
    """Task of a worker: one network trained, its weights and losses in a file."""
    return perform(_train, TrainingsRequest, folder, number)


def _train(task: TaskInput[TrainingsRequest]) -> TrainedPlan:
    study = study_of(task.request, task.arrays)
    trained = train_one(study, task.request.trainings[task.number])
    network = np.frombuffer(save_network(trained.network), dtype=np.uint8)
    write_arrays(
        task.file,
        {"losses": trained.losses, "network": network},
    )
    return TrainedPlan(trained.epoch, trained.schedule, trained.allocation)


def _load_trained(folder: Path, answer: TaskAnswer) -> Trained:
    plan = answer.read(TrainedPlan)
    arrays = read_arrays(folder / answer.file)
    network = load_network(arrays["network"].tobytes())
    return Trained(network, plan.epoch, plan.schedule, arrays["losses"], plan.allocation)
