"""What a branch a failure mode is worth: beside its two controls at equal parameters.

    python -m pytest -m benchmark tests/benchmarks/lives/test_mode_budgets.py -s

Pumps whose modes share sensors, beside 60 sensors that know nothing (`NUISANCE` in plans.py, made
small: 25 pumps, 120 days, panes of six hours). Networks by the strategy `modes`, by the importance
of all failures together (`tiers+regularized`) and without guidance (`uniform`), of 1,000 to 30,000
parameters; penalty, dropout and rate are the same. Prints a table, and writes it with a picture
beside the results; only what is missing there, or other code has trained, is trained.

    PM_APP_MODE_SEEDS    how many plants, from seed 41 on (default 3)
    PM_APP_MODE_BUDGETS  parameters, separated by commas (default 1000,3000,10000,30000)
"""

import os
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from benchmarks.decisions.results import Outcome, Outcomes
from benchmarks.lives.plans import NUISANCE

from pm_app.pictures.charts import Axis, Line, line_chart

RESULTS = Path(__file__).parent / "results"
FIRST_SEED = 41
STRATEGIES = ("modes", "tiers+regularized", "uniform")
FIGURES = {
    "average_precision_72h": "average precision, 72 h",
    "brier_72h": "Brier score, 72 h",
    "seen_coming_72h": "share of failing rows seen coming",
    "mode_macro_f1_72h": "macro F1 of the mode, of those",
}
L1, DROPOUT, RATE = 1e-3, 0.1, 2e-3
# Networks of one budget differ in size by the grain of their units, no more: most at 1,000
# parameters, which is less than the smallest network of so many sensors has.
MOST_APART = 1.07
STYLE = (
    "text { font: 10px sans-serif; fill: #333 } line, polyline { fill: none; stroke-width: 2 }"
    ".axis { stroke: #333; stroke-width: 1 } .grid { stroke: #ddd; stroke-width: 1 }"
    ".ours { stroke: #c2410c } .other { stroke: #0b6e99 } .ideal { stroke: #888 }"
)
HEAD = """# A branch a failure mode, beside its controls

25 pumps for 120 days a plant, four modes that share sensors, 60 sensors that know nothing; held-out
rows. Mean over plants, and in brackets the mean difference to `uniform`, with its standard error
where there are several plants. One plant shows nothing that a second may not take back.

"""


def measure(seed: int, budgets: list[int], outcomes: Path, folder: Path) -> None:
    """Train what is missing of one plant."""
    from benchmarks.decisions.plants import grown
    from benchmarks.quality.models.ours import code_digest

    from pm_app.learning.importance.permutation import measure_importance
    from pm_app.learning.ranking import make_task, planner_of

    code = code_digest()
    missing = [
        (budget, name)
        for budget in budgets
        for name in STRATEGIES
        if not Outcomes(outcomes).has(f"{name} {budget}", seed, code)
    ]
    if not missing:
        return
    plan = replace(NUISANCE.plan, assets=25, days=120, interval_minutes=120, seed=seed)
    with grown(plan, folder / str(seed)) as plant:
        task = make_task(plant.known(plan.days), plant.settings)
        importance = measure_importance(task, seed=0)
        planner = planner_of(task, importance, plant.settings)
        for budget, name in missing:
            row = train(task, planner.plan(name, size=budget), importance.modes)
            outcome = Outcome(f"{name} {budget}", seed, code, [row])
            Outcomes(outcomes).keep(outcome)
            print(seed, budget, name, row, flush=True)


def train(task, plan, modes) -> dict[str, object]:
    """Figures of one network on the test rows."""
    from pm_app.learning.evaluation.calibration import calibrate
    from pm_app.learning.evaluation.metrics import best_threshold, evaluate
    from pm_app.learning.network import answers, mode_shares
    from pm_app.learning.training.fit import Training, strengthen, train_network
    from pm_app.records.scores import scores_of

    plan = strengthen(plan, task.frame.sensor_of, l1=L1, dropout=DROPOUT)
    network = train_network(task, Training(plan, RATE, 0)).network
    asked, test = task.split.calibration, task.split.test
    said = answers(network, task.frame.values[asked])
    found = calibrate(said, task.labels, asked, task.head, group=task.split.group[asked])
    truth = task.labels.fails_within(task.horizons_hours[-1])
    risk = scores_of(said, task.head, found).risk[:, -1]
    there = np.isfinite(truth[asked])
    threshold = best_threshold(risk[there], truth[asked][there])
    values = task.frame.values[test]
    scores = scores_of(answers(network, values), task.head, found, mode_shares(network, values))
    figures = evaluate(
        scores, task.labels, test, task.head, asset=task.frame.asset[test], threshold=threshold
    )
    kept = {name: round(figures[name], 5) for name in FIGURES if name in figures}
    return {**kept, "parameters": plan.parameters, "modes": len(modes)}


def table(outcomes: list[Outcome]) -> str:
    """A table a figure: a row a budget, a column a strategy."""
    rows = {(one.part, one.seed): one.rows[0] for one in outcomes}
    budgets = sorted({int(part.split()[-1]) for part, _ in rows})
    text = HEAD
    for figure, words in FIGURES.items():
        text += f"## {words[0].upper()}{words[1:]}\n\n"
        text += f"| parameters | plants | {' | '.join(STRATEGIES)} |\n"
        text += "| --- " * (2 + len(STRATEGIES)) + "|\n"
        for budget in budgets:
            parts = {name: f"{name} {budget}" for name in STRATEGIES}
            seeds = sorted({seed for _, seed in rows})
            whole = [
                s for s in seeds if all(figure in rows.get((p, s), {}) for p in parts.values())
            ]
            if whole:
                cells = _cells(rows, parts, whole, figure)
                text += f"| {budget:,} | {len(whole)} | {' | '.join(cells)} |\n"
        text += "\n"
    return text.rstrip() + "\n"


def _cells(rows, parts, seeds, figure) -> list[str]:
    values = {n: np.array([rows[part, s][figure] for s in seeds]) for n, part in parts.items()}
    cells = []
    for each in values.values():
        apart = each - values["uniform"]
        spread = apart.std(ddof=1) / np.sqrt(len(seeds)) if len(seeds) > 1 else None
        error = "" if spread is None else f" ± {spread:.3f}"
        gain = f" ({apart.mean():+.3f}{error})" if each is not values["uniform"] else ""
        cells.append(f"{each.mean():.3f}{gain}")
    return cells


def picture(outcomes: list[Outcome], figure: str) -> str:
    """The mean of a figure over budgets, a line a strategy."""
    lines = []
    for name in STRATEGIES:
        own: dict[int, list[float]] = {}
        for one in outcomes:
            strategy, budget = one.part.rsplit(" ", 1)
            if strategy == name and figure in one.rows[0]:
                own.setdefault(int(budget), []).append(one.rows[0][figure])
        points = [(float(np.log10(b)), float(np.mean(v))) for b, v in sorted(own.items())]
        kind = {"modes": "ours", "uniform": "ideal"}.get(name, "other")
        lines.append(Line(name, points, kind, marks=True))
    words = FIGURES[figure]
    # Beside the names of the strategies there is room for the figure alone.
    y = Axis(words.partition(" of ")[0].partition(",")[0])
    chart = line_chart(lines, x=Axis("parameters, power of ten"), y=y, title=words)
    return chart.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1).replace(
        "<title>", f"<style>{STYLE}</style><title>", 1
    )


def test_the_table_of_budgets_tells_the_results_as_they_are():
    outcomes = list(Outcomes(RESULTS / "mode_budgets.json"))

    assert (RESULTS / "mode_budgets.md").read_text(encoding="utf-8") == table(outcomes)


@pytest.mark.benchmark
def test_branches_of_modes_are_measured_beside_their_controls(tmp_path):
    seeds = int(os.environ.get("PM_APP_MODE_SEEDS", "3"))
    asked = os.environ.get("PM_APP_MODE_BUDGETS", "1000,3000,10000,30000")
    budgets, path = [int(each) for each in asked.split(",")], RESULTS / "mode_budgets.json"
    for seed in range(FIRST_SEED, FIRST_SEED + seeds):
        measure(seed, budgets, path, tmp_path)
    write(path)
    sizes = {(one.part, one.seed): one.rows[0]["parameters"] for one in Outcomes(path)}
    for seed, budget in product(range(FIRST_SEED, FIRST_SEED + seeds), budgets):
        of_budget = [sizes[f"{name} {budget}", seed] for name in STRATEGIES]
        assert max(of_budget) <= MOST_APART * min(of_budget), (seed, budget, of_budget)


def write(path: Path) -> None:
    """The page and the pictures beside the results."""
    outcomes = list(Outcomes(path))
    (RESULTS / "mode_budgets.md").write_text(table(outcomes), encoding="utf-8")
    for figure in ("average_precision_72h", "mode_macro_f1_72h"):
        svg = picture(outcomes, figure)
        (RESULTS / f"mode_budgets_{figure}.svg").write_text(svg, encoding="utf-8")
    print(f"\n{table(outcomes)}")
