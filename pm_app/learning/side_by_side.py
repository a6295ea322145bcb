"""Independent trainings at the same time: one alone leaves half a processor idle."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Job = TypeVar("Job")
Result = TypeVar("Result")

# TensorFlow computes outside Python's lock; more trainings at once share its threads only.
_MOST = 2


def side_by_side(
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
