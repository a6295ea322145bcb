"""Measuring what is missing among the results, one family on one fold at a time."""

import os
import time
import warnings
from pathlib import Path

from benchmarks.quality.models.families import Family, families
from benchmarks.quality.models.judging import judge
from benchmarks.quality.picture import draw
from benchmarks.quality.results import Cell, Results, digest_of_data
from benchmarks.quality.sets.engines import ENGINES
from benchmarks.quality.sets.folds import Fold, QualitySet
from benchmarks.quality.sets.milling import AI4I
from benchmarks.quality.sets.pumps import PUMPS
from benchmarks.quality.sets.robot import UR3
from benchmarks.quality.tables import (
    BENCHMARKS,
    OWN_RESULTS,
    markdown,
    quote_in,
    quoted_block,
)

SETS = (AI4I, UR3, *PUMPS, *ENGINES)


def asked(variable: str, known: list[str], default: list[str]) -> list[str]:
    """Names from the environment, every one of them known."""
    text = os.environ.get(f"PM_APP_QUALITY_{variable}", "")
    names = [name.strip() for name in text.split(";") if name.strip()] or default
    unknown = sorted(set(names) - {*known, "peers", "none"})
    assert not unknown, f"PM_APP_QUALITY_{variable} must be among {known}, got {unknown}"
    if "peers" in names:
        names = [*names, *(name for name in known if name != "ours")]
    return names


def is_missing(results: Results, family: Family, fold: Fold, quality: QualitySet, again) -> bool:
    """Whether a family has yet to be measured on this fold as it is."""
    data = digest_of_data(fold, quality.task)
    cells = [results.find((quality.name, fold.name, model)) for model in family.models]
    return any(
        cell is None or cell.data != data or (family.name in again and cell.code != family.code)
        for cell in cells
    )


def measure(results: Results, family: Family, fold: Fold, quality: QualitySet, seed: int) -> None:
    """Fit, judge and keep every model of a family on one fold."""
    data = digest_of_data(fold, quality.task)
    with warnings.catch_warnings():
        # What peers' libraries warn of (names of columns, iterations) is theirs.
        warnings.simplefilter("ignore")
        for model, said, seconds in family.measure(fold, quality.task, seed):
            figures = judge(fold, quality.task, said)
            told = (round(seconds, 1), data, family.code, said.note)
            results.keep([Cell(quality.name, fold.name, model, figures, *told)])
            line = " ".join(f"{name} {value:.4g}" for name, value in figures.items())
            clock = time.strftime("%H:%M:%S")
            print(f"{clock} {quality.name}, {fold.name}, {model}: {line} ({seconds:.0f} s)")


def run(open_data: Path, work: Path, folder: Path) -> Results:
    """Every cell asked for, measured where it is missing; table and picture in `folder`.

    Both are made anew also where the run is stopped, and so is what pm_app/docs quotes of the
    benchmark's own results.
    """
    results = Results(folder / "results.json")
    try:
        _measure_missing(results, open_data, work)
    finally:
        show(results, folder)
    return results


def show(results: Results, folder: Path) -> None:
    """Print and write what the results say."""
    cells = list(results)
    text = markdown(cells)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "quality.md").write_text(text, encoding="utf-8")
    draw(cells, folder / "quality.png")
    if folder.resolve() == OWN_RESULTS:
        quote_in(BENCHMARKS, quoted_block(cells))
    print("\n" + text)


def _measure_missing(results: Results, open_data: Path, work: Path) -> None:
    everyone = {family.name: family for family in families()}
    models = asked("MODELS", list(everyone), list(everyone))
    again = asked("AGAIN", list(everyone), ["none"])
    sets = asked("SETS", [quality.name for quality in SETS], [quality.name for quality in SETS])
    wanted = {name for name in os.environ.get("PM_APP_QUALITY_FOLDS", "").split(";") if name}
    for quality in (quality for quality in SETS if quality.name in sets and models != ["none"]):
        (work / quality.name).mkdir()
        for seed, fold in enumerate(quality.folds(open_data, work / quality.name)):
            if wanted and fold.name not in wanted:
                continue
            for family in (everyone[name] for name in everyone if name in models):
                if is_missing(results, family, fold, quality, again):
                    measure(results, family, fold, quality, seed)
