"""Which mode fails: the product beside boosted trees and forests on the same rows.

    python -m pytest -m benchmark tests/benchmarks/modes -s

needs the extra `benchmark`. Measures the cells that results.json lacks and prints all of them.
From the environment, all optional:

    PM_APP_MODES_RESULTS  the file of results (default: results.json beside this file)
    PM_APP_MODES_CELLS    cells to measure, separated by ";", like "pumps 11;ai4i 0"; "none" only
                          prints (default: pumps of three seeds, and the five folds of AI4I)

seen coming: of test rows that fail within 72 hours (or belong to a class that fails), the share
whose risk is at least the threshold of best F1 on validation and calibration rows; mode right and
mode macro F1 are of these. Last, what telling modes apart does to the risk itself, paired by cell.
"""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from benchmarks.quality.options import names
from scipy.stats import ttest_rel

RESULTS = Path(__file__).parent / "results.json"
PAIRS = (("network", "network, one hazard"), ("pool", "pool, one hazard"))
CELLS = ("pumps 11", "pumps 12", "pumps 13", *(f"ai4i {fold}" for fold in range(5)))


@pytest.mark.benchmark
def test_modes_are_measured_beside_peers(open_data, tmp_path):
    pytest.importorskip("lightgbm", reason="needs lightgbm: install the extra `benchmark`")
    file = Path(os.environ.get("PM_APP_MODES_RESULTS", RESULTS))
    found = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    for cell in names("PM_APP_MODES_CELLS") or CELLS:
        if cell != "none" and _is_missing(cell, found.get(cell, {})):
            found[cell] = _measure(cell, found.get(cell, {}), tmp_path, open_data)
            file.write_text(json.dumps(found, indent=1, sort_keys=True), encoding="utf-8")
    for kind in sorted({cell.split()[0] for cell in found}):
        _print(kind, {cell: each for cell, each in found.items() if cell.startswith(kind)})
    _compare(found)

    for each in found.values():
        assert all(0.0 <= value <= 1.0 for figures in each.values() for value in figures.values())


def _is_missing(cell: str, figures: dict[str, dict[str, float]]) -> bool:
    from benchmarks.modes.cells import TRUTH

    return not figures or (cell.startswith("pumps") and TRUTH not in figures)


def _measure(
    cell: str, figures: dict[str, dict[str, float]], work: Path, open_data: Path
) -> dict[str, dict[str, float]]:
    """What is there already, what models say where it is not, and what the simulator knows."""
    from benchmarks.modes.cells import measure, measure_truth
    from benchmarks.modes.plants import milling, pumps

    kind, number = cell.split()
    judged = pumps(int(number), work) if kind == "pumps" else milling(int(number), work, open_data)
    return (figures or measure(judged, seed=int(number))) | measure_truth(judged)


def _print(kind: str, cells: dict[str, dict[str, dict[str, float]]]) -> None:
    """Mean and standard deviation over cells, a row a model."""
    models = list(next(iter(cells.values())))
    figures = list(
        dict.fromkeys(name for model in models for name in next(iter(cells.values()))[model])
    )
    print(f"\n{kind}: {', '.join(cells)}\n{'':22}{''.join(f'{name:>25}' for name in figures)}")
    for model in models:
        values = [[cell[model].get(name, np.nan) for name in figures] for cell in cells.values()]
        means, spread = np.mean(values, axis=0), np.std(values, axis=0)
        row = "".join(f"{m:>17.3f} ± {s:.3f}" for m, s in zip(means, spread, strict=True))
        print(f"{model:22}{row}")


def _compare(cells: dict[str, dict[str, dict[str, float]]]) -> None:
    """What telling modes apart does to the risk itself, paired over all cells."""
    for name, other in PAIRS:
        for figure in ("average precision", "brier"):
            pairs = [(cell[name][figure], cell[other][figure]) for cell in cells.values()]
            ours, theirs = np.array(pairs).T
            apart = ours - theirs
            error = apart.std(ddof=1) / np.sqrt(len(apart))
            chance = ttest_rel(ours, theirs).pvalue
            print(
                f"{name} less {other}: {figure} {apart.mean():+.4f} ± {error:.4f}, "
                f"p = {chance:.2f}, {len(apart)} cells"
            )
