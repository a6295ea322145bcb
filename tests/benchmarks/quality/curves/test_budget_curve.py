"""What a parameter buys, guided and not, among sensors that matter and sensors that do not.

    python -m pytest -m benchmark tests/benchmarks/quality/curves/test_budget_curve.py -s

needs the extra `benchmark` and the public data sets. Prints a table, and writes it with a picture
into the results folder; only what is missing there, or was measured on other rows, is measured.
From the environment, all optional:

    PM_APP_BUDGET_RESULTS   the folder of results (default: ../results)
    PM_APP_BUDGET_SPLITS    splits by engine, at most 5 (default 3); a sixth would be the official
                            test engines
    PM_APP_BUDGET_NUISANCE  numbers of nuisance sensors, separated by ";" (default 0;60;300)
    PM_APP_BUDGET_SIZES     parameter budgets, separated by ";"
                            (default 1000;3000;10000;30000;100000)
    PM_APP_BUDGET_EVERY     of an engine's rows every how many-th is learned from (default 3)
    PM_APP_BUDGET_AGAIN     1: what other code has measured is measured again
"""

from pathlib import Path

import pytest
from benchmarks.quality.options import folder

RESULTS = Path(__file__).parents[1] / "results"


@pytest.mark.benchmark
def test_what_a_parameter_buys_is_measured(open_data, tmp_path):
    pytest.importorskip("matplotlib", reason="needs matplotlib: install the extra `benchmark`")
    from benchmarks.quality.curves.run import run_budget

    results = run_budget(open_data, tmp_path, folder("PM_APP_BUDGET_RESULTS", RESULTS))

    for cell in results:
        assert 0.0 <= cell.figures.get("ap", 0.5) <= 1.0, cell
        assert cell.figures.get("microseconds", 1.0) > 0.0, cell
