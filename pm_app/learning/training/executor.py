"""Executor of several trainings of one task: in this process, some at a time."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from pm_app.learning.dataset import LearningTask
from pm_app.learning.training.fit import Trained, Training, train_network

Done = Callable[[int, Trained], None]
# (task, trainings, done) to what became of each, in order; done hears of each in order as well,
# with how many there are so far.
TrainAll = Callable[[LearningTask, Sequence[Training], Done], list[Trained]]


def train_here(task: LearningTask, trainings: Sequence[Training], done: Done) -> list[Trained]:
    """All of them in this process."""
    return run_concurrently(lambda training: train_network(task, training), trainings, done=done)


Job = TypeVar("Job")
Result = TypeVar("Result")

# TensorFlow computes outside Python's lock; more trainings at once share its threads only.
_MOST = 2


def run_concurrently(
    run: Callable[[Job], Result],
    jobs: Sequence[Job],
    *,
    done: Callable[[int, Result], None] = lambda count, result: None,
) -> list[Result]:
    """run(job) of each, in order, some at a time.

    done: called in order with the number of results so far and the latest.
    Raises what the first failing job raises, once all that run have ended.
    """
    results = []
    with ThreadPoolExecutor(max_workers=min(_MOST, os.cpu_count() or 1)) as pool:
        for count, result in enumerate(pool.map(run, jobs), start=1):
            results.append(result)
            done(count, result)
    return results
