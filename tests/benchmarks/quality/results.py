"""Figures of every set, fold and model, kept in one file so that a run can stop and go on.

A cell also keeps a digest of the data it was measured on and of the code of its model: other
features or rows are another question, and a cell measured on them is never mixed in.
"""

import ast
import fcntl
import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
from benchmarks.quality.sets.folds import BETWEEN, PART_NAMES, Fold, Task

Key = tuple[str, str, str, int]
# Summaries agree to this many digits where machines round the last bits differently.
_DIGITS = 4


@dataclass(frozen=True)
class Cell:
    """One model on one fold, from one seed.

    seconds: of one processor, to tune and fit. note: what the model told of itself, e.g. what
    validation chose. seed: 0 for the first, and the only one where no spread is asked for.
    """

    set: str
    fold: str
    model: str
    figures: dict[str, float]
    seconds: float
    data: str
    code: str
    note: dict[str, float | str] = field(default_factory=dict)
    seed: int = 0

    @property
    def key(self) -> Key:
        """What a later cell replaces it by."""
        return self.set, self.fold, self.model, self.seed


class Results:
    """The cells of a file, written whole after each new one."""

    def __init__(self, path: Path) -> None:
        self._path = path
        text = path.read_text(encoding="utf-8") if path.exists() else '{"cells": []}'
        cells = (Cell(**cell) for cell in json.loads(text)["cells"])
        self._cells = {cell.key: cell for cell in cells}

    def __iter__(self) -> Iterator[Cell]:
        return iter(self._cells.values())

    def find(self, key: Key) -> Cell | None:
        """The cell of a set, fold, model and seed, if it was ever measured."""
        return self._cells.get(key)

    def keep(self, cells: Iterable[Cell]) -> None:
        """Put these cells into the file, a line each, in the place of earlier ones.

        What another run has written meanwhile, or is about to write, stays.
        """
        self._path.parent.mkdir(parents=True, exist_ok=True)
        folder = os.open(self._path.parent, os.O_RDONLY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            later = Results(self._path)
            self._cells = later._cells | {cell.key: cell for cell in cells}
            lines = ",\n".join(json.dumps(asdict(self._cells[key])) for key in sorted(self._cells))
            beside = self._path.with_suffix(".part")
            beside.write_text(f'{{"cells": [\n{lines}\n]}}\n', encoding="utf-8")
            os.replace(beside, self._path)
        finally:
            os.close(folder)


def digest_of_data(fold: Fold, task: Task) -> str:
    """What a model is asked: the task, names and gist of the features, truth, parted rows."""
    digest = hashlib.sha256(repr((task, fold.frame.features)).encode())
    rows = [getattr(fold.split, name) for name in (*PART_NAMES, "test", BETWEEN)]
    for part in filter(len, rows):
        digest.update(part.astype(np.int64).tobytes())
        with np.errstate(all="ignore"):
            values = fold.frame.values[part].astype(float)
            missing = np.isnan(values).mean(axis=0)
            centre = np.nan_to_num(np.where(np.isnan(values), 0.0, values).mean(axis=0))
        digest.update(_told(np.concatenate([missing, centre])).encode())
        truth = fold.labels.value if task.kind != "life" else fold.labels.duration_hours
        digest.update(_told(np.nan_to_num(truth[part][:: max(1, len(part) // 50)])).encode())
    return digest.hexdigest()[:12]


def digest_of_files(paths: Iterable[Path]) -> str:
    """One digest of what these Python files do, in order of path; what they import moves freely."""
    digest = hashlib.sha256()
    for path in sorted(paths):
        digest.update(_without_imports(path.read_text(encoding="utf-8")).encode())
    return digest.hexdigest()[:12]


def _without_imports(source: str) -> str:
    lines = source.splitlines(keepends=True)
    for node in ast.parse(source).body:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            lines[node.lineno - 1 : node.end_lineno] = [""] * (node.end_lineno - node.lineno + 1)
    return "".join(lines)


def _told(values: np.ndarray) -> str:
    return " ".join(f"{value:.{_DIGITS}g}" for value in values)
