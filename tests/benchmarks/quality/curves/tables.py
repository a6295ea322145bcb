"""What the budget curve says: a table a number of nuisance sensors, and paired differences."""

from collections.abc import Iterable, Sequence

import numpy as np
from benchmarks.quality.blocks import AP, RMSE, Figure
from benchmarks.quality.comparing import compare
from benchmarks.quality.curves.budget import BOOSTER, BUDGETS, COST, CURVES, GUIDED
from benchmarks.quality.results import Cell
from benchmarks.quality.tables import difference_row, table_row

from pm_app.learning.allocation.planner import CONTROL

BUDGET_BEGIN, BUDGET_END = "<!-- budget: begin -->", "<!-- budget: end -->"
_NOT_MEASURED = "–"
_PREFACE = """\
# Accuracy against parameter budget

Engines that no network saw; mean ± standard deviation over splits by engine. At each budget
penalty and dropout are the control's best of the product's grid on validation engines, and guided
strategies take the same; then all are refitted and calibrated as in the product. Nuisance sensors
carry no news of an engine; importance is measured with them included. Scoring: ONNX Runtime, one
thread, 10,000 rows, and as a multiple of the largest control of the same run. Where a line is
missing no network is that small: every sensor keeps a place.
"""


def curves_markdown(cells: Sequence[Cell]) -> str:
    """Everything: a table a set, then the paired differences against the control."""
    tables = [_set_table(name, cells) for name in sets_of(cells)]
    return "\n".join([_PREFACE, *tables, _difference_table(cells)])


def budget_block(cells: Sequence[Cell]) -> str:
    """The quoted block: average precision by sensors added and budget, a column a strategy."""
    heads = ["nuisance sensors", "parameters", *CURVES]
    lines = [table_row(heads), table_row(["---"] * len(heads))]
    for name in sets_of(cells):
        for budget in BUDGETS:
            found = [_precisions(cells, name, strategy, budget) for strategy in CURVES]
            if all(found):
                means = [float(np.mean(values)) for values in found]
                told = [f"**{m:.3f}**" if m == max(means) else f"{m:.3f}" for m in means]
                lines.append(table_row([str(_count(name)), f"{budget:,}", *told]))
    return "\n\n".join([BUDGET_BEGIN, "\n".join(lines), BUDGET_END])


def _precisions(cells: Sequence[Cell], name: str, strategy: str, budget: int) -> list[float]:
    points = points_of(cells, name, strategy, AP)
    return [value for (_, at), value in points.items() if at == budget]


def sets_of(cells: Iterable[Cell]) -> list[str]:
    """Names of sets, the fewest nuisance sensors first."""
    return sorted({cell.set for cell in cells}, key=lambda name: (_count(name), name))


def points_of(
    cells: Iterable[Cell], set_name: str, strategy: str, figure: Figure
) -> dict[tuple[str, float], float]:
    """A figure by fold and budget, where a network of that size was measured."""
    return {
        (cell.fold, float(cell.note.get("budget", 0.0))): cell.figures[figure.name]
        for cell in cells
        if (cell.set, cell.note.get("strategy")) == (set_name, strategy)
        and cell.fold != COST
        and figure.name in cell.figures
    }


def cost_of(cells: Iterable[Cell], set_name: str, strategy: str, budget: float) -> Cell | None:
    """The cell that says what scoring costs at this point."""
    return next(
        (
            cell
            for cell in cells
            if (cell.set, cell.fold) == (set_name, COST)
            and (cell.note["strategy"], cell.note["budget"]) == (strategy, budget)
        ),
        None,
    )


def budget_pairs(
    cells: Sequence[Cell], set_name: str, strategy: str, figure: Figure
) -> list[tuple[str, float, float]]:
    """Points of split and budget where both a strategy and the control were measured.

    Errors as logarithms, so that a difference is a share.
    """
    ours, control = (points_of(cells, set_name, name, figure) for name in (strategy, CONTROL))
    pairs = [(ours[key], control[key]) for key in sorted(set(ours) & set(control))]
    if not figure.more_is_better:
        pairs = [(float(np.log(a)), float(np.log(b))) for a, b in pairs]
    return [(set_name, a, b) for a, b in pairs]


def _count(name: str) -> int:
    return int(name.split(" + ")[1].split()[0]) if " + " in name else 0


def _set_table(name: str, cells: Sequence[Cell]) -> str:
    heads = ["budget", "strategy", "parameters", "AP", "RMSE [h]", "µs a row", "ratio", "CPU s"]
    lines = [f"## {name}\n", table_row(heads), table_row(["---"] * len(heads))]
    budgets = sorted({*BUDGETS, *(c.note["budget"] for c in cells if "budget" in c.note)})
    for budget in budgets:
        for strategy in CURVES:
            row = _row(cells, name, strategy, float(budget))
            lines += [table_row(row)] if row else []
    booster = [c for c in cells if (c.set, c.note.get("strategy")) == (name, BOOSTER)]
    if booster:
        told = [_spread([c.figures[f.name] for c in booster], f) for f in (AP, RMSE)]
        lines.append(
            table_row([_NOT_MEASURED, BOOSTER, _NOT_MEASURED, *told, "", "", _seconds(booster)])
        )
    return "\n".join([*lines, ""])


def _row(cells: Sequence[Cell], name: str, strategy: str, budget: float) -> list[str]:
    mine = [
        cell
        for cell in cells
        if (cell.set, cell.note.get("strategy"), cell.note.get("budget"))
        == (name, strategy, budget)
        and cell.fold != COST
        and cell.figures
    ]
    if not mine:
        return []
    size = f"{np.mean([float(cell.note['parameters']) for cell in mine]):,.0f}"
    told = [_spread([cell.figures[f.name] for cell in mine], f) for f in (AP, RMSE)]
    cost = cost_of(cells, name, strategy, budget)
    paid = [_NOT_MEASURED, _NOT_MEASURED]
    if cost is not None:
        paid = [f"{cost.figures['microseconds']:.2f}", f"{cost.figures['ratio']:.2f}"]
    return [f"{budget:,.0f}", strategy, size, *told, *paid, _seconds(mine)]


def _difference_table(cells: Sequence[Cell]) -> str:
    lines = [
        f"## Guided strategies against {CONTROL}, paired by split and budget\n",
        "AP: difference. RMSE: difference of logarithms, so -0.05 is 5 % less error. Budgets of",
        "one split share rows, so intervals and p are somewhat too sure; no correction for the",
        "number of lines.\n",
        table_row(["strategy", "figure", "points", "better in", "mean", "95 % interval", "p"]),
        table_row(["---"] * 7),
    ]
    sets = sets_of(cells)
    places = {"all": sets} | {name: [name] for name in sets}
    for place, names in places.items():
        for strategy in GUIDED:
            for figure in (AP, RMSE):
                pairs = [p for name in names for p in budget_pairs(cells, name, strategy, figure)]
                if len(pairs) > 1:
                    found = compare(pairs, more_is_better=bool(figure.more_is_better))
                    lines.append(difference_row(f"{place}: {strategy}", figure, found))
    return "\n".join([*lines, ""])


def _spread(values: Sequence[float], figure: Figure) -> str:
    mean = format(float(np.mean(values)), figure.form)
    return f"{mean} ± {format(float(np.std(values, ddof=1)), figure.form)}" if values[1:] else mean


def _seconds(cells: Sequence[Cell]) -> str:
    return f"{np.mean([cell.seconds for cell in cells]):.0f}"
