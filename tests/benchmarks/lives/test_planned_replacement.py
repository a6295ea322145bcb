"""Risks where most parts are replaced by plan, against the simulator's own.

    python -m pytest -m benchmark tests/benchmarks/lives/test_planned_replacement.py -s

Prints a table and writes it into the results folder; only what is missing there, or was learned by
other code, is measured. Each plant is learned twice, with `renewals` of its modes and without, and
both are asked about the same newest cutoffs, which neither has learned from. What was stated is
held against the true risk, that of failing if nobody intervenes, by the expected calibration error
over fifteen bins; no outcome that work may have prevented comes into it. Horizons are those that
the plan was frozen with. From the environment, all optional:

    PM_APP_LIVES_RESULTS  the folder of results (default: results/ beside this file)
    PM_APP_LIVES_SEEDS    seeds of plants, separated by ";" (default: 11, which was looked at while
                          building, and 21, 22, 23, which were not)
    PM_APP_LIVES_PARTS    "forest" (minutes a plant: the forest member alone), "product" (an hour),
                          separated by ";" (default: both), "none" only tells
"""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from benchmarks.decisions.plants import DAY_NS
from benchmarks.decisions.results import Outcome, Outcomes
from benchmarks.lives.plans import PLANNED
from benchmarks.quality.options import names, whole_numbers
from benchmarks.quality.results import digest_of_files
from benchmarks.quality.sets.plants import NOW, lay_out

from pm_app.jobs.ingest.run import ingest
from pm_app.jobs.plant import first_seen_ns
from pm_app.jobs.retrain.dataset import DatasetSource, gather_dataset
from pm_app.learning.dataset import Dataset
from pm_app.learning.evaluation.calibration import calibration_error
from pm_app.records.readings import Float64
from pm_app.settings.plant import Settings, read_settings
from pm_app.simulator import PlantPlan, SimulatedPlant, simulate
from pm_app.simulator.hazards import true_risks
from pm_app.wiring import open_plant

RESULTS = Path(__file__).parent / "results"
ROOT = Path(__file__).parents[3]
CODE = (
    "pm_app/features/lives.py",
    "pm_app/learning/data/labels.py",
    "pm_app/learning/data/renewal_weights.py",
    "pm_app/learning/evaluation/calibration.py",
    "pm_app/learning/pool/forest.py",
)
SEEDS = (11, 21, 22, 23)
FOREST, PRODUCT = "forest", "product"
IGNORED, RENEWED = "ignored", "set"
HORIZONS = PLANNED.horizons_hours
MOST_ERROR, LEAST_RATIO = 0.03, 2.0
# Features are few, so that a plant takes minutes.
PLANT_TOML = f"""\
[features]
pane = "6h"
windows = ["24h"]
memory = ["change"]

[target]
horizons = {[f"{hours:g}h" for hours in HORIZONS]}
rul_cap = "10d"

[allocation]
strategy = "tiers"
"""
MODES = ("bearing", "seal")
SETTINGS = {
    way: "".join(f"\n[modes.{mode}]\n{renewals.format(mode)}\n" for mode in MODES)
    for way, renewals in ((IGNORED, ""), (RENEWED, 'renewals = ["{} replaced"]'))
}


@pytest.mark.benchmark
def test_risks_where_parts_are_replaced_by_plan(tmp_path):
    folder = Path(os.environ.get("PM_APP_LIVES_RESULTS", RESULTS))
    outcomes, code = (
        Outcomes(folder / "planned_replacement.json"),
        digest_of_files(ROOT / each for each in CODE),
    )
    for part in names("PM_APP_LIVES_PARTS") or (FOREST, PRODUCT):
        for seed in whole_numbers("PM_APP_LIVES_SEEDS", SEEDS):
            if part in (FOREST, PRODUCT) and not outcomes.has(part, seed, code):
                rows = measure(seed, part, tmp_path / f"{part}-{seed}")
                outcomes.keep(Outcome(part, seed, code, rows))
    text = table(outcomes)
    (folder / "planned_replacement.md").write_text(text, encoding="utf-8")
    print(f"\n{text}")

    for outcome in outcomes:
        for row in outcome.rows:
            assert row["error"] * LEAST_RATIO <= row["error_ignored"], (outcome.seed, row)
            assert row["error"] <= MOST_ERROR, (outcome.seed, row)


def measure(seed: int, part: str, folder: Path) -> list[dict[str, Any]]:
    """A row a horizon: calibration errors of both ways on the same cutoffs."""
    plan = replace(PLANNED.plan, seed=seed)
    plant = simulate(plan)
    asked = {}
    for way, more in SETTINGS.items():
        dataset, settings = learn_from(plant, PLANT_TOML + more, folder / way)
        asked[way] = risks_by_row(dataset, settings, part)
        frame = dataset.frame
    newest = np.isfinite(asked[IGNORED][:, 0]) & np.isfinite(asked[RENEWED][:, 0])
    rows = []
    for at, hours in enumerate(HORIZONS):
        truth = true_by_row(plant, frame.asset, frame.cutoff, hours)
        judged = newest & np.isfinite(truth)
        ours, ignored = (asked[way][judged, at] for way in (RENEWED, IGNORED))
        rows.append({
            "hours": hours, "rows": int(judged.sum()),
            "true": round(float(truth[judged].mean()), 4),
            "stated": round(float(ours.mean()), 4),
            "stated_ignored": round(float(ignored.mean()), 4),
            "error": round(calibration_error(ours, truth[judged]), 4),
            "error_ignored": round(calibration_error(ignored, truth[judged]), 4),
            "correlation": round(float(np.corrcoef(ours, truth[judged])[0, 1]), 3),
        })  # fmt: skip
    return rows


def learn_from(plant: SimulatedPlant, toml: str, folder: Path) -> tuple[Dataset, Settings]:
    """All that a retraining may look at when the record ends."""
    tables = (table(0, plant.plan.days) for table in (plant.readings, plant.events_table))
    settings = read_settings(lay_out(folder, toml, *tables) / "plant.toml")
    with open_plant(settings) as live:
        ingest(live, now=NOW)
        segments, events = (
            tuple(
                name for row in live.store.ledger.ingested_batches(source) for name in row.segments
            )
            for source in ("readings", "events")
        )
        source = DatasetSource(
            live.history, segments, live.event_history.read(events), first_seen_ns(live.ledger)
        )
        as_of_ns = plant.plan.start_ns + plant.plan.days * DAY_NS
        return gather_dataset(source, settings, as_of_ns=as_of_ns), settings


def risks_by_row(dataset: Dataset, settings: Settings, part: str) -> Float64:
    """Risks of the rows of the test, (n_rows, n_horizons); NaN elsewhere."""
    from pm_app.learning.ranking import make_task

    task = make_task(dataset, settings)
    test, result = task.split.test, np.full((len(dataset.labels.life), len(HORIZONS)), np.nan)
    ask = by_forest if part == FOREST else by_product
    result[test] = ask(dataset, settings, task)
    return result


def by_forest(dataset: Dataset, settings: Settings, task: Any) -> Float64:
    """Of the forest member alone."""
    from pm_app.learning.training.crossfit import deal_folds
    from pm_app.learning.training.members import judge_member
    from pm_app.learning.training.pooling import grow_forest
    from pm_app.records.scores import scores_of

    seed = settings.retraining.seed
    folds = deal_folds(task, seed=seed)
    whole, forest = grow_forest(task, folds, seed=seed)
    calibration, _ = judge_member(task, forest, folds)
    return scores_of(whole(task.frame.values[task.split.test]), task.head, calibration).risk


def by_product(dataset: Dataset, settings: Settings, task: Any) -> Float64:
    """Of the whole product: importance, allocation, network, pool, calibration."""
    from pm_app.features.frame import select_features
    from pm_app.features.limits import limit_features
    from pm_app.learning.dataset import Evidence
    from pm_app.learning.pipeline import learn
    from pm_app.scoring.predictor import Predictor

    version = learn(dataset, settings, Evidence(""), None).version
    assert version is not None
    card = version.card
    predictor = Predictor(
        version.candidate.onnx,
        head=card.head,
        calibration=card.calibration,
        features=card.features,
    )
    rows = limit_features(dataset.frame.take(task.split.test), card.spec.limits)
    return predictor.predict(select_features(rows, card.features).values).risk


def true_by_row(plant: SimulatedPlant, asset: Any, cutoff: Any, hours: float) -> Float64:
    """The true risk at each cutoff, NaN where the pump stands still or the record ends before."""
    plan: PlantPlan = plant.plan
    steps = (cutoff - plan.start_ns) // plan.step_ns
    cutoffs = np.unique(steps[steps < plan.steps])
    risk = true_risks(plant.truth, cutoffs, horizon_hours=hours).risk
    place = np.minimum(np.searchsorted(cutoffs, steps), len(cutoffs) - 1)
    return np.where(steps < plan.steps, risk[asset, place], np.nan)


def table(outcomes: Outcomes) -> str:
    """What was measured, in Markdown."""
    lines = [
        "| who answers | seed | horizon | rows | true risk | stated | stated, renewals ignored | "
        "ECE | ECE, renewals ignored | ratio |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for one in outcomes:
        for row in one.rows:
            shares = (row[name] for name in ("true", "stated", "stated_ignored"))
            errors = (row[name] for name in ("error", "error_ignored"))
            cells = [one.part, str(one.seed), f"{row['hours']:g} h", f"{row['rows']:,}"]
            cells += [f"{number:.3f}" for number in (*shares, *errors)]
            lines.append(f"| {' | '.join(cells)} | {row['error_ignored'] / row['error']:.1f} |")
    return "\n".join([
        "# Risks where parts are replaced by plan",
        "",
        f"Wanted at every horizon: an ECE of at most {MOST_ERROR}, and at least {LEAST_RATIO:g} "
        "times that where renewals are ignored.",
        "",
        *lines,
        "",
    ])  # fmt: skip
