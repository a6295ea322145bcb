"""Normal behaviour learned without failures, beside what people use today.

    python -m pytest -m benchmark tests/benchmarks/normality -s

needs the public data sets and matplotlib (extra `benchmark`). Prints tables, and writes them with
a picture into the results folder. PM_APP_NORMALITY_PARTS names parts to measure, separated by ";"
("none" only writes tables); FD003 is measured only where it is named.
"""

import os
from pathlib import Path

import pytest

RESULTS = Path(__file__).parent / "results"


@pytest.mark.benchmark
@pytest.mark.filterwarnings("ignore")
def test_normal_behaviour_is_measured_beside_its_peers(open_data):
    pytest.importorskip("matplotlib", reason="needs matplotlib: install the extra `benchmark`")
    from benchmarks.normality.run import DEFAULT_PARTS, run
    from benchmarks.normality.tables import draw, write_tables

    named = os.environ.get("PM_APP_NORMALITY_PARTS", "")
    parts = tuple(named.split(";")) if named else DEFAULT_PARTS
    cells = run(open_data, RESULTS, () if parts == ("none",) else parts)
    print(write_tables(RESULTS))
    draw(RESULTS)

    for rows in cells.values():
        assert all(0.0 <= figures.get("auc", 0.5) <= 1.0 for figures in rows.values())
