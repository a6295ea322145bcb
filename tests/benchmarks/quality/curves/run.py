"""Measuring what is missing of the budget curve, one budget of one fold at a time."""

import time
import warnings
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import replace
from importlib.util import find_spec
from itertools import islice
from pathlib import Path

from benchmarks.quality.curves.budget import (
    BOOSTER,
    BUDGETS,
    COST,
    CURVES,
    NUISANCE,
    Asked,
    ask,
    digests,
    measure_budget,
    measure_costs,
    model_name,
    one_process,
    set_name,
)
from benchmarks.quality.curves.picture import draw_curves
from benchmarks.quality.curves.tables import (
    BUDGET_BEGIN,
    BUDGET_END,
    budget_block,
    curves_markdown,
)
from benchmarks.quality.models.judging import judge
from benchmarks.quality.options import is_on, whole_number, whole_numbers
from benchmarks.quality.places import Place, find_missing, keep
from benchmarks.quality.results import Cell, Results
from benchmarks.quality.sets.engines import ENGINES
from benchmarks.quality.sets.folds import Fold, Task
from benchmarks.quality.sets.nuisance import add_nuisance
from benchmarks.quality.sets.thinning import thin
from benchmarks.quality.tables import BENCHMARKS, OWN_RESULTS, quote_in

SPLITS, EVERY = 3, 3


def run_budget(open_data: Path, work: Path, folder: Path) -> Results:
    """Every point asked for, measured where it is missing; table and picture in `folder`."""
    results = Results(folder / "budget.json")
    try:
        _measure_all(results, open_data, work)
    finally:
        show_budget(results, folder)
    return results


def show_budget(results: Results, folder: Path) -> None:
    """Print and write what the results say."""
    cells = list(results)
    text = curves_markdown(cells)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "budget.md").write_text(text, encoding="utf-8")
    draw_curves(cells, folder / "budget.png")
    if folder.resolve() == OWN_RESULTS:
        quote_in(BENCHMARKS, budget_block(cells), BUDGET_BEGIN, BUDGET_END)
    print("\n" + text)


def _measure_all(results: Results, open_data: Path, work: Path) -> None:
    splits = whole_number("PM_APP_BUDGET_SPLITS", SPLITS)
    every = whole_number("PM_APP_BUDGET_EVERY", EVERY)
    nuisance = whole_numbers("PM_APP_BUDGET_NUISANCE", NUISANCE)
    engines = ENGINES[0]
    for seed, fold in enumerate(islice(engines.folds(open_data, work), splits)):
        for count in nuisance:
            data, code = digests(thin(fold, every=every), engines.task, count)
            place = Place(set_name(engines.name, count), fold.name, data, code)
            _measure_fold(results, place, (fold, engines.task), (count, every, seed))


def _measure_fold(
    results: Results, place: Place, plain: tuple[Fold, Task], how: tuple[int, int, int]
) -> None:
    """All budgets of one fold. plain: before nuisance and thinning; how: nuisance sensors,
    every how many-th row, seed."""
    budgets = whole_numbers("PM_APP_BUDGET_SIZES", BUDGETS, least=100)
    again = is_on("PM_APP_BUDGET_AGAIN")
    names = [model_name(name, budget) for budget in budgets for name in CURVES]
    costs = replace(place, fold=COST, data=_sizes(budgets), code="")
    missing = find_missing(results, place, [*names, *_boosters()], again=again)
    costly = _lack_costs(results, costs, place)
    if not missing and not costly:
        return
    (fold, task), (count, every, seed) = plain, how
    noisy = thin(add_nuisance(fold, count, seed=seed), every=every)
    asked = ask(noisy, task, seed=seed)
    with one_process() as pool:
        _measure_networks(results, place, asked, budgets, missing, pool)
        if costly:
            keep(results, costs, pool.submit(measure_costs, asked, budgets).result())
    if BOOSTER in missing:
        keep(results, place, [_boost(noisy, task, seed)])


def _measure_networks(
    results: Results,
    place: Place,
    asked: Asked,
    budgets: Sequence[int],
    missing: Sequence[str],
    pool: Executor,
) -> None:
    for budget in budgets:
        wanted = [name for name in CURVES if model_name(name, budget) in missing]
        if wanted:
            cells = pool.submit(measure_budget, asked, budget, wanted).result()
            keep(results, place, cells)


def _lack_costs(results: Results, costs: Place, place: Place) -> bool:
    """Whether scoring has yet to be timed for these budgets; the first fold serves for all."""
    found = [cell for cell in results if (cell.set, cell.fold) == (place.set, COST)]
    return not found or any(cell.data != costs.data for cell in found)


def _sizes(budgets: Sequence[int]) -> str:
    return " ".join(str(budget) for budget in budgets)


def _boosters() -> list[str]:
    return [BOOSTER] if find_spec("lightgbm") else []


def _boost(fold: Fold, task: Task, seed: int) -> Cell:
    """LightGBM on the same rows and sensors, tuned as in the quality benchmark."""
    from benchmarks.quality.models.boosters import BOOSTERS
    from benchmarks.quality.models.peers import ask as ask_peer
    from benchmarks.quality.models.peers import said_by

    begun = time.process_time()
    with warnings.catch_warnings():
        # What peers' libraries warn of (names of columns) is theirs.
        warnings.simplefilter("ignore")
        said = said_by([ask_peer(fold, BOOSTERS[BOOSTER], task, seed=seed)], fold, task)
    figures = judge(fold, task, said)
    seconds = round(time.process_time() - begun, 1)
    return Cell("", "", BOOSTER, figures, seconds, "", "", {"strategy": BOOSTER})
