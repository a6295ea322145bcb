"""Every plant of every part, measured where it is missing."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.decisions.course import Step, follow
from benchmarks.decisions.first_versions import ask_first, by_forest, by_product, small_plan
from benchmarks.decisions.gates import challenge, forest
from benchmarks.decisions.plants import Grown, grown
from benchmarks.decisions.results import Outcome, Outcomes
from benchmarks.decisions.summary import (
    CHANGE,
    ENOUGH,
    FIRST,
    FIRST_PRODUCT,
    GATE,
    NETWORK,
    NEW_KIND,
    PLANNED,
    STATIONARY,
    WITHIN,
    rebuilt_for_change,
)
from benchmarks.decisions.tables import markdown, quote_in
from benchmarks.quality.results import digest_of_files

from pm_app.simulator import PlantPlan

ROOT = Path(__file__).parents[3]
PROMISES = ROOT / "pm_app" / "docs" / "promises.md"
OWN_RESULTS = Path(__file__).parent / "results"
EVERY_DAYS = 7
FIRST_DAY = 40


@dataclass(frozen=True)
class Part:
    """Plants that are asked the same. code: the files whose change asks anew."""

    name: str
    seeds: range
    plan: Callable[[int], PlantPlan]
    measure: Callable[[Grown], list[dict[str, Any]]]
    code: tuple[str, ...]


def _plan(seed: int, *, days: int, change_day: int | None = None) -> PlantPlan:
    """Thirty pumps, some 0.9 failures a day; after the change impellers fail, not bearings."""
    change_at = 1.0 if change_day is None else change_day / days
    return PlantPlan(
        assets=30, days=days, change_at=change_at, interval_minutes=120, nuisance=3, seed=seed
    )


def _short(seed: int) -> PlantPlan:
    return _plan(seed, days=80)


def _long(seed: int) -> PlantPlan:
    return _plan(seed, days=111)


def _changing(seed: int) -> PlantPlan:
    return _plan(seed, days=125, change_day=FIRST_DAY)


def _stay(plant: Grown) -> list[dict[str, Any]]:
    days = range(FIRST_DAY, plant.plan.days, EVERY_DAYS)
    return [step.as_row() for step in follow(plant, days, watch=NEW_KIND)]


def _change(plant: Grown) -> list[dict[str, Any]]:
    """Until the plan is rebuilt, or should have been."""
    days = range(FIRST_DAY, plant.plan.days, EVERY_DAYS)
    return [step.as_row() for step in _until_told(follow(plant, days, watch=NEW_KIND))]


def _until_told(steps: Iterator[Step]) -> Iterator[Step]:
    chances = 0
    for step in steps:
        yield step
        chances += step.of_kind >= ENOUGH
        if chances > WITHIN or rebuilt_for_change(step.as_row()):
            return


def _by_forest(plant: Grown) -> list[dict[str, Any]]:
    return challenge(plant, day=plant.plan.days, learner=forest)


def _by_network(plant: Grown) -> list[dict[str, Any]]:
    from benchmarks.decisions.networks import network

    return challenge(plant, day=plant.plan.days, learner=network, challengers=1)


def _first_by_forest(plant: Grown) -> list[dict[str, Any]]:
    return ask_first(plant, decide=by_forest)


def _first_by_product(plant: Grown) -> list[dict[str, Any]]:
    return ask_first(plant, decide=by_product)


_LEARNING = "pm_app/learning/"
_PLANTS = ("pm_app/simulator/*.py", "tests/benchmarks/decisions/plants.py")
_RANKING = (
    *(
        f"importance/{name}"
        for name in ("drift", "attribution", "permutation", "forest", "clusters")
    ),
    *("data/splits", "data/time_splits", "ranking"),
)
_DRIFT = (*_PLANTS, *(f"{_LEARNING}{name}.py" for name in _RANKING),
          "tests/benchmarks/decisions/course.py")  # fmt: skip
_TESTS = ("evaluation/promotion", "evaluation/first_version", "evaluation/dealing")
_GATE = (*_PLANTS, *(f"{_LEARNING}{name}.py" for name in _TESTS),
         "tests/benchmarks/decisions/gates.py")  # fmt: skip
_JUDGED = (*_TESTS, "data/origins", "data/splits", "rolling", "pool/forest")
_FIRST = (*_PLANTS, *(f"{_LEARNING}{name}.py" for name in _JUDGED),
          "tests/benchmarks/decisions/first_versions.py")  # fmt: skip

PARTS = (
    Part(STATIONARY, range(PLANNED[STATIONARY]), _long, _stay, _DRIFT),
    Part(CHANGE, range(100, 100 + PLANNED[CHANGE]), _changing,
         _change, _DRIFT),
    Part(GATE, range(200, 200 + PLANNED[GATE]), _short, _by_forest, _GATE),
    Part(NETWORK, range(300, 300 + PLANNED[NETWORK]), _short, _by_network,
         (*_GATE, "tests/benchmarks/decisions/networks.py")),
    Part(FIRST, range(400, 400 + PLANNED[FIRST]), small_plan, _first_by_forest, _FIRST),
    Part(FIRST_PRODUCT, range(400, 400 + PLANNED[FIRST_PRODUCT]), small_plan, _first_by_product,
         (*_FIRST, f"{_LEARNING}pipeline.py")),
)  # fmt: skip


def run(work: Path, folder: Path, names: list[str]) -> Outcomes:
    """The parts of these names, measured where missing; written to `folder` and promises.md."""
    outcomes = Outcomes(folder / "results.json")
    try:
        for part in (part for part in PARTS if part.name in names):
            _measure(part, outcomes, work)
    finally:
        show(outcomes, folder)
    return outcomes


def _measure(part: Part, outcomes: Outcomes, work: Path) -> None:
    code = digest_of_files(path for pattern in part.code for path in ROOT.glob(pattern))
    for seed in part.seeds:
        if outcomes.has(part.name, seed, code):
            continue
        start = time.process_time()
        with grown(part.plan(seed), work / f"{part.name}-{seed}") as plant:
            rows = part.measure(plant)
        outcomes.keep(Outcome(part.name, seed, code, rows))
        seconds = time.process_time() - start
        print(f"{time.strftime('%H:%M:%S')} {part.name} {seed}: {len(rows)} rows, "
              f"{seconds:.0f} s of processor", flush=True)  # fmt: skip


def show(outcomes: Outcomes, folder: Path) -> None:
    """Print and write what the outcomes say."""
    text = markdown(list(outcomes))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "decisions.md").write_text(text, encoding="utf-8")
    if folder.resolve() == OWN_RESULTS:
        told = PROMISES.read_text(encoding="utf-8")
        PROMISES.write_text(quote_in(told, list(outcomes)), encoding="utf-8")
    print("\n" + text)
