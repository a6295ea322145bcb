"""Seeds of simulated plants: three that were looked at while building, and fresh ones.

Fresh seeds are drawn when nothing more is changed, and named in the environment:

    PM_APP_QUALITY_FRESH    seeds of further plants of each simulated kind, separated by ";"
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, TypeVar

from benchmarks.quality.options import names, whole_numbers
from benchmarks.quality.sets.folds import FRESH

LOOKED_AT = (11, 12, 13)

# A plan with a seed; what it plans is nobody's matter here.
Plan = TypeVar("Plan", bound=Any)


def plant_seeds(plan: Plan) -> Iterator[tuple[str, Plan]]:
    """Names of folds and the plan with their seeds: those asked for, the ones looked at first."""
    fresh = whole_numbers("PM_APP_QUALITY_FRESH", ())
    seen = sorted(set(fresh) & set(LOOKED_AT))
    assert not seen, f"PM_APP_QUALITY_FRESH: {seen} were looked at while building"
    wanted = names("PM_APP_QUALITY_FOLDS")
    plants = {f"plant {seed}": seed for seed in LOOKED_AT}
    plants |= {f"{FRESH}plant {seed}": seed for seed in fresh}
    for name, seed in plants.items():
        if not wanted or name in wanted:
            yield name, replace(plan, seed=seed)
