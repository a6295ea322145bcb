"""The quality benchmark's bookkeeping, and the documentation's figures against its results.

Needs none of the peers' libraries: only what was measured, as it was committed.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from benchmarks.quality.blocks import (
    AP,
    CONTROL,
    MEAN,
    MODELS,
    OURS,
    RMSE,
    SELECTION,
    TREES,
    VERSION,
)
from benchmarks.quality.comparing import best_tree, compare, paired
from benchmarks.quality.results import Cell, Results, digest_of_data
from benchmarks.quality.sets.folds import Fold, Task, part_by_group
from benchmarks.quality.tables import (
    BEGIN,
    END,
    markdown,
    mixed_code,
    mixed_data,
    quote_in,
    quoted_block,
    quoted_in,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from pm_app.records.features import Frame
from pm_app.records.labels import Labels
from pm_app.settings.strategies import STRATEGY_NAMES

ROOT = Path(__file__).parents[3]
RESULTS = ROOT / "tests" / "benchmarks" / "quality" / "results"


def make_cell(model=VERSION, *, fold="split 1", name="AI4I 2020", data="d", code="c", **figures):
    return Cell(name, fold, model, figures or {"ap": 0.5}, 1.0, data, code)


def make_fold(*, assets=6, rows_each=4, seed=0):
    rng = np.random.default_rng(seed)
    asset = np.repeat(np.arange(assets), rows_each).astype(np.int32)
    rows = len(asset)
    names = tuple(f"pump-{number}" for number in range(assets))
    values = rng.normal(size=(rows, 2)).astype(np.float32)
    frame = Frame(names, asset, np.arange(rows), ("a", "b"), ("a", "b"), values)
    every = np.ones(rows, dtype=bool)
    duration = np.tile(np.arange(rows_each, 0.0, -1.0), assets)
    labels = Labels(duration, every, np.full(rows, np.nan), every, asset)
    learn, judged = np.flatnonzero(asset < assets - 1), np.flatnonzero(asset == assets - 1)
    split = part_by_group(asset, learn, judged, "by asset", level=duration, seed=seed)
    return Fold("split 1", frame, labels, split)


def test_the_documentation_quotes_the_results_as_they_are():
    text = (ROOT / "pm_app" / "docs" / "benchmarks.md").read_text(encoding="utf-8")

    assert quoted_in(text) == quoted_block(list(Results(RESULTS / "results.json")))


def test_the_table_beside_the_results_tells_them_as_they_are():
    text = (RESULTS / "quality.md").read_text(encoding="utf-8")

    assert text == markdown(list(Results(RESULTS / "results.json")))


def test_all_models_of_a_committed_fold_saw_the_same_data():
    assert mixed_data(Results(RESULTS / "results.json")) == []


def test_every_strategy_has_its_row():
    names = [name for name in MODELS if name.startswith("pm-app")]

    assert set(names) == {f"pm-app {name}" for name in STRATEGY_NAMES} | {*OURS, *SELECTION}
    assert len(names) == len(set(names))


def test_a_cell_replaces_its_forerunner_and_survives_being_read_again(tmp_path):
    path = tmp_path / "new" / "results.json"
    results, beside = Results(path), Results(path)
    results.keep([make_cell(ap=0.1), make_cell(CONTROL, ap=0.2)])
    beside.keep([make_cell(ap=0.3)])

    found = {cell.model: cell.figures["ap"] for cell in Results(path)}
    assert found == {VERSION: 0.3, CONTROL: 0.2}
    assert [p.name for p in path.parent.iterdir()] == ["results.json"]


def test_other_features_rows_or_truth_are_other_data():
    task, fold = Task("life", horizon_hours=2.0, cap_hours=4.0), make_fold()
    renamed = replace(fold.frame, features=("a", "c"))
    shifted = replace(fold.frame, values=fold.frame.values + np.float32(0.1))
    longer = replace(fold.labels, duration_hours=fold.labels.duration_hours + 1)
    fewer = replace(fold.split, train=fold.split.train[1:])
    others = [
        digest_of_data(replace(fold, frame=renamed), task),
        digest_of_data(replace(fold, frame=shifted), task),
        digest_of_data(replace(fold, labels=longer), task),
        digest_of_data(replace(fold, split=fewer), task),
        digest_of_data(fold, replace(task, cap_hours=5.0)),
    ]

    assert digest_of_data(make_fold(), task) == digest_of_data(fold, task)
    assert digest_of_data(fold, task) not in others
    assert len(set(others)) == len(others)


def test_the_last_bit_of_a_feature_is_not_other_data():
    task, fold = Task("life", horizon_hours=2.0, cap_hours=4.0), make_fold()
    values = np.nextafter(fold.frame.values, np.float32(np.inf))
    near = replace(fold, frame=replace(fold.frame, values=values))

    assert digest_of_data(near, task) == digest_of_data(fold, task)


@given(
    groups=st.integers(7, 60),
    rows=st.integers(60, 200),
    in_time=st.booleans(),
    seed=st.integers(0, 99),
)
def test_no_group_is_cut_and_no_row_lost(groups, rows, in_time, seed):
    group = np.sort(np.random.default_rng(seed).integers(0, groups, rows))
    learn, judged = np.flatnonzero(group < groups - 1), np.flatnonzero(group == groups - 1)
    level = None if in_time else np.bincount(group)[group]
    split = part_by_group(group, learn, judged, "here", level=level, seed=seed)
    parts = [split.train, split.validation, split.calibration]

    assert np.array_equal(np.sort(np.concatenate(parts)), learn)
    owners = [set(group[part].tolist()) for part in (*parts, judged)]
    assert sum(map(len, owners)) == len(set(group.tolist()))
    if in_time:
        ends = [(part.min(), part.max()) for part in parts if len(part)]
        assert all(end < begin for (_, end), (begin, _) in zip(ends, ends[1:], strict=False))


def test_a_difference_is_taken_fold_by_fold():
    cells = [
        make_cell(model, fold=fold, ap=ap)
        for model, fold, ap in (
            (VERSION, "split 1", 0.9),
            (VERSION, "split 2", 0.5),
            (VERSION, "split 3", 0.1),
            (MEAN, "split 2", 0.4),
            (MEAN, "split 1", 0.7),
        )
    ]
    pairs = paired(cells, AP, lambda inside: MEAN)
    found = compare(pairs, more_is_better=True)

    assert pairs == [("AI4I 2020", (0.9,), (0.7,)), ("AI4I 2020", (0.5,), (0.4,))]
    assert (found.pairs, found.better) == (2, 2)
    assert found.mean == pytest.approx(0.15)
    assert (found.low, found.high) == (pytest.approx(0.1), pytest.approx(0.2))
    assert found.p_value is None


def test_errors_in_different_units_are_compared_as_shares():
    cells = [
        make_cell(model, fold=fold, name=name, rmse=rmse)
        for name, fold in (("C-MAPSS FD001", "split 1"), ("UR3 CobotOps", "block 1"))
        for model, rmse in ((VERSION, 9.0), (MEAN, 10.0))
    ]
    found = compare(paired(cells, RMSE, lambda inside: MEAN), more_is_better=False)

    assert found.better == found.pairs == 2
    assert np.exp(found.mean) == pytest.approx(0.9)


# Each example draws thousands of resamplings.
@settings(max_examples=20, deadline=None)
@given(apart=st.lists(st.floats(-0.2, 0.2), min_size=4, max_size=12))
def test_swapping_sides_turns_a_difference_round(apart):
    pairs = [("one set", 0.5 + each, 0.5) for each in apart]
    there = compare(pairs, more_is_better=True)
    back = compare([(name, b, a) for name, a, b in pairs], more_is_better=True)

    assert back.mean == pytest.approx(-there.mean)
    assert back.p_value == pytest.approx(there.p_value)
    assert back.better + there.better == sum(a != b for _, a, b in pairs)
    assert there.low - 1e-9 <= there.mean <= there.high + 1e-9


def test_the_best_tree_is_known_only_when_all_were_measured():
    cells = [make_cell(name, ap=0.1 * at) for at, name in enumerate(TREES)]

    assert best_tree(cells, AP) == TREES[-1]
    assert best_tree(cells[:-1], AP) is None


def test_a_missing_model_is_shown_as_missing_and_the_best_in_bold(tmp_path):
    cells = [make_cell(VERSION, ap=0.9), make_cell(MEAN, ap=0.8)]
    cells.append(make_cell(MEAN, name="pumps, demo", fold="plant 1", ap=0.5, rmse=30.0))
    document = tmp_path / "benchmarks.md"
    document.write_text(f"before {BEGIN} old {END} after", encoding="utf-8")
    quote_in(document, quoted_block(cells))
    text = document.read_text(encoding="utf-8")

    assert text.startswith("before ") and text.endswith(" after") and " old " not in text
    assert f"| {VERSION} | **0.900** | – |" in text
    assert f"| {MEAN} | 0.800 | **0.500** |" in text


def test_a_mean_is_told_only_over_all_folds_of_a_set():
    cells = [make_cell(MEAN, fold=fold, ap=0.8) for fold in ("split 1", "split 2")]
    half = quoted_block([*cells, make_cell(VERSION, fold="split 1", ap=0.9)])
    whole = quoted_block([*cells, *(replace(cell, model=VERSION) for cell in cells)])

    assert f"| {VERSION} | – |" in half
    assert f"| {VERSION} | **0.800** |" in whole


def test_a_version_measured_in_part_by_other_code_is_never_told_as_one():
    cells = [make_cell(fold=f"split {at}", code=code) for at, code in enumerate("aab")]

    assert mixed_code(cells) == ["AI4I 2020, pm-app"]
    assert "Measured on different code, do not compare: AI4I 2020, pm-app." in markdown(cells)
    assert mixed_code(cells[:2]) == []
    assert "| `a` | AI4I 2020 |" in markdown(cells[:2])


def test_all_versions_of_a_committed_set_were_measured_by_one_code():
    assert mixed_code(Results(RESULTS / "results.json")) == []


def test_figures_on_different_features_are_never_told_as_one():
    cells = [make_cell(VERSION), make_cell(MEAN, data="other")]

    assert mixed_data(cells) == ["AI4I 2020, split 1"]
    assert "do not compare: AI4I 2020, split 1" in markdown(cells)
