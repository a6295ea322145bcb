"""Refits of a version: its members fitted anew to other rows, with nothing chosen again."""

from dataclasses import dataclass, field

from pm_app.learning.data.targets import Rows
from pm_app.learning.dataset import LearningTask
from pm_app.learning.network import answers
from pm_app.learning.pool.boosted import Rounds, fit_boosted
from pm_app.learning.pool.forest import fit_forest
from pm_app.learning.pool.graph import mix_answers
from pm_app.learning.pool.shares import BOOSTED, FOREST, NETWORK, Shares
from pm_app.learning.training.fit import Trained, Training, refit_network
from pm_app.progress import Progress, silent
from pm_app.records.readings import Float32


@dataclass(frozen=True, eq=False)
class Recipe:
    """How a version was made: its training, how long that took (`like`), the network it went on
    from, who answers with what share, and how often trees were boosted."""

    training: Training
    like: Trained
    warm_start: bytes | None = None
    shares: Shares = field(default_factory=lambda: {NETWORK: 1.0})
    rounds: Rounds = ()


def refit_answers(
    task: LearningTask, recipe: Recipe, rows: Rows, asked: Rows, *, progress: Progress = silent
) -> Float32:
    """Answers to the rows asked, (n_asked, outputs), of members fitted to these rows alone."""
    training, values = recipe.training, task.frame.values[asked]

    def answer(name: str) -> Float32:
        if name == FOREST:
            return fit_forest(task, rows, seed=training.seed)(values)
        if name == BOOSTED:
            return fit_boosted(task, rows, seed=training.seed, rounds=recipe.rounds)(values)
        like, warm = recipe.like, recipe.warm_start
        refitted = refit_network(
            task, training, rows=rows, like=like, warm_start=warm, progress=progress
        )
        return answers(refitted.network, values)

    parts = [answer(name) for name in recipe.shares]
    if len(parts) == 1:
        return parts[0]
    return mix_answers(parts, list(recipe.shares.values()), task.head.kind)
