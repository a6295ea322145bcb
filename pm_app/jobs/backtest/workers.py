"""Backtest on workers: each fold learned and predicted by a worker.

A worker reads the state folder, opens no database, learns in a trainer process of its own, and
writes into the scratch folder of the run alone.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from pm_app.jobs.backtest.fold import FoldPredictions, FoldTrainers, predict_fold
from pm_app.jobs.backtest.folds import Fold
from pm_app.jobs.plant import PlantView
from pm_app.jobs.retrain.messages import TrainingRequest
from pm_app.jobs.retrain.process import run_trainer
from pm_app.jobs.workers.dispatch import Tasks
from pm_app.jobs.workers.files import read_arrays, scratch_folder, write_arrays
from pm_app.jobs.workers.protocol import TaskAnswer, TaskInput, answers, perform, write_request
from pm_app.jobs.workers.snapshot import (
    LedgerSnapshot,
    open_settings,
    open_worker_plant,
    take_snapshot,
)
from pm_app.learning.evaluation.boosters import fit_booster
from pm_app.ports import Engine
from pm_app.progress import Progress
from pm_app.state.memory import Memories
from pm_app.state.segments import MissingSegment
from pm_app.times import NS, parse_duration

JOB: Final = "backtest"
# The daemon may join segments while a fold is learned: then it is learned again.
MOST_TRIES: Final = 3
# Others may backtest at the same time: a folder is abandoned once nobody has written into it for
# so long.
ABANDONED_SECONDS: Final = 7 * 86_400.0
_ARRAYS: Final = ("asset", "cutoff", "ours", "theirs", "deviation")


@dataclass(frozen=True)
class FoldsRequest:
    """Folds, how each is learned, and the ledger that it is predicted by."""

    training: TrainingRequest
    folds: tuple[Fold, ...]
    ledger: LedgerSnapshot


@dataclass(frozen=True)
class FoldResult:
    """What of a fold's predictions is no array, or the reason why there are none."""

    peer: str = ""
    assets: tuple[str, ...] = ()
    reason: str = ""


def predict_on_workers(
    plant: PlantView,
    folds: Sequence[Fold],
    new_request: Callable[[], TrainingRequest],
    engine: Engine,
    progress: Progress,
) -> list[FoldPredictions | str]:
    """As one fold after the other, to the bit, where workers are machines of this kind.

    new_request: of a training, as of the moment it is asked for: segments may be joined
    meanwhile. Raises as `dispatch`, what a fold met on purpose, and MissingSegment after
    MOST_TRIES.
    """
    found: dict[int, FoldPredictions | str] = {}
    count = len(folds)

    def beat() -> None:
        progress(len(found) / count, f"{len(found)} of {count} folds predicted")

    for tries in range(1, MOST_TRIES + 1):
        missing = None
        with scratch_folder(plant.settings.state, JOB) as folder:
            write_request(
                folder, FoldsRequest(new_request(), tuple(folds), take_snapshot(plant.ledger))
            )
            left = [number for number in range(count) if number not in found]
            tasks = Tasks(
                predict_fold_task, folder, left, lambda number: f"fold {number + 1} of {count}"
            )
            for answer in answers(engine, tasks, beat=beat):
                try:
                    found[answer.number] = _load_predictions(folder, answer)
                except MissingSegment as error:
                    missing = error
        if missing is None:
            break
        if tries == MOST_TRIES:
            raise missing
    return [found[number] for number in range(count)]


def _load_predictions(folder: Path, answer: TaskAnswer) -> FoldPredictions | str:
    result = answer.read(FoldResult)
    if result.reason:
        return result.reason
    arrays = read_arrays(folder / answer.file)
    return FoldPredictions(result.peer, result.assets, *(arrays[name] for name in _ARRAYS))


def predict_fold_task(folder: str, number: int) -> str:
    """Task of a worker: one fold learned, its predictions in a file."""
    return perform(_predict, FoldsRequest, folder, number)


def _predict(task: TaskInput[FoldsRequest]) -> FoldResult:
    training = task.request.training
    settings = open_settings(training.settings, training.folder)
    timeout = parse_duration(settings.retraining.timeout) / NS
    predictions = predict_fold(
        open_worker_plant(settings, task.request.ledger, Memories(settings.state / "memory")),
        training,
        task.request.folds[task.number],
        trainers=FoldTrainers(partial(run_trainer, timeout_seconds=timeout), fit_booster),
    )
    if isinstance(predictions, str):
        return FoldResult(reason=predictions)
    write_arrays(task.file, {name: getattr(predictions, name) for name in _ARRAYS})
    return FoldResult(predictions.peer, predictions.names)
