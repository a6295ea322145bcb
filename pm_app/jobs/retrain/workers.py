"""Trainings of networks on workers, which hold TensorFlow as the trainer process does."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final

import numpy as np

from pm_app.jobs.workers.dispatch import Tasks
from pm_app.jobs.workers.files import read_arrays, scratch_folder, write_arrays
from pm_app.jobs.workers.protocol import TaskAnswer, TaskInput, answers, perform, write_request
from pm_app.learning.dataset import LearningTask
from pm_app.learning.network import Schedule, load_network, save_network
from pm_app.learning.training.executor import Done
from pm_app.learning.training.fit import Trained, Training, train_network
from pm_app.ports import Engine
from pm_app.progress import unwatched
from pm_app.records.features import Frame
from pm_app.records.labels import Labels, Split
from pm_app.records.learning import Allocation, Head

JOB: Final = "trainings"
_FRAME: Final = ("asset", "cutoff", "values")
_LABELS: Final = tuple(field.name for field in fields(Labels))
_SPLIT: Final = ("train", "validation", "calibration", "test", "group")


@dataclass(frozen=True)
class TrainingsRequest:
    """Trainings, and what of the task that they learn from is no array."""

    trainings: tuple[Training, ...]
    kind: str
    horizons_hours: tuple[float, ...]
    assets: tuple[str, ...]
    features: tuple[str, ...]
    sensor_of: tuple[str, ...]
    how: str
    head: Head
    by_asset: bool = False


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

    def __call__(
        self, task: LearningTask, trainings: Sequence[Training], done: Done
    ) -> list[Trained]:
        found: dict[int, Trained] = {}
        reported = 0
        with scratch_folder(self.parent, JOB) as folder:
            write_request(folder, request_of(task, trainings), task_arrays(task))
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


def request_of(task: LearningTask, trainings: Sequence[Training]) -> TrainingsRequest:
    """The request for these trainings; its arrays are `task_arrays`."""
    frame = task.frame
    return TrainingsRequest(
        tuple(trainings),
        task.kind,
        task.horizons_hours,
        frame.assets,
        frame.features,
        frame.sensor_of,
        task.split.how,
        task.head,
        task.split.by_asset,
    )


def task_arrays(task: LearningTask) -> dict[str, Any]:
    """The arrays of a task by name."""
    arrays = {name: getattr(task.labels, name) for name in _LABELS}
    arrays |= {name: getattr(task.frame, name) for name in _FRAME}
    return arrays | {name: getattr(task.split, name) for name in _SPLIT}


def learning_task(request: TrainingsRequest, arrays: Mapping[str, Any]) -> LearningTask:
    """The task of a request, to the bit."""
    asset, cutoff, values = (arrays[name] for name in _FRAME)
    return LearningTask(
        request.kind,
        request.horizons_hours,
        Frame(request.assets, asset, cutoff, request.features, request.sensor_of, values),
        Labels(**{name: arrays[name] for name in _LABELS}),
        Split(
            **{name: arrays[name] for name in _SPLIT}, how=request.how, by_asset=request.by_asset
        ),
        request.head,
    )


def train_task(folder: str, number: int) -> str:
    """Task of a worker: one network trained, its weights and losses in a file."""
    return perform(_train, TrainingsRequest, folder, number)


def _train(given: TaskInput[TrainingsRequest]) -> TrainedPlan:
    task = learning_task(given.request, given.arrays)
    trained = train_network(task, given.request.trainings[given.number])
    network = np.frombuffer(save_network(trained.network), dtype=np.uint8)
    write_arrays(given.file, {"losses": trained.losses, "network": network})
    return TrainedPlan(trained.epoch, trained.schedule, trained.allocation)


def _load_trained(folder: Path, answer: TaskAnswer) -> Trained:
    plan = answer.read(TrainedPlan)
    arrays = read_arrays(folder / answer.file)
    network = load_network(arrays["network"].tobytes())
    return Trained(network, plan.epoch, plan.schedule, arrays["losses"], plan.allocation)
