"""Refits of a version: its members fitted anew to other rows, with nothing chosen again."""

from dataclasses import dataclass

from pm_app.learning.data.targets import Rows
from pm_app.learning.dataset import LearningTask
from pm_app.learning.network import answers
from pm_app.learning.pool.forest import fit_forest
from pm_app.learning.pool.graph import mix_answers
from pm_app.learning.training.fit import Trained, Training, refit_network
from pm_app.progress import Progress, silent
from pm_app.records.readings import Float32


@dataclass(frozen=True, eq=False)
class Recipe:
    """How a version was made: its training, how long that took (`like`), the network it went on
    from, and the network's share of the answer."""

    training: Training
    like: Trained
    warm_start: bytes | None = None
    share: float = 1.0


def refit_answers(
    task: LearningTask, recipe: Recipe, rows: Rows, asked: Rows, *, progress: Progress = silent
) -> Float32:
    """Answers to the rows asked, (n_asked, outputs), of members fitted to these rows alone."""
    values, both = task.frame.values[asked], []
    if recipe.share > 0.0:
        training, like, warm = recipe.training, recipe.like, recipe.warm_start
        network = refit_network(
            task, training, rows=rows, like=like, warm_start=warm, progress=progress
        ).network
        both.append(answers(network, values))
    if recipe.share < 1.0:
        both.append(fit_forest(task, rows, seed=recipe.training.seed)(values))
    if len(both) == 1:
        return both[0]
    return mix_answers(both[0], both[1], recipe.share, task.head.kind)
