"""How long it takes to take a version back, on the demo's plant with all its days taken in.

python -m pytest -m benchmark tests/benchmarks/test_rollback.py -s
"""

import statistics
import subprocess
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from factories import make_card, opened, promote_handmade

from pm_app.cli.demo.plant import demo_plan, drop_days, lay_out, start_of
from pm_app.jobs.score.champion import load_champion
from pm_app.jobs.score.promotion import roll_back
from pm_app.jobs.score.run import score
from pm_app.simulator import simulate
from pm_app.store import Actor

TIMES = 5
COMMAND = "import sys; from pm_app.cli import main; main()"


def promote_two(live, plan, sensors):
    """Two versions that read every feature of the plant, the second promoted last."""
    settings = live.settings.features
    for seed in (0, 1):
        spec = replace(
            make_card().spec,
            sensors=tuple(sensors),
            pane_ns=settings.pane_ns,
            windows_ns=settings.windows_ns,
        )
        promote_handmade(live, at=start_of(plan, plan.days), card=make_card(spec, seed=seed))


@pytest.mark.benchmark
def test_a_rollback_takes_no_time_to_speak_of(tmp_path):
    plan = demo_plan(0)
    plant = simulate(plan)
    config = lay_out(tmp_path / "demo")
    drop_days(plant, config.parent, 0, plan.days)
    now = datetime.now(tz=UTC)
    took = []
    with opened(config) as live:
        promote_two(live, plan, plant.sensors)
        score(live, now=start_of(plan, plan.days))
        for _ in range(TIMES):
            start = time.perf_counter()
            back = roll_back(live, at=now, reason="measured", actor=Actor("benchmark"))
            took.append(time.perf_counter() - start)
            assert load_champion(live).number == back == 1
            live.store.lineage.promote(2, at=now, reason="again")
        said = sum(len(table) for table in live.store.tables.predictions())
    start = time.perf_counter()
    command = [sys.executable, "-c", COMMAND, "rollback", "-c", str(config)]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    whole = time.perf_counter() - start

    with opened(config) as live:
        assert load_champion(live).number == 1
    assert "version 1 scores from now on" in ran.stdout + ran.stderr
    print(
        f"\n{plan.assets} pumps, {plan.days} days, {said:,} predictions: a rollback takes "
        f"{statistics.median(took):.3f} s (at most {max(took):.3f} s of {TIMES}), "
        f"the command {whole:.1f} s with the start of Python"
    )
