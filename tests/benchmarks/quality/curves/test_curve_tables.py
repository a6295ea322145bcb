"""Tables of the budget curve: pairs, costs, and what the documentation quotes of them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from benchmarks.quality.ablation.seeds import spread_over
from benchmarks.quality.blocks import AP, RMSE
from benchmarks.quality.comparing import compare
from benchmarks.quality.curves.budget import BOOSTER, COST, model_name, set_name
from benchmarks.quality.curves.tables import (
    BUDGET_BEGIN,
    BUDGET_END,
    budget_block,
    budget_pairs,
    cost_of,
    curves_markdown,
    points_of,
    sets_of,
)
from benchmarks.quality.places import Place, find_missing, keep
from benchmarks.quality.results import Cell, Results
from benchmarks.quality.tables import quoted_in

from pm_app.learning.allocation.planner import CONTROL

SET = "C-MAPSS FD001"
ROOT = Path(__file__).parents[4]
RESULTS = ROOT / "tests" / "benchmarks" / "quality" / "results"
PLACE = Place(SET, "split 1", "data", "code")


def make_point(strategy=CONTROL, budget=1_000, *, fold="split 1", nuisance=0, **figures):
    note = {"strategy": strategy, "budget": budget, "parameters": budget - 10}
    place = set_name(SET, nuisance)
    return Cell(place, fold, model_name(strategy, budget), figures, 1.0, "data", "code", note)


def test_a_kept_cell_is_not_measured_again_on_the_same_data(tmp_path):
    results = Results(tmp_path / "budget.json")
    names = [model_name(name, 1_000) for name in (CONTROL, "tiers")]
    keep(results, PLACE, [make_point(ap=0.9)])
    later = Results(tmp_path / "budget.json")

    assert find_missing(later, PLACE, names) == names[1:]
    assert find_missing(later, replace(PLACE, data="other"), names) == names
    assert find_missing(later, replace(PLACE, fold="split 2"), names) == names
    assert find_missing(later, replace(PLACE, code="new"), names) == names[1:]
    assert find_missing(later, replace(PLACE, code="new"), names, again=True) == names


def test_a_budget_too_small_for_any_network_is_kept_and_not_told(tmp_path):
    results = Results(tmp_path / "budget.json")
    keep(results, PLACE, [make_point(), make_point("tiers", 3_000, ap=0.9, rmse=9.0)])
    text = curves_markdown(list(results))

    assert find_missing(results, PLACE, [model_name(CONTROL, 1_000)]) == []
    assert "| 3,000 | tiers | 2,990 | 0.900 | 9.00 |" in text
    assert "| 1,000 |" not in text


def test_points_are_paired_by_split_and_budget_within_a_set():
    cells = [
        make_point(ap=0.5, rmse=10.0),
        make_point(budget=3_000, ap=0.7, rmse=10.0),
        make_point(fold="split 2", ap=0.9, rmse=10.0),
        make_point("tiers", 3_000, ap=0.75, rmse=9.0),
        make_point("tiers", ap=0.6, rmse=9.0),
        make_point("tiers", nuisance=60, ap=0.1, rmse=99.0),
    ]

    assert budget_pairs(cells, SET, "tiers", AP) == [(SET, 0.6, 0.5), (SET, 0.75, 0.7)]
    errors = budget_pairs(cells, SET, "tiers", RMSE)
    assert [np.exp(a - b) for _, a, b in errors] == pytest.approx([0.9, 0.9])
    assert "| all: tiers | AP | 2 | 2 | +0.0750 |" in curves_markdown(cells)


def test_costs_are_told_beside_the_points_and_are_no_points():
    cost = make_point("tiers", microseconds=4.0, ratio=0.25)
    cells = [make_point("tiers", ap=0.5, rmse=10.0), replace(cost, fold=COST)]
    booster = replace(make_point(ap=0.97, rmse=11.0), model=BOOSTER, note={"strategy": BOOSTER})
    text = curves_markdown([*cells, booster])

    assert points_of(cells, SET, "tiers", AP) == {("split 1", 1_000.0): 0.5}
    assert cost_of(cells, SET, "tiers", 1_000) is cells[1]
    assert cost_of(cells, SET, CONTROL, 1_000) is None
    assert "| 1,000 | tiers | 990 | 0.500 | 10.00 | 4.00 | 0.25 | 1 |" in text
    assert f"| {BOOSTER} | – | 0.970 | 11.00 |" in text


def test_sets_go_from_few_nuisance_sensors_to_many():
    cells = [make_point(nuisance=count, ap=0.5) for count in (300, 0, 60)]

    assert sets_of(cells) == [SET, f"{SET} + 60 nuisance sensors", f"{SET} + 300 nuisance sensors"]


def test_the_documentation_quotes_the_curve_that_was_measured():
    text = (ROOT / "pm_app" / "docs" / "benchmarks.md").read_text(encoding="utf-8")

    quoted = quoted_in(text, BUDGET_BEGIN, BUDGET_END)
    assert quoted == budget_block(list(Results(RESULTS / "budget.json")))


def test_the_table_beside_the_curve_is_of_its_results():
    text = (RESULTS / "budget.md").read_text(encoding="utf-8")

    assert text == curves_markdown(list(Results(RESULTS / "budget.json")))


def test_the_documentation_tells_seeds_and_averages_as_they_were_measured():
    text = (ROOT / "pm_app" / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    seeds = spread_over(list(Results(RESULTS / "seeds.json")), SET, "regularized")
    cells = list(Results(RESULTS / "budget.json"))
    pairs = [pair for name in sets_of(cells) for pair in budget_pairs(cells, name, "tiers", AP)]
    found = compare(pairs, more_is_better=True)

    assert f"{seeds.worst:.3f} to {seeds.best:.3f} around {seeds.median:.3f}" in text
    assert f"{found.mean:+.2f} for `tiers`" in text
    assert f"{found.low:+.2f} to {found.high:+.2f}" in text
    assert f"p = {found.p_value:.2f}" in text
