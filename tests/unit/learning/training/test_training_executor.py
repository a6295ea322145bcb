import os
import threading

import pytest

from pm_app.learning.training.executor import run_concurrently


def test_results_come_in_the_order_of_the_jobs_whoever_ends_first():
    second_is_done = threading.Event()
    told = []

    def run(job):
        if job == "slow":
            assert second_is_done.wait(30)
        else:
            second_is_done.set()
        return job.upper()

    # On one processor jobs run one after the other: the fast one then has to come first.
    jobs = ["slow", "fast", "third"] if _runs_two() else ["fast", "slow", "third"]
    results = run_concurrently(run, jobs, done=lambda count, result: told.append((count, result)))

    assert results == [job.upper() for job in jobs]
    assert told == list(enumerate(results, start=1))


def test_a_job_that_fails_fails_the_whole():
    def run(job):
        if job == 1:
            raise ValueError("job 1 is broken")
        return job

    with pytest.raises(ValueError, match="job 1 is broken"):
        run_concurrently(run, [0, 1, 2])


def test_nothing_to_run_gives_nothing():
    assert run_concurrently(str, []) == []


def _runs_two():
    return (os.cpu_count() or 1) > 1
