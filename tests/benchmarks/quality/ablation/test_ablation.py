"""What each ingredient of the network is worth.

    python -m pytest -m benchmark tests/benchmarks/quality/ablation/test_ablation.py -s

needs the extra `benchmark` and the public data sets. Prints a table, and writes it with a picture
into the results folder; only what is missing there, or was measured on other rows, is measured.
From the environment, all optional:

    PM_APP_ABLATION_RESULTS  the folder of results (default: ../results)
    PM_APP_ABLATION_SPLITS   splits of FD001 by engine, at most 5 (default 3)
    PM_APP_ABLATION_PLANTS   plants of simulated pumps, at most 3 (default 1)
    PM_APP_ABLATION_EVERY    of a machine's rows every how many-th is learned from (default 3)
    PM_APP_ABLATION_AGAIN    1: what other code has measured is measured again
"""

from pathlib import Path

import pytest
from benchmarks.quality.options import folder

RESULTS = Path(__file__).parents[1] / "results"


@pytest.mark.benchmark
def test_what_each_ingredient_is_worth_is_measured(open_data, tmp_path):
    pytest.importorskip("matplotlib", reason="needs matplotlib: install the extra `benchmark`")
    from benchmarks.quality.ablation.run import run_ablation

    results = run_ablation(open_data, tmp_path, folder("PM_APP_ABLATION_RESULTS", RESULTS))

    for cell in results:
        assert 0.0 <= cell.figures.get("ap", 0.5) <= 1.0, cell
        assert cell.figures.get("rmse", 1.0) > 0.0, cell
