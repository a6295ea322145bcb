"""Trainings done on an engine: told in files, spread, and what comes back read."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pm_app import __version__
from pm_app.durable import make_folder, remove_folder, write_bytes
from pm_app.errors import error_named
from pm_app.jobs.retrain.worker import do_training
from pm_app.jobs.retrain.worker_files import (
    BROUGHT,
    TRAINING,
    Brought,
    take,
    training_file,
    write_study,
)
from pm_app.jobs.workers.dispatch import spread
from pm_app.learning.training.executor import Done, Training
from pm_app.learning.training.fit import Study, Trained
from pm_app.ports import Engine
from pm_app.progress import unwatched


@dataclass(frozen=True)
class TrainElsewhere:
    """A `TrainAll` whose trainings are done by the workers of an engine.

    folder: one that workers see under the same path; each call has one of its own in it, gone
    when it returns. To the bit what `train_here` gives, where workers are machines of this kind.
    Raises as `spread` where a worker cannot be had, and what a training met on purpose.
    """

    engine: Engine
    folder: Path

    def __call__(self, study: Study, trainings: Sequence[Training], done: Done) -> list[Trained]:
        scratch = self.folder / f"trainings-{secrets.token_hex(8)}"
        make_folder(scratch)
        try:
            _tell(scratch, study, trainings)
            return self._train(scratch, trainings, done)
        finally:
            remove_folder(scratch)

    def _train(self, scratch: Path, trainings: Sequence[Training], done: Done) -> list[Trained]:
        found: dict[int, Trained] = {}
        told = 0
        for number, text in spread(
            self.engine,
            do_training,
            str(scratch.absolute()),
            range(len(trainings)),
            describe=lambda number: f"training {number + 1} of {len(trainings)}",
            beat=unwatched,
        ):
            found[number] = take(scratch, _good(BROUGHT.validate_json(text)))
            while told in found:
                told += 1
                done(told, found[told - 1])
        return [found[number] for number in range(len(trainings))]


def _tell(scratch: Path, study: Study, trainings: Sequence[Training]) -> None:
    write_study(scratch, study, program=__version__)
    for number, training in enumerate(trainings):
        write_bytes(scratch / training_file(number), TRAINING.dump_json(training))


def _good(brought: Brought) -> Brought:
    if brought.kind:
        raise error_named(brought.kind, brought.error)
    return brought
