"""The same network from many seeds: how much of a figure is luck.

Penalty, dropout and rate are tuned once; a seed then changes the first weights, the order of
rows and what dropout hides, and nothing else.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from benchmarks.quality.ablation.networks import Bench, conclude, prepare
from benchmarks.quality.curves.budget import one_process
from benchmarks.quality.options import is_on, whole_number
from benchmarks.quality.places import Place, find_missing, keep
from benchmarks.quality.results import Cell, Results, digest_of_data, digest_of_files
from benchmarks.quality.sets.engines import ENGINES
from benchmarks.quality.sets.milling import AI4I
from benchmarks.quality.tables import table_row

SEEDS = 20
SETS = (ENGINES[0], AI4I)
STRATEGIES = ("regularized", "uniform")
_HERE = Path(__file__).parent
_PREFACE = """\
# The same network from many seeds

The first fold of each set. Tuned once, then trained from as many seeds; average precision on
machines, or rows, that no network saw.
"""


@dataclass(frozen=True)
class Spread:
    """Average precision over seeds."""

    seeds: int
    median: float
    worst: float
    best: float
    deviation: float


def run_seeds(open_data: Path, work: Path, folder: Path) -> Results:
    """Every seed asked for, trained where it is missing; the table in `folder`."""
    path = folder / "seeds.json"
    count = whole_number("PM_APP_SEEDS", SEEDS)
    learning = (_HERE.parents[3] / "pm_app" / "learning").rglob("*.py")
    code = digest_of_files(
        [*learning, _HERE.parent / "models/ours.py", _HERE / "networks.py", Path(__file__)]
    )
    names = [_model(strategy, seed) for seed in range(count) for strategy in STRATEGIES]
    try:
        for quality in SETS:
            (work / quality.name).mkdir()
            fold = next(iter(quality.folds(open_data, work / quality.name)))
            place = Place(quality.name, fold.name, digest_of_data(fold, quality.task), code)
            missing = find_missing(Results(path), place, names, again=is_on("PM_APP_SEEDS_AGAIN"))
            if missing:
                with one_process() as pool:
                    told = (fold, quality.task, place, path, missing)
                    pool.submit(measure_seeds, *told).result()
    finally:
        text = seeds_markdown(list(Results(path)))
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "seeds.md").write_text(text, encoding="utf-8")
        print("\n" + text)
    return Results(path)


def measure_seeds(fold, task, place: Place, path: Path, names: Sequence[str]) -> None:
    """Train from these seeds; each cell is kept in the file as soon as it is known."""
    results = Results(path)
    bench = prepare(fold, task, rows=len(fold.split.train), seed=0)
    for name in names:
        strategy, seed = name.rsplit(", seed ", 1)
        begun = time.process_time()
        figures, note = measure_seed(bench, strategy, int(seed))
        seconds = round(time.process_time() - begun, 1)
        keep(results, place, [Cell("", "", name, figures, seconds, "", "", note)])


def measure_seed(bench: Bench, strategy: str, seed: int) -> tuple[dict, dict]:
    """Figures and note of the strategy's network trained from this seed."""
    from pm_app.learning.training.fit import Training, refit_network, train_network

    plan, study = bench.plan(strategy=strategy), bench.study
    training = Training(plan, bench.control.rate, seed)
    trained = train_network(study, training)
    whole = refit_network(study, training, rows=bench.fold.split.learned, like=trained)
    found = conclude(bench, trained, whole, 0.0)
    return found.figures, found.note


def spread_over(cells: Sequence[Cell], set_name: str, strategy: str) -> Spread | None:
    """How average precision of a strategy spreads over the seeds measured; None without any."""
    found = [
        cell.figures["ap"]
        for cell in cells
        if cell.set == set_name and cell.model.startswith(f"{strategy}, seed ")
    ]
    if not found:
        return None
    ap = np.array(found)
    return Spread(len(ap), float(np.median(ap)), float(ap.min()), float(ap.max()), float(ap.std()))


def seeds_markdown(cells: Sequence[Cell]) -> str:
    """A row a set and strategy."""
    titles = ("set", "network", "seeds", "median", "worst", "best", "deviation", "median to worst")
    rows = [table_row(titles), table_row(["---"] * len(titles))]
    for name in sorted({cell.set for cell in cells}):
        for strategy in STRATEGIES:
            found = spread_over(cells, name, strategy)
            if found is not None:
                figures = (found.median, found.worst, found.best, found.deviation)
                told = [f"{value:.4f}" for value in (*figures, found.median - found.worst)]
                rows.append(table_row([name, strategy, str(found.seeds), *told]))
    return "\n".join([_PREFACE, *rows]) + "\n"


def _model(strategy: str, seed: int) -> str:
    return f"{strategy}, seed {seed}"
