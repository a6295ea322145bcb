"""Steps of `pm-app demo`: simulate, watch, train, score, drift, rebuild, show."""

from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

from rich.text import Text

from pm_app.cli.demo.plant import (
    demo_plan,
    drop_days,
    drop_events,
    drop_readings,
    lay_out,
    start_of,
)
from pm_app.cli.look.models import print_reports
from pm_app.cli.look.predictions import latest_columns, latest_rows
from pm_app.cli.options import now
from pm_app.cli.output import out, print_rows, progress_bar
from pm_app.cli.run.serve import run_pages
from pm_app.jobs.normality.run import LEARNER, learn_plant_normal
from pm_app.jobs.plant import Plant
from pm_app.jobs.retrain.process import run_trainer
from pm_app.jobs.retrain.run import Retrained, retrain
from pm_app.jobs.score.run import score
from pm_app.records.alarms import DEVIATION
from pm_app.settings.modes import action_of
from pm_app.settings.plant import read_settings
from pm_app.simulator import PlantPlan, SimulatedPlant, simulate
from pm_app.store import ImportanceRow
from pm_app.store.lineage import Lineage
from pm_app.wiring import open_plant, open_users

TRAINER_SECONDS = 3 * 3600.0
SHOWN = 12
DEMO_USER, DEMO_PASSWORD = "demo", "simulated pumps"
DAYS_AT_ONCE = 21
# In which nobody tells of a failure.
FIRST_DAYS = 21
# What the second version is the first to score.
LAST_DAYS = 5


def run_demo(folder: Path, *, seed: int) -> Path:
    """Simulate, watch, train, score, drift, rebuild, and show what came of it. Takes minutes.

    Returns the plant's settings.
    """
    plan = demo_plan(seed)
    settings_path = lay_out(folder)
    half, learned = round(plan.days * plan.change_at), plan.days - LAST_DAYS
    with progress_bar("simulate"):
        simulated = simulate(plan)
    out.rule(f"{plan.assets} pumps, {plan.days} days, {len(simulated.sensors)} sensors")
    with open_plant(read_settings(settings_path)) as plant:
        _say(f"The first {FIRST_DAYS} days arrive. Nobody has told of a failure yet.")
        drop_readings(simulated, folder, 0, FIRST_DAYS)
        _watch(plant, simulated, FIRST_DAYS)
        _say(f"Then failures are told: of {half} days, {_failures(simulated, 0, half)}.")
        drop_events(simulated, folder, 0, FIRST_DAYS)
        drop_days(simulated, folder, FIRST_DAYS, half)
        first = _learn(plant, plan, half)
        _say("The plant changes: other faults begin to dominate. Files keep coming.")
        for start in range(half, learned, DAYS_AT_ONCE):
            end = min(start + DAYS_AT_ONCE, learned)
            drop_days(simulated, folder, start, end)
            _score(plant, plan, end)
        _say(f"These days brought {_failures(simulated, half, learned)}.")
        second = _learn(plant, plan, learned)
        _say("The last days arrive, and the version that scores now says what would fail.")
        drop_days(simulated, folder, learned, plan.days)
        _score(plant, plan, plan.days)
        _show(plant, plan, first, second)
    out.print(f"\nAll of it lies in {folder}. Look around, for instance:", highlight=False)
    for command in ("predictions --latest", "models", "importance", "batches", "serve"):
        out.print(f"  pm-app {command} -c {settings_path}", highlight=False)
    return settings_path


def serve_demo(settings_path: Path, *, seed: int) -> None:
    """The pages of a demo's plant, from its last day on, and someone who may sign in."""
    settings, plan = read_settings(settings_path), demo_plan(seed)
    begun, last = now(), start_of(plan, plan.days)
    with open_users(settings) as store:
        store.users.add(DEMO_USER, DEMO_PASSWORD, role="engineer", at=last, actor="pm-app demo")
    _say(f'Look around. To act, sign in as "{DEMO_USER}" with the password "{DEMO_PASSWORD}":')
    run_pages(settings, now=lambda: last + (now() - begun))


def _say(text: str) -> None:
    out.print(f"\n{text}", highlight=False)


def _watch(plant: Plant, simulated: SimulatedPlant, days: int) -> None:
    """Learn what is normal of the first days, watch them, and say what is unusual."""
    plan, at = simulated.plan, start_of(simulated.plan, days)
    with progress_bar("learn normal") as progress:
        learner = partial(run_trainer, timeout_seconds=TRAINER_SECONDS, program=LEARNER)
        done = learn_plant_normal(plant, now=at, learner=learner, progress=progress)
    out.print(Text.assemble((f"learn normal: {done.decision}", "bold"), f": {done.reason}"))
    _score(plant, plan, days)
    alarms = [row for row in plant.store.alarms.alarms() if row.kind == DEVIATION][::-1]
    failures = simulated.failures
    print_rows(
        [
            {
                "unusual": row.asset_id,
                "from day": (row.cutoff - start_of(plan, 0)).days,
                "deviation": f"{row.deviation:.1f}",
                "sensors": row.top_sensors,
            }
            for row in alarms[:SHOWN]
        ]
    )
    early = failures.time < at.timestamp() * 1e9
    raised = {row.asset_id: row.cutoff.timestamp() * 1e9 for row in alarms[::-1]}
    pairs = zip(failures.asset[early].tolist(), failures.time[early].tolist(), strict=True)
    found = sum(raised.get(asset, time) < time for asset, time in pairs)
    _say(
        f"{len(alarms)} alarms of deviations, and no failure known. In truth these days brought "
        f"{_failures(simulated, 0, days)}; {found} of them came after such an alarm."
    )


def _failures(simulated: SimulatedPlant, first: int, last: int) -> str:
    """How many failures of which kind fell in these days."""
    begin, end = (start_of(simulated.plan, day).timestamp() * 1e9 for day in (first, last))
    inside = (simulated.failures.time >= begin) & (simulated.failures.time < end)
    modes = Counter(simulated.failures.mode[inside].tolist())
    ranked = sorted(modes.items(), key=lambda item: (-item[1], item[0]))
    return f"{int(inside.sum())} failures (" + ", ".join(f"{n} {m}" for m, n in ranked) + ")"


def _learn(plant: Plant, plan: PlantPlan, day: int) -> Retrained:
    at = start_of(plan, day)
    with progress_bar("retrain") as progress:
        trainer = partial(run_trainer, timeout_seconds=TRAINER_SECONDS)
        done = retrain(plant, now=at, trainer=trainer, progress=progress)
    out.print(Text.assemble((f"retrain: {done.decision}", "bold"), f": {done.reason}"))
    return done


def _score(plant: Plant, plan: PlantPlan, day: int) -> None:
    at = start_of(plan, day)
    with progress_bar("score") as progress:
        done = score(plant, now=at, progress=progress)
    out.print(
        f"day {day}: {done.ingested.batches} files, {done.committed.new:,} predictions, "
        f"version {done.version}",
        highlight=False,
    )


def _show(plant: Plant, plan: PlantPlan, first: Retrained, second: Retrained) -> None:
    lineage = plant.store.lineage
    end, cap = start_of(plan, plan.days), plant.settings.target.cap_hours
    table = plant.store.tables.latest_predictions()
    _say(f"The pumps on day {plan.days}, the riskiest {SHOWN} first:")
    rows = latest_rows(table, now=end, cap_hours=cap)[:SHOWN]
    print_rows(rows, latest_columns(table))
    for mode in dict.fromkeys(row["mode"] for row in rows):
        if action := action_of(mode, plant.settings.modes):
            out.print(f"Next step for {mode}: {action}", highlight=False)
    versions = [done.version for done in (first, second) if done.version is not None]
    if len(versions) == 2:
        _say(f"{second.decision}: {second.reason}")
        _say("Where the hidden units went, before and after:")
        moved = allocation_rows(lineage, versions[0], versions[1])
        print_rows(moved, right=("importance", "importance now"))
    if versions:
        version = lineage.version(versions[-1])
        reports: Any = version.summary["reports"] if version else []
        _say("How the new version compares on days it has not seen:")
        print_reports(reports)


def allocation_rows(lineage: Lineage, before: int, after: int) -> list[dict[str, str]]:
    """One row a sensor: importance, tier and penalty in two versions, most important now first."""
    old = {row.sensor: _standing(row) for row in lineage.importances(before)}
    nothing = {"importance": "", "tier": "", "L1": ""}
    return [
        {"sensor": row.sensor, **old.get(row.sensor, nothing), **_standing(row, " now")}
        for row in lineage.importances(after)
    ]


def _standing(row: ImportanceRow, suffix: str = "") -> dict[str, str]:
    return {
        f"importance{suffix}": f"{row.share:.1%}",
        f"tier{suffix}": f"{row.tier}, {row.units} units",
        f"L1{suffix}": f"{row.l1:.1e}",
    }
