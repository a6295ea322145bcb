"""pm-app beside what people use today, on the same features and rows.

    python -m pytest -m benchmark tests/benchmarks/quality -s

needs the extra `benchmark` (pip install -e ".[test,benchmark]") and the public data sets.
Prints a table, and writes it with a picture into the results folder; only what is missing there,
or was measured on other features, is measured. From the environment, all optional:

    PM_APP_QUALITY_RESULTS  the folder of results (default: results/ beside this file)
    PM_APP_QUALITY_SETS     sets to measure, separated by ";" (default: all that are not kept
                            aside; C-MAPSS FD003 is, and is measured only where it is named)
    PM_APP_QUALITY_FOLDS    folds to measure by name, separated by ";" (default: all)
    PM_APP_QUALITY_FRESH    seeds of fresh plants of every simulated kind, separated by ";"
    PM_APP_QUALITY_SEEDS    seeds of models (default: as many as a set has; ten on the robot);
                            from seeds but 0 only versions and the trees are fitted
    PM_APP_QUALITY_MODELS   models or families to measure, separated by ";": pm-app (what would be
                            published, its members, and the network without guidance), boosters,
                            LightGBM, ...; strategies (each by itself, only where it is named);
                            "peers" is all but ours, "none" only prints and draws
    PM_APP_QUALITY_AGAIN    models or families whose code has changed since are measured again
    PM_APP_QUALITY_MINUTES  nothing more is begun after so many minutes
    PM_APP_QUALITY_CACHE    a folder to keep folds in between runs
    PM_APP_QUALITY_THREADS  threads of a peer (default 2)
"""

import os
from pathlib import Path

import pytest

RESULTS = Path(__file__).parent / "results"
EXTRA = ("lightgbm", "matplotlib")


@pytest.mark.benchmark
def test_versions_are_measured_beside_its_peers(open_data, tmp_path):
    for needed in EXTRA:
        pytest.importorskip(needed, reason=f"needs {needed}: install the extra `benchmark`")
    from benchmarks.quality.run import run

    results = run(open_data, tmp_path, Path(os.environ.get("PM_APP_QUALITY_RESULTS", RESULTS)))

    for cell in results:
        assert 0.0 <= cell.figures["ap"] <= 1.0, cell
        assert cell.figures.get("rmse", 1.0) > 0.0, cell
