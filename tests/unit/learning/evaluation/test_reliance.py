"""What a network still knows without features that may go missing."""

from dataclasses import replace

import numpy as np
import pytest
from factories import task_of

from pm_app.learning.evaluation.reliance import measure_reliance
from pm_app.records.features import BASES, Frame
from pm_app.records.labels import Labels, Split
from pm_app.records.learning import Head

ROWS = 600
FEATURES, SENSOR_OF = ("heat.last", "since.failure", "age"), ("heat", "maintenance", "age")
FAILURE, AGE, ERROR = (1 << BASES.index(basis) for basis in ("failure", "age", "error"))


def make_task(kind="classification"):
    rng = np.random.default_rng(0)
    values = rng.normal(size=(ROWS, 3)).astype(np.float32)
    truth = (values[:, 0] + 2 * values[:, 1] > 2.0).astype(float)
    if kind == "regression":
        truth = values[:, 0] + 2.0 * values[:, 1]
    nothing, every = np.full(ROWS, np.nan), np.ones(ROWS, dtype=bool)
    zero = np.zeros(ROWS, dtype=np.int32)
    frame = Frame(("a",), zero, np.arange(ROWS), FEATURES, SENSOR_OF, values)
    labels = Labels(nothing, ~every, truth, every, zero)
    rows = np.arange(ROWS)
    return task_of(frame, labels, Split(*[rows] * 4, zero, ""), kind, head=Head(kind, (), (0.0,)))


def weigh(*weights):
    def answer(values):
        return np.nan_to_num(values) @ np.array(weights, dtype=np.float32)[:, None]

    return answer


@pytest.mark.parametrize("kind", ["classification", "regression"])
def test_skill_is_lost_where_an_answer_hangs_on_it_and_nowhere_else(kind):
    task = make_task(kind)
    lost = measure_reliance(task, weigh(1.0, 2.0, 0.0), np.arange(ROWS), seed=0)

    assert len(lost) == 2 ** len(BASES)
    assert lost[0] == lost[AGE] == lost[ERROR] == 0.0
    assert lost[FAILURE] == lost[FAILURE | AGE | ERROR] > 0.5


def test_an_answer_that_does_without_loses_nothing():
    lost = measure_reliance(make_task(), weigh(1.0, 0.0, 0.0), np.arange(ROWS), seed=0)

    assert lost == (0.0,) * 2 ** len(BASES)


def test_what_knows_nothing_has_nothing_to_lose():
    task = make_task()
    blind = replace(task, labels=replace(task.labels, value=task.labels.value[::-1].copy()))
    lost = measure_reliance(blind, weigh(0.0, 0.0, 1.0), np.arange(ROWS), seed=0)

    assert max(lost) < 1.0
    assert min(lost) == 0.0
