"""Strategies of allocation, one row each: all that settings, search and training ask of them.

A new strategy is one module with its rule below `pm_app.learning.allocation`, and one row.
"""

from dataclasses import dataclass

_RULES = "pm_app.learning.allocation.strategies"
# Validation chooses among all strategies.
AUTO = "auto"


@dataclass(frozen=True)
class Strategy:
    """One way to turn importance into a plan.

    meaning: what importance changes, for the documentation. rule: "module:function", as
    `pm_app.learning.allocation.strategies.Rule`. weighted: whether penalties follow importance.
    revisable: whether the plan follows importance, and so may be dealt anew in training.
    selects: whether the plan reads only the most important features. by_mode: whether it follows
    the importance for each failure mode, so that "auto" asks it of plants with modes alone.
    """

    name: str
    meaning: str
    rule: str
    weighted: bool = False
    revisable: bool = False
    selects: bool = False
    by_mode: bool = False


# From simple to elaborate: a tie goes to the simpler one.
STRATEGIES = (
    Strategy(
        "uniform",
        "nothing: the control, with the same number of parameters, always trained beside the "
        "others",
        rule=f"{_RULES}:one_branch",
    ),
    Strategy(
        "selected",
        "the most important features alone are read and get all units, the rest gets nothing; "
        "validation says how many",
        rule=f"{_RULES}:one_branch",
        selects=True,
    ),
    Strategy(
        "regularized",
        "unimportant sensors get a stronger L1 penalty",
        rule=f"{_RULES}:one_branch",
        weighted=True,
        revisable=True,
    ),
    Strategy(
        "tiers",
        "important sensors get wider branches and wider embeddings",
        rule=f"{_RULES}:branch_a_tier",
        revisable=True,
    ),
    Strategy(
        "tiers+regularized",
        "both",
        rule=f"{_RULES}:branch_a_tier",
        weighted=True,
        revisable=True,
    ),
    Strategy(
        "attention",
        "a learned gate weighs sensors anew at each prediction, starting from their importance; "
        "`pm-app predictions` shows the weights",
        rule=f"{_RULES}:gated_branch",
    ),
    Strategy(
        "modes",
        "each failure mode has a branch of the sensors that announce it, with penalties by its own "
        "ranking; sensors of several modes are in one that they share. A plant without modes gets "
        "tiers",
        rule="pm_app.learning.allocation.by_mode:branch_a_mode",
        by_mode=True,
    ),
)
STRATEGY_NAMES = tuple(strategy.name for strategy in STRATEGIES)
STRATEGY_CHOICES = (*STRATEGY_NAMES, AUTO)


def strategy_named(name: str) -> Strategy:
    """The row of that name. Raises KeyError."""
    return {strategy.name: strategy for strategy in STRATEGIES}[name]
