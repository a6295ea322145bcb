"""How often retrainings decide wrongly: on plants that stay, that change, and at the gate.

    python -m pytest -m benchmark tests/benchmarks/decisions -s

Prints a table with exact intervals, and writes it into the results folder; only what is missing
there, or was decided by other code, is measured. An hour of one processor, without the parts
that train networks. From the environment, both optional:

    PM_APP_DECISIONS_RESULTS  the folder of results (default: results/ beside this file)
    PM_APP_DECISIONS_PARTS    parts to measure, separated by ";": stationary, change, gate,
                              "gate, network", "first version", "first version, product"
                              (default: all), "none" only tells
"""

import os
from pathlib import Path

import pytest
from benchmarks.decisions.summary import CHANGE, FIRST, FIRST_PRODUCT, GATE, NETWORK, STATIONARY

RESULTS = Path(__file__).parent / "results"
PARTS = (STATIONARY, CHANGE, GATE, NETWORK, FIRST, FIRST_PRODUCT)


@pytest.mark.benchmark
def test_decisions_are_counted_on_simulated_plants(tmp_path):
    from benchmarks.decisions.run import run
    from benchmarks.decisions.summary import counts

    folder = Path(os.environ.get("PM_APP_DECISIONS_RESULTS", RESULTS))
    asked = os.environ.get("PM_APP_DECISIONS_PARTS", "")
    names = [name.strip() for name in asked.split(";") if name.strip()] or list(PARTS)
    outcomes = run(tmp_path, folder, names)

    for count in counts(outcomes):
        assert 0 <= count.hits <= count.of, count
