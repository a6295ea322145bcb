"""What a version says of a machine whose events have stopped, over ten seeds.

    python -m pytest -m benchmark tests/benchmarks/quality/test_silent_machine.py -s

PM_APP_SILENCE_SEEDS: other seeds, separated by ";". Boosted trees are LightGBM where it is
installed, a random forest else.
"""

import numpy as np
import pytest
from benchmarks.quality.options import whole_numbers
from benchmarks.quality.silence import measure_silence

# The share of gaps in training was chosen by looking at seeds 0 to 3.
SEEDS, DAYS = tuple(range(10, 20)), 90


@pytest.mark.benchmark
def test_what_a_version_says_once_events_have_stopped_is_measured(tmp_path):
    seeds = whole_numbers("PM_APP_SILENCE_SEEDS", SEEDS)
    found = []
    for seed in seeds:
        found.append(measure_silence(tmp_path / f"{seed}", seed=seed, days=DAYS))
        print(f"seed {seed}: {found[-1]}")
    names = ("silent", "spoken", "without_events", "trees", "prevalence")
    mean = {name: float(np.mean([getattr(each, name) for each in found])) for name in names}
    print(f"mean of {len(seeds)} seeds: {mean}")

    assert mean["silent"] > mean["prevalence"]
    if len(seeds) >= len(SEEDS):
        assert mean["silent"] >= mean["without_events"] - 0.02
        assert mean["silent"] >= mean["trees"] - 0.05
