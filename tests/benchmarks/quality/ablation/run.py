"""Measuring what is missing of the ablation, one ingredient of one fold at a time."""

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from benchmarks.quality.ablation.picture import draw_ablation
from benchmarks.quality.ablation.tables import (
    ABLATION_BEGIN,
    ABLATION_END,
    ablation_block,
    ablation_markdown,
)
from benchmarks.quality.curves.budget import one_process
from benchmarks.quality.options import is_on, whole_number
from benchmarks.quality.places import Place, find_missing, keep
from benchmarks.quality.results import Cell, Results, digest_of_data, digest_of_files
from benchmarks.quality.sets.engines import ENGINES
from benchmarks.quality.sets.folds import Fold, QualitySet, Task
from benchmarks.quality.sets.pumps import PUMPS
from benchmarks.quality.sets.thinning import thin
from benchmarks.quality.tables import BENCHMARKS, OWN_RESULTS, quote_in

SPLITS, PLANTS, EVERY = 3, 1, 3
# Whose sensors have gaps, so that indicators of missing values have something to say.
PLANT_SET = next(quality for quality in PUMPS if quality.name == "pumps, seals")
_HERE = Path(__file__).parent


def run_ablation(open_data: Path, work: Path, folder: Path) -> Results:
    """Every row asked for, measured where it is missing; table and picture in `folder`."""
    results = Results(folder / "ablation.json")
    try:
        _measure_all(results, folder / "ablation.json", open_data, work)
    finally:
        show_ablation(Results(folder / "ablation.json"), folder)
    return Results(folder / "ablation.json")


def show_ablation(results: Results, folder: Path) -> None:
    """Print and write what the results say."""
    cells = list(results)
    text = ablation_markdown(cells)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "ablation.md").write_text(text, encoding="utf-8")
    draw_ablation(cells, folder / "ablation.png")
    if folder.resolve() == OWN_RESULTS:
        quote_in(BENCHMARKS, ablation_block(cells), ABLATION_BEGIN, ABLATION_END)
    print("\n" + text)


def _measure_all(results: Results, path: Path, open_data: Path, work: Path) -> None:
    from benchmarks.quality.ablation.ingredients import VARIANTS

    every = whole_number("PM_APP_ABLATION_EVERY", EVERY)
    again = is_on("PM_APP_ABLATION_AGAIN")
    for quality, seed, fold in _folds(open_data, work):
        rows = len(fold.split.train)
        fold = thin(fold, every=every)
        data = digest_of_data(fold, quality.task)
        place = Place(quality.name, fold.name, data, _code())
        missing = find_missing(results, place, VARIANTS, again=again)
        if missing:
            with one_process() as pool:
                told = (fold, quality.task, place, path, missing)
                pool.submit(measure_missing, *told, rows=rows, seed=seed).result()


def _folds(open_data: Path, work: Path) -> Iterator[tuple[QualitySet, int, Fold]]:
    counts = (
        (ENGINES[0], whole_number("PM_APP_ABLATION_SPLITS", SPLITS)),
        (PLANT_SET, whole_number("PM_APP_ABLATION_PLANTS", PLANTS)),
    )
    for quality, count in counts:
        folder = work / quality.name
        folder.mkdir()
        for seed, fold in enumerate(islice(quality.folds(open_data, folder), count)):
            yield quality, seed, fold


def measure_missing(
    fold: Fold,
    task: Task,
    place: Place,
    path: Path,
    names: Sequence[str],
    *,
    rows: int,
    seed: int,
) -> None:
    """Measure these variants of one fold; each cell is kept in the file as soon as it is known.

    rows: as `prepare` takes them.
    """
    from benchmarks.quality.ablation.ingredients import VARIANTS
    from benchmarks.quality.ablation.networks import prepare

    results = Results(path)
    bench = prepare(fold, task, rows=rows, seed=seed)
    for name in names:
        found = VARIANTS[name].measure(bench)
        cell = Cell("", "", name, {}, 0.0, "", "", {"told": "nothing to take away"})
        if found is not None:
            figures, seconds = found.figures, round(found.seconds, 1)
            cell = Cell("", "", name, figures, seconds, "", "", found.note)
        keep(results, place, [cell])


def _code() -> str:
    learning = (_HERE.parents[3] / "pm_app" / "learning").rglob("*.py")
    own = [_HERE / name for name in ("../models/ours.py", "networks.py", "ingredients.py")]
    return digest_of_files([*learning, *own])
