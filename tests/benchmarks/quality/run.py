"""Measuring what is missing among the results, one family on one fold at a time."""

import math
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from benchmarks.quality.models.families import Family, families
from benchmarks.quality.options import names, whole_numbers
from benchmarks.quality.results import Cell, Results, digest_of_data
from benchmarks.quality.sets.drives import DRIVES
from benchmarks.quality.sets.engines import ENGINES
from benchmarks.quality.sets.folds import Fold, QualitySet
from benchmarks.quality.sets.kept_folds import keep_folds
from benchmarks.quality.sets.milling import AI4I
from benchmarks.quality.sets.pumps import PUMPS
from benchmarks.quality.sets.robot import UR3
from benchmarks.quality.sets.single import SINGLE
from benchmarks.quality.tables import (
    BENCHMARKS,
    OWN_RESULTS,
    markdown,
    quote_in,
    quoted_block,
)

SETS = (UR3, SINGLE, AI4I, *PUMPS, DRIVES, *ENGINES)


@dataclass(frozen=True)
class Asked:
    """What of the benchmark a run is asked for.

    models: by name. again: families whose other code is measured again. seeds: of every set, None
    for as many as a set has. ends: the second of the monotonic clock after which nothing more is
    begun.
    """

    families: tuple[Family, ...]
    models: frozenset[str]
    again: frozenset[str]
    sets: tuple[QualitySet, ...]
    seeds: tuple[int, ...] | None
    ends: float

    def seeds_of(self, quality: QualitySet) -> tuple[int, ...]:
        """From which every model that draws is fitted on a set."""
        return tuple(range(quality.seeds)) if self.seeds is None else self.seeds

    def missing(
        self, results: Results, family: Family, place: tuple[QualitySet, Fold, str], seed: int
    ) -> list[str]:
        """Models of a family that have yet to be measured on this fold, as its digest has it."""
        quality, fold, data = place
        found = []
        for name in family.repeated if seed else family.models:
            cell = results.find((quality.name, fold.name, name, seed))
            old = family.name in self.again and cell is not None and cell.code != family.code
            if name in self.models and (cell is None or cell.data != data or old):
                found.append(name)
        return found


def read_asked() -> Asked:
    """What the environment asks for. A set that is kept aside is measured only if it is named."""
    every = families()
    models = _chosen("MODELS", every, [family.name for family in every if not family.by_name])
    again = _chosen("AGAIN", every, [])
    known = {quality.name: quality for quality in SETS}
    sets = names("PM_APP_QUALITY_SETS") or [q.name for q in SETS if not q.kept_aside]
    _check("SETS", sets, known)
    seeds = whole_numbers("PM_APP_QUALITY_SEEDS", ()) or None
    minutes = whole_numbers("PM_APP_QUALITY_MINUTES", ())
    return Asked(
        families=every,
        models=frozenset(models),
        again=frozenset(family.name for family in every if set(family.models) & set(again)),
        sets=tuple(known[name] for name in dict.fromkeys(sets)) if models else (),
        seeds=seeds,
        ends=time.monotonic() + 60.0 * minutes[0] if minutes else math.inf,
    )


def _chosen(variable: str, every: Sequence[Family], default: Sequence[str]) -> list[str]:
    """Models asked for by their own name, that of a family, "peers" or "none"."""
    known: dict[str, list[str]] = {"none": [], "peers": []}
    for family in every:
        known |= {name: [name] for name in family.models}
        if family.peer:
            known["peers"] += family.models
    known |= {family.name: list(family.models) for family in every}
    wanted = names(f"PM_APP_QUALITY_{variable}") or default
    _check(variable, wanted, known)
    return [name for each in wanted for name in known[each]]


def _check(variable: str, wanted: Sequence[str], known: Mapping[str, object]) -> None:
    unknown = sorted(set(wanted) - set(known))
    assert not unknown, f"PM_APP_QUALITY_{variable} must be among {list(known)}, got {unknown}"


def measure(
    results: Results, family: Family, place: tuple[QualitySet, Fold, str], seed: int, wanted
) -> None:
    """Fit, judge and keep these models of a family on one fold."""
    quality, fold, data = place
    drawn = fold.seed + 1000 * seed
    with warnings.catch_warnings():
        # What peers' libraries warn of (names of columns, iterations) is theirs.
        warnings.simplefilter("ignore")
        for model, figures, note, seconds in family.measure(fold, quality.task, drawn, wanted):
            rest = (round(seconds, 1), data, family.code, note, seed)
            results.keep([Cell(quality.name, fold.name, model, figures, *rest)])
            line = " ".join(f"{name} {value:.4g}" for name, value in figures.items())
            place_text = f"{quality.name}, {fold.name}, seed {seed}, {model}"
            print(f"{time.strftime('%H:%M:%S')} {place_text}: {line} ({seconds:.0f} s)", flush=True)


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
    from benchmarks.quality.picture import draw

    cells = list(results)
    text = markdown(cells)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "quality.md").write_text(text, encoding="utf-8")
    draw(cells, folder / "quality.png")
    if folder.resolve() == OWN_RESULTS:
        quote_in(BENCHMARKS, quoted_block(cells))
    print("\n" + text)


def _measure_missing(results: Results, open_data: Path, work: Path) -> None:
    asked = read_asked()
    wanted = names("PM_APP_QUALITY_FOLDS")
    for quality in asked.sets:
        for fold in keep_folds(quality, open_data, work):
            if wanted and fold.name not in wanted:
                continue
            place = (quality, fold, digest_of_data(fold, quality.task))
            for seed, family in product(asked.seeds_of(quality), asked.families):
                missing = asked.missing(results, family, place, seed)
                if missing and time.monotonic() > asked.ends:
                    print("PM_APP_QUALITY_MINUTES are over: what is missing is left for later")
                    return
                if missing:
                    measure(results, family, place, seed, missing)
