"""How many trees a forest has: those of few rows are more, and its answers vary less for it."""

import numpy as np
import pytest
from test_pool_graph import make_task

from pm_app.learning.pool import forest as growing
from pm_app.learning.pool.forest import fit_forest


@pytest.mark.parametrize(
    ("rows_per_tree", "trees"), [(30, 10), (60, 20), (90, 30), (1_000, 30)]
)  # fmt: skip
def test_trees_of_few_rows_are_more_up_to_a_limit(monkeypatch, rows_per_tree, trees):
    task = make_task("life", rows=2000)
    rows = task.split.learned[:75]
    monkeypatch.setattr(growing, "TREES", 10)
    monkeypatch.setattr(growing, "MOST_TIMES", 3)
    monkeypatch.setattr(growing, "ROWS_PER_TREE", rows_per_tree)

    forest = fit_forest(task, rows, seed=0)

    assert growing.SHARE_OF_ROWS * len(rows) == 30
    assert len(forest.trees) == trees


def test_more_trees_answer_more_alike_whatever_the_seed(monkeypatch):
    task = make_task("life", rows=2000)
    monkeypatch.setattr(growing, "TREES", 10)
    values = task.frame.values[task.split.test]
    spread = []
    for times in (1, 3):
        monkeypatch.setattr(growing, "MOST_TIMES", times)
        answers = [fit_forest(task, task.split.learned, seed=seed)(values) for seed in range(4)]
        spread.append(np.std(answers, axis=0).mean())

    assert spread[1] < 0.75 * spread[0]
