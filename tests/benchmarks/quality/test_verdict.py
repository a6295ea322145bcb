"""Verdicts against trees: chosen by what was known before, over folds and over seeds."""

import numpy as np
import pytest
from benchmarks.quality.blocks import (
    AP,
    BLOCKS,
    BRIER,
    NETWORK,
    RMSE,
    UNGUIDED,
    VALIDATED,
    VERSION,
    values_of,
)
from benchmarks.quality.comparing import compare, paired, validated
from benchmarks.quality.results import Cell, Results
from benchmarks.quality.sets.folds import FRESH
from benchmarks.quality.tables import markdown
from benchmarks.quality.verdict import verdict_on, verdicts

UR3 = next(block for block in BLOCKS if block.title == "UR3 CobotOps")


def make_cell(model=VERSION, *, fold="block 1", name="UR3 CobotOps", seed=0, note=None, **figures):
    return Cell(name, fold, model, figures, 1.0, "d", "c", note or {}, seed)


def tree(model, *, held_ap, held_rmse=9.0, ap=0.5, rmse=9.0, **where):
    note = {"held_ap": held_ap, "held_rmse": held_rmse}
    return make_cell(model, note=note, ap=ap, brier=1 - ap, rmse=rmse, **where)


def test_a_tree_is_chosen_by_rows_to_tune_by_and_not_by_the_judged():
    cells = [
        tree("LightGBM", held_ap=0.9, held_rmse=9.0, ap=0.2, rmse=30.0),
        tree("XGBoost", held_ap=0.8, held_rmse=3.0, ap=0.7, rmse=20.0),
        tree("random forest", held_ap=0.1, held_rmse=8.0, ap=0.9, rmse=10.0),
    ]
    (found,) = validated(cells)

    assert found.model == VALIDATED
    assert found.note == {"risk": "LightGBM", "life": "XGBoost"}
    assert found.figures == {"ap": 0.2, "brier": 0.8, "rmse": 20.0}


def test_a_tree_of_which_nothing_is_known_beforehand_is_not_chosen():
    cells = [make_cell("LightGBM", ap=0.9), tree("XGBoost", held_ap=0.8)]

    assert validated(cells) == []


def test_a_fold_of_many_seeds_counts_once_and_by_their_mean():
    cells = [make_cell(seed=seed, ap=0.1 * seed) for seed in range(5)]
    cells.append(make_cell(fold="block 2", ap=0.8))

    assert values_of(cells, VERSION, AP) == {
        ("UR3 CobotOps", "block 1"): pytest.approx(0.2),
        ("UR3 CobotOps", "block 2"): pytest.approx(0.8),
    }


def test_seeds_far_apart_widen_an_interval_that_folds_alone_would_not():
    rng = np.random.default_rng(0)
    folds = [("one", 0.5, 0.4)] * 4
    seeds = [("one", tuple(rng.normal(0.5, 0.1, 10)), (0.4,))] * 4
    narrow, wide = (compare(pairs, more_is_better=True) for pairs in (folds, seeds))

    assert (narrow.low, narrow.high) == (pytest.approx(0.1), pytest.approx(0.1))
    assert wide.low < 0.1 < wide.high
    assert wide.pairs == 4


def test_seeds_survive_being_read_again_and_old_results_are_of_the_first(tmp_path):
    path = tmp_path / "results.json"
    path.write_text(
        '{"cells": [{"set": "UR3 CobotOps", "fold": "block 1", "model": "pm-app", '
        '"figures": {"ap": 0.4}, "seconds": 1.0, "data": "d", "code": "c"}]}',
        encoding="utf-8",
    )
    Results(path).keep([make_cell(seed=3, ap=0.5)])
    found = Results(path)

    assert sorted((cell.seed, cell.figures["ap"]) for cell in found) == [(0, 0.4), (3, 0.5)]
    assert found.find(("UR3 CobotOps", "block 1", VERSION, 1)) is None


def folds_of(ours, theirs, figure="ap"):
    """Four folds each of ours and of two trees, of which validation chose the first."""
    cells = []
    for number, (mine, other) in enumerate(zip(ours, theirs, strict=True)):
        fold = f"block {number + 1}"
        cells.append(make_cell(fold=fold, **{figure: mine}))
        for name, held in (("LightGBM", 0.9), ("XGBoost", 0.1)):
            note = {"held_ap": held, "held_rmse": 1 - held}
            value = other if name == "LightGBM" else 99.0
            cells.append(make_cell(name, fold=fold, note=note, **{figure: value}))
    return [*cells, *validated(cells)]


@pytest.mark.parametrize(
    ("ours", "word"),
    [
        ((0.60, 0.61, 0.62, 0.63), "ahead"),
        ((0.50, 0.501, 0.499, 0.50), "not behind"),
        ((0.30, 0.70, 0.45, 0.56), "not excluded"),
        ((0.40, 0.41, 0.42, 0.43), "behind"),
        ((0.497, 0.498, 0.497, 0.498), "not behind"),
    ],
)
def test_a_set_is_behind_where_the_interval_says_so_and_doubtful_where_it_excludes_nothing(
    ours, word
):
    found = verdicts(folds_of(ours, (0.5, 0.5, 0.5, 0.5)), UR3, VALIDATED)

    assert verdict_on(AP, found[AP]) == word


def test_an_error_may_be_3_percent_larger_and_a_brier_score_not_at_all():
    errors = verdicts(folds_of((10.2,) * 3, (10.0,) * 3, "rmse"), UR3, VALIDATED)
    larger = verdicts(folds_of((10.4,) * 3, (10.0,) * 3, "rmse"), UR3, VALIDATED)
    scores = verdicts(folds_of((0.101,) * 3, (0.1,) * 3, "brier"), UR3, VALIDATED)

    assert verdict_on(RMSE, errors[RMSE]) == "not behind"
    assert verdict_on(RMSE, larger[RMSE]) == "behind"
    assert verdict_on(BRIER, scores[BRIER]) == "behind"


def test_fresh_plants_are_told_apart_from_those_looked_at():
    looked = make_cell(name="pumps, seals", fold="plant 11", ap=0.9)
    fresh = make_cell(name="pumps, seals", fold=f"{FRESH}plant 904", ap=0.1)
    by_title = {block.title: block for block in BLOCKS}

    assert by_title["pumps, seals"].cells([looked, fresh]) == [looked]
    assert by_title["pumps, seals, fresh plants"].cells([looked, fresh]) == [fresh]
    assert "## pumps, seals, fresh plants (kept aside, 1 fold)" in markdown([looked, fresh])


def test_the_table_says_in_words_whether_a_set_is_behind():
    text = markdown(folds_of((0.4, 0.41, 0.42, 0.43), (0.5,) * 4))

    assert "| UR3 CobotOps | 4 | -0.0850 (-0.0950 to -0.0750) | – | – | – | AP behind |" in text
    assert "- All sets, AP, against the tree that validation chose: -0.0850" in text


def test_the_share_of_the_network_is_told_with_the_strategies_that_validation_chose():
    notes = [{"share": 0.5, "chosen": "tiers"}, {"share": 1.0, "chosen": "tiers"}]
    cells = [make_cell(note=note, seed=seed, ap=0.5) for seed, note in enumerate(notes)]

    assert "| UR3 CobotOps | 2 | 0.75 (0.5 to 1) | tiers 2 |" in markdown(cells)
    assert "share of the answer" not in markdown([make_cell(ap=0.5)])


def test_guidance_is_held_against_the_same_fit_without_it():
    cells = [
        make_cell(model, seed=seed, ap=ap + 0.01 * seed)
        for model, ap in ((VERSION, 0.9), (NETWORK, 0.6), (UNGUIDED, 0.5))
        for seed in range(2)
    ]

    line = "| UR3 CobotOps: pm-app network alone against pm-app network unguided | 1 | +0.1000"
    assert line in markdown(cells)


def test_a_strategy_is_held_against_its_control_over_all_sets_that_have_both():
    cells = [
        make_cell(model, name=name, fold=fold, ap=ap + gain * (model != "pm-app uniform"))
        for name, fold, gain in (
            ("UR3 CobotOps", "block 1", 0.1),
            ("UR3 CobotOps", "block 2", 0.2),
            ("AI4I 2020", "split 1", -0.06),
        )
        for model, ap in (("pm-app uniform", 0.5), ("pm-app tiers", 0.5))
    ]
    cells.append(make_cell("pm-app tiers", name="AI4I 2020", fold="split 2", ap=0.9))

    line = "- All sets, AP, pm-app tiers against pm-app uniform: +0.0800"
    assert line in markdown(cells)
    assert "better on 2 of 3 folds" in markdown(cells)


def test_a_difference_to_the_chosen_tree_needs_both_on_the_same_fold():
    cells = [*folds_of((0.6,), (0.5,)), make_cell(fold="block 9", ap=0.9)]

    assert len(paired(cells, AP, lambda inside: VALIDATED)) == 1
