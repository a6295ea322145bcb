"""How much of a network's average precision is the luck of its seed.

    python -m pytest -m benchmark tests/benchmarks/quality/ablation/test_seeds.py -s

needs the extra `benchmark` and the public data sets. Prints a table and writes it into the
results folder; only what is missing there, or was measured on other rows, is measured. From the
environment, all optional:

    PM_APP_SEEDS_RESULTS  the folder of results (default: ../results)
    PM_APP_SEEDS          how many seeds (default 20)
    PM_APP_SEEDS_AGAIN    1: what other code has measured is measured again
"""

from pathlib import Path

import pytest
from benchmarks.quality.options import folder, whole_number

RESULTS = Path(__file__).parents[1] / "results"


@pytest.mark.benchmark
def test_how_far_seeds_part_is_measured(open_data, tmp_path):
    for needed in ("lightgbm", "matplotlib"):
        pytest.importorskip(needed, reason=f"needs {needed}: install the extra `benchmark`")
    from benchmarks.quality.ablation.seeds import SEEDS, SETS, STRATEGIES, run_seeds, spread_over

    results = run_seeds(open_data, tmp_path, folder("PM_APP_SEEDS_RESULTS", RESULTS))

    for quality in SETS:
        for strategy in STRATEGIES:
            found = spread_over(list(results), quality.name, strategy)
            assert found is not None
            assert found.seeds >= whole_number("PM_APP_SEEDS", SEEDS)
            assert 0.0 < found.worst <= found.median <= found.best <= 1.0
