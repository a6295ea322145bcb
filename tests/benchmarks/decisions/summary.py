"""What the outcomes come to: counts with exact intervals, beside what was promised.

Needs nothing but the outcomes, so that figures quoted elsewhere can be checked everywhere.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.decisions.results import Outcome
from scipy.stats import binomtest

STATIONARY, CHANGE, GATE, NETWORK = "stationary", "change", "gate", "gate, network"
FIRST, FIRST_PRODUCT = "first version", "first version, product"
# Plants that a whole run measures.
PLANNED = {STATIONARY: 10, CHANGE: 50, GATE: 100, NETWORK: 5, FIRST: 100, FIRST_PRODUCT: 10}
# So many times better than the share of failures a booster ranks a plant that it predicts.
PREDICTED = 3.0
NEW_KIND = "impeller"
# A change can be noticed once this many of the failures that drift is asked of, the newest of
# those that teach, are of the new kind: half of 2 * retraining.minimum_failures.
ENOUGH = 10
# Retrainings after the one that first saw enough of them by which the plan has to be rebuilt.
WITHIN = 2
CONFIDENCE = 0.95


def rebuilt_for_change(row: Mapping[str, Any]) -> bool:
    """Whether a retraining rebuilt with at least half of enough failures of the new kind."""
    return bool(row["verdict"] == "rebuild" and 2 * row["of_kind"] >= ENOUGH)


@dataclass(frozen=True)
class Count:
    """So many of so many; most or least is the promise, None where nothing is."""

    what: str
    hits: int
    of: int
    most: float | None = None
    least: float | None = None

    @property
    def interval(self) -> tuple[float, float]:
        """Exact (Clopper & Pearson 1934), as if all were drawn independently."""
        found = binomtest(self.hits, self.of).proportion_ci(CONFIDENCE, method="exact")
        return float(found.low), float(found.high)

    @property
    def kept(self) -> bool | None:
        """Whether the promise holds as counted."""
        if self.most is not None:
            return self.hits <= self.most * self.of
        return None if self.least is None else self.hits >= self.least * self.of


def counts(outcomes: Iterable[Outcome]) -> list[Count]:
    """Every figure that the outcomes hold, in the order of the parts."""
    told = list(outcomes)
    parts = {name: [one for one in told if one.part == name] for name in (STATIONARY, CHANGE)}
    return [
        *_count_stationary(parts[STATIONARY]),
        *_count_changes(parts[CHANGE]),
        *_count_gate([one for one in told if one.part == GATE], "forest"),
        *_count_gate([one for one in told if one.part == NETWORK], "network"),
        *_count_first([one for one in told if one.part == FIRST], "forest member alone"),
        *_count_first([one for one in told if one.part == FIRST_PRODUCT], "whole product"),
    ]


def _count_stationary(plants: Sequence[Outcome]) -> list[Count]:
    steps = [row for plant in plants for row in plant.rows if row["verdict"] != "first"]
    if not steps:
        return []
    rebuilt = sum(step["verdict"] == "rebuild" for step in steps)
    differed = sum(step["in_a_row"] > 0 for step in steps)
    return [
        Count("retrainings of a plant that does not change: rebuilds", rebuilt, len(steps), 0.02),
        Count("… ranking differed beyond chance, once or more", differed, len(steps)),
    ]


def _count_changes(plants: Sequence[Outcome]) -> list[Count]:
    if not plants:
        return []
    told, at_once, early = (
        sum(_is_told(plant, after=after) for plant in plants) for after in (WITHIN, 1, -1)
    )
    of = len(plants)
    return [
        Count(f"plants whose failures change: rebuilt within {WITHIN} retrainings", told, of,
              least=0.95),
        Count("… by the very next one", at_once, of),
        Count(f"… before {ENOUGH} failures of the new kind were seen", early, of),
        Count(f"… rebuilt before {ENOUGH // 2} were seen, so for no good reason",
              sum(map(_is_false, plants)), of),
    ]  # fmt: skip


def _rebuilds(plant: Outcome) -> list[int]:
    """Retrainings that rebuilt where failures of the new kind were many, so for their sake."""
    return [at for at, row in enumerate(plant.rows) if rebuilt_for_change(row)]


def _is_false(plant: Outcome) -> bool:
    return any(row["verdict"] == "rebuild" and not rebuilt_for_change(row) for row in plant.rows)


def _enough(plant: Outcome) -> list[int]:
    return [at for at, row in enumerate(plant.rows) if row["of_kind"] >= ENOUGH]


def _is_told(plant: Outcome, *, after: int) -> bool:
    """Whether it was rebuilt by so many retrainings after the one that first saw enough."""
    enough = _enough(plant)
    last = enough[0] + after if enough else len(plant.rows)
    return any(at <= last for at in _rebuilds(plant))


def _count_gate(plants: Sequence[Outcome], learner: str) -> list[Count]:
    rows = [row for plant in plants for row in plant.rows]
    if not rows:
        return []
    same, shuffled = ([row for row in rows if row["kind"] == k] for k in ("same", "shuffled"))
    words = f"{learner} challengers"
    return [
        Count(f"{words} on shuffled labels: promoted though nothing was asked for",
              sum(row["keep"] for row in shuffled), len(shuffled), 0.0),
        Count("… where a refit was asked for",
              sum(row["refit"] for row in shuffled), len(shuffled), 0.0),
        Count("… as a first version", sum(row["first"] for row in shuffled), len(shuffled), 0.0),
        Count(f"{words} on the champion's data: promoted though nothing was asked for",
              sum(row["keep"] for row in same), len(same), 0.05),
        Count("… where a refit was asked for (not worse is enough)",
              sum(row["refit"] for row in same), len(same)),
    ]  # fmt: skip


def _count_first(plants: Sequence[Outcome], learner: str) -> list[Count]:
    """Small plants that get a version at their first retraining."""
    rows = [row for plant in plants for row in plant.rows]
    if not rows:
        return []
    true, shuffled = ([row for row in rows if row["kind"] == k] for k in ("true", "shuffled"))
    predicted, others = (
        [row for row in true if (row["booster"] >= PREDICTED * row["base_rate"]) is is_predicted]
        for is_predicted in (True, False)
    )
    words = f"plants of 10 to 30 failures, {learner}: a first version"
    found = [
        (f"{words} where a booster predicts them", predicted, {"least": 0.95}),
        (f"{words} where it does not", others, {}),
        (f"{words} of shuffled labels", shuffled, {"most": 0.01}),
    ]
    return [
        Count(what, sum(row["promote"] for row in each), len(each), **promise)
        for what, each, promise in found
        if each
    ]
