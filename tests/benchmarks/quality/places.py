"""Where cells of a fold go, which are missing there, and putting them in."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from benchmarks.quality.results import Cell, Results


@dataclass(frozen=True)
class Place:
    """Where cells of one fold go, and what they were measured on and by."""

    set: str
    fold: str
    data: str
    code: str

    def dated(self, cell: Cell) -> Cell:
        """The cell with its place filled in."""
        return replace(cell, set=self.set, fold=self.fold, data=self.data, code=self.code)


def find_missing(
    results: Results, place: Place, models: Iterable[str], *, again: bool = False
) -> list[str]:
    """Models that have yet to be measured there; with `again` also by the code as it is now."""
    found = {name: results.find((place.set, place.fold, name, 0)) for name in models}
    return [
        name
        for name, cell in found.items()
        if cell is None or cell.data != place.data or (again and cell.code != place.code)
    ]


def keep(results: Results, place: Place, cells: Sequence[Cell]) -> None:
    """Put measured cells where they belong, and say so."""
    results.keep([place.dated(cell) for cell in cells])
    for cell in cells:
        figures = " ".join(f"{name} {value:.4g}" for name, value in cell.figures.items())
        clock = time.strftime("%H:%M:%S")
        told = f"{clock} {place.set}, {place.fold}, {cell.model}: {figures or cell.note}"
        print(f"{told} ({cell.seconds:.0f} s)", flush=True)
