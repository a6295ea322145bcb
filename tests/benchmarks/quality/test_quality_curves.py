"""The budget curve's and the ablation's bookkeeping, and nuisance sensors that know nothing."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from benchmarks.quality.ablation_tables import (
    ABLATION_BEGIN,
    ABLATION_END,
    ablation_block,
    ablation_markdown,
    differences,
)
from benchmarks.quality.blocks import AP, RMSE
from benchmarks.quality.budget import BOOSTER, COST, model_name, set_name
from benchmarks.quality.budget_tables import (
    BUDGET_BEGIN,
    BUDGET_END,
    budget_block,
    budget_pairs,
    cost_of,
    curves_markdown,
    points_of,
    sets_of,
)
from benchmarks.quality.comparing import compare
from benchmarks.quality.ingredients import FULL, VARIANTS
from benchmarks.quality.nuisance import add_nuisance, borrow_rows, largest_sensors
from benchmarks.quality.options import whole_numbers
from benchmarks.quality.places import Place, find_missing, keep
from benchmarks.quality.results import Cell, Results
from benchmarks.quality.seeds import seeds_markdown, spread_over
from benchmarks.quality.sets import Fold, part_by_group
from benchmarks.quality.tables import quoted_in
from benchmarks.quality.thinning import thin
from hypothesis import given
from hypothesis import strategies as st

from pm_app.features.frame import build_frame, select_features
from pm_app.features.panes.panes import fold_panes
from pm_app.learning.allocation.planner import CONTROL
from pm_app.records.features import FeatureSpec
from pm_app.records.labels import Labels
from pm_app.records.readings import Readings, no_events
from pm_app.times import HOUR_NS

SET = "C-MAPSS FD001"
ROOT = Path(__file__).parents[3]
RESULTS = ROOT / "tests" / "benchmarks" / "quality" / "results"
PLACE = Place(SET, "split 1", "data", "code")


def make_fold(*, engines=12, seed=0):
    """Engines run to failure: sensor "wear" of many features tells how far, "load" of one not."""
    rng = np.random.default_rng(seed)
    hours = rng.integers(30, 70, engines)
    asset = np.repeat(np.arange(engines), hours).astype(np.int32)
    place = np.concatenate([np.arange(n) for n in hours])
    left = np.concatenate([np.arange(n, 0, -1) for n in hours]).astype(float)
    time = (500_000 + place) * HOUR_NS
    names = tuple(f"engine-{number:02d}" for number in range(engines))
    values = np.stack([rng.normal(size=len(asset)), -left + rng.normal(size=len(asset))])
    readings = Readings(names, asset, time, ("load", "wear"), values)
    spec = FeatureSpec(("load", "wear"), HOUR_NS, (5 * HOUR_NS, 20 * HOUR_NS), (), (), None)
    seen = dict.fromkeys(names, int(time.min()))
    built = build_frame(fold_panes(readings, pane_ns=HOUR_NS), no_events(), spec, first_seen=seen)
    kept = tuple(
        name
        for name in built.features
        if name == "load.last" or (name.startswith("wear") and ".missing." not in name)
    )
    frame = select_features(built, kept)
    every = np.ones(len(asset), dtype=bool)
    labels = Labels(left, every, np.full(len(asset), np.nan), every, asset)
    learn, judged = np.flatnonzero(asset < engines - 2), np.flatnonzero(asset >= engines - 2)
    split = part_by_group(asset, learn, judged, "by engine", level=left, seed=seed)
    return Fold("split 1", frame, labels, split)


def make_point(strategy=CONTROL, budget=1_000, *, fold="split 1", nuisance=0, **figures):
    note = {"strategy": strategy, "budget": budget, "parameters": budget - 10}
    place = set_name(SET, nuisance)
    return Cell(place, fold, model_name(strategy, budget), figures, 1.0, "data", "code", note)


def make_row(variant=FULL, *, fold="split 1", **figures):
    return Cell(SET, fold, variant, figures, 3.0, "data", "code")


def rank_correlation(a, b):
    ranks = [np.argsort(np.argsort(each)) for each in (a, b)]
    return float(np.corrcoef(*ranks)[0, 1])


@pytest.fixture(scope="module")
def noisy():
    """A fold with nine nuisance sensors, three of each kind."""
    return add_nuisance(make_fold(engines=60), 9, seed=1)


def test_nuisance_sensors_look_like_the_largest_real_ones(noisy):
    sensors = [name for name in noisy.frame.sensors if name.startswith("nuisance")]
    real = [f.removeprefix("wear.") for f in noisy.frame.features if f.startswith("wear.")]
    width = len(make_fold(engines=60).frame.features)

    assert len(sensors) == 9
    assert len(noisy.frame.features) == width + 9 * len(real)
    for name in sensors:
        mine = [f for f in noisy.frame.features if f.startswith(f"{name}.")]
        assert [f.removeprefix(f"{name}.") for f in mine] == real
        assert {noisy.frame.sensor_of[noisy.frame.features.index(f)] for f in mine} == {name}


def test_nuisance_sensors_carry_no_news_of_the_life_left(noisy):
    left = noisy.labels.duration_hours
    told = {
        name: abs(rank_correlation(noisy.frame.values[:, noisy.frame.features.index(name)], left))
        for name in noisy.frame.features
        if name.endswith(".last")
    }

    assert told.pop("wear.last") > 0.95
    assert max(told.values()) < 0.15


def test_nuisance_leaves_what_was_there_and_comes_again_by_its_seed():
    fold = make_fold()
    once, again, other = (add_nuisance(fold, 4, seed=seed) for seed in (3, 3, 4))
    width = len(fold.frame.features)

    np.testing.assert_array_equal(once.frame.values[:, :width], fold.frame.values)
    np.testing.assert_array_equal(once.frame.values, again.frame.values)
    assert not np.array_equal(once.frame.values, other.frame.values, equal_nan=True)
    assert add_nuisance(fold, 0, seed=3) is fold


def test_a_wandering_sensor_remembers_and_a_jumping_one_does_not(noisy):
    frame = noisy.frame
    same = frame.asset[1:] == frame.asset[:-1]
    values = {n: frame.values[:, frame.features.index(f"nuisance00{n}.last")] for n in (0, 1)}
    lags = {n: np.corrcoef(v[1:][same], v[:-1][same])[0, 1] for n, v in values.items()}

    assert lags[0] > 0.6
    assert abs(lags[1]) < 0.1


def test_windows_of_a_simulated_sensor_are_those_of_its_own_values(noisy):
    frame = noisy.frame
    last, mean = (frame.features.index(f"nuisance000.{end}") for end in ("last", "mean.5h"))
    rows = np.flatnonzero(frame.asset == 3)
    slow = [frame.values[rows[max(0, at - 4) : at + 1], last].mean() for at in range(len(rows))]

    np.testing.assert_allclose(frame.values[rows, mean], slow, atol=1e-5)


@given(rows=st.lists(st.integers(1, 9), min_size=2, max_size=8), seed=st.integers(0, 99))
def test_rows_are_borrowed_in_order_from_one_other_asset(rows, seed):
    asset = np.repeat(np.arange(len(rows)), rows)
    borrowed = borrow_rows(asset, np.random.default_rng(seed))
    lenders = []
    for number, count in enumerate(rows):
        mine = borrowed[asset == number]
        (lender,) = set(asset[mine].tolist())
        places = mine - np.flatnonzero(asset == lender)[0]
        lenders.append(lender)

        assert lender != number
        assert np.array_equal(places, (places[0] + np.arange(count)) % rows[lender])
    assert sorted(lenders) == list(range(len(rows)))


def test_only_the_largest_sensors_are_taken_as_models():
    assert largest_sensors(make_fold().frame) == ("wear",)


@given(every=st.integers(1, 7))
def test_thinning_keeps_judged_rows_and_every_so_many_of_the_others(every):
    fold = make_fold()
    fewer = thin(fold, every=every)
    names = ("train", "validation", "calibration")
    expected = {
        name: [
            row
            for row in getattr(fold.split, name)
            if (row - np.flatnonzero(fold.frame.asset == fold.frame.asset[row])[0]) % every
            == every - 1
        ]
        for name in names
    }

    for name in names:
        mine = getattr(fewer.split, name)
        np.testing.assert_array_equal(fewer.frame.values[mine], fold.frame.values[expected[name]])
        np.testing.assert_array_equal(
            fewer.labels.duration_hours[mine], fold.labels.duration_hours[expected[name]]
        )
        np.testing.assert_array_equal(fewer.split.group[mine], fold.split.group[expected[name]])
    test, whole = fewer.split.test, fold.split.test
    np.testing.assert_array_equal(fewer.frame.cutoff[test], fold.frame.cutoff[whole])
    assert len(fewer.frame.asset) == sum(map(len, expected.values())) + len(whole)


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


def test_an_ingredient_is_held_against_the_full_network_of_its_fold():
    name = "without L1"
    cells = [
        make_row(fold="split 1", ap=0.9, rmse=10.0, ece=0.01, loss=1.2),
        make_row(fold="split 2", ap=0.8, rmse=10.0, ece=0.01, loss=1.4),
        make_row(name, fold="split 2", ap=0.7, rmse=11.0, ece=0.02, loss=1.5),
        make_row(name, fold="split 3", ap=0.1, rmse=99.0, ece=0.9, loss=9.0),
        make_row("without missing indicators"),
    ]
    text = ablation_markdown(cells)

    assert differences(cells, SET, name, AP) == [(SET, 0.7, 0.8)]
    assert "-0.1000 | +9.5 % | 3 | Tibshirani 1996 |" in text
    assert f"| {FULL} | 0.850 ± 0.071 | 10.00 ± 0.00 | 0.010 ± 0.000 | 1.300 ± 0.141 | – |" in text
    assert "| without missing indicators | – | – | – | – | – | – | – |" in text


def test_every_ingredient_names_where_it_comes_from():
    assert all(variant.paper for name, variant in VARIANTS.items() if name != FULL)


def test_numbers_from_the_environment_are_checked(monkeypatch):
    monkeypatch.setenv("PM_APP_SOMETHING", "300; 0;60;0")

    assert whole_numbers("PM_APP_SOMETHING", (1,)) == (0, 60, 300)
    assert whole_numbers("PM_APP_OTHER", (2, 1)) == (1, 2)
    with pytest.raises(AssertionError, match="PM_APP_SOMETHING must be at least 1"):
        whole_numbers("PM_APP_SOMETHING", (1,), least=1)


def test_seeds_are_told_by_their_median_and_their_worst():
    aps = {"regularized": (0.9, 0.95, 0.99), "uniform": (0.5,)}
    cells = [
        Cell(SET, "split 1", f"{strategy}, seed {seed}", {"ap": ap}, 1.0, "d", "c")
        for strategy, found in aps.items()
        for seed, ap in enumerate(found)
    ]

    spread = spread_over(cells, SET, "regularized")

    assert spread is not None
    assert (spread.seeds, spread.worst, spread.median, spread.best) == (3, 0.9, 0.95, 0.99)
    assert spread_over(cells, SET, "tiers") is None
    assert f"| {SET} | regularized | 3 | 0.9500 | 0.9000 |" in seeds_markdown(cells)
    assert "| uniform | 1 | 0.5000 |" in seeds_markdown(cells)


@pytest.mark.parametrize(
    ("file", "block", "marks"),
    [
        ("budget.json", budget_block, (BUDGET_BEGIN, BUDGET_END)),
        ("ablation.json", ablation_block, (ABLATION_BEGIN, ABLATION_END)),
    ],
)
def test_readme_quotes_what_was_measured(file, block, marks):
    text = (ROOT / "README.md").read_text(encoding="utf-8")

    assert quoted_in(text, *marks) == block(list(Results(RESULTS / file)))


@pytest.mark.parametrize(
    ("name", "told"),
    [("budget", curves_markdown), ("ablation", ablation_markdown)],
)
def test_tables_beside_the_results_tell_them_as_they_are(name, told):
    text = (RESULTS / f"{name}.md").read_text(encoding="utf-8")

    assert text == told(list(Results(RESULTS / f"{name}.json")))


def test_readme_tells_seeds_and_averages_as_they_were_measured():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    seeds = spread_over(list(Results(RESULTS / "seeds.json")), SET, "regularized")
    cells = list(Results(RESULTS / "budget.json"))
    pairs = [pair for name in sets_of(cells) for pair in budget_pairs(cells, name, "tiers", AP)]
    found = compare(pairs, more_is_better=True)

    assert f"{seeds.worst:.3f} to {seeds.best:.3f} around {seeds.median:.3f}" in text
    assert f"{found.mean:+.2f} for `tiers`" in text
    assert f"{found.low:+.2f} to {found.high:+.2f}" in text
    assert f"p = {found.p_value:.2f}" in text
