from dataclasses import replace

import numpy as np
import pytest
from test_pool_graph import (
    FEATURES,
    KINDS,
    make_graph,
    make_task,
    mix_answers,
    reshaped_second_output,
    run,
    with_modes,
)

from pm_app.learning.evaluation.calibration import event_truths
from pm_app.learning.pool import boosted as boosted_module
from pm_app.learning.pool.boosted import fit_boosted
from pm_app.learning.pool.forest import fit_forest
from pm_app.learning.pool.graph import at_thresholds, pool_graph

lightgbm = pytest.importorskip("lightgbm", reason="the extra boost is not installed")


@pytest.fixture
def models(monkeypatch):
    """Models of LightGBM that were trained meanwhile."""
    trained, train = [], lightgbm.train

    def keep(*arguments, **more):
        trained.append(train(*arguments, **more))
        return trained[-1]

    monkeypatch.setattr(lightgbm, "train", keep)
    return trained


def said_of_spans(model, values, boosted):
    """What LightGBM itself says of every row in every span."""
    spans = np.tile(np.arange(boosted.outputs, dtype=float), len(values))
    asked = np.column_stack([np.repeat(values, boosted.outputs, axis=0), spans])
    return model.predict(asked, num_iteration=boosted.rounds[0]).reshape(-1, boosted.outputs)


def said_by_the_library(model, values, boosted):
    """The same as a head's answers."""
    said = said_of_spans(model, values, boosted)
    if boosted.kind == "hazard":
        return np.cumprod(1.0 - said, axis=1)
    return said * boosted.unit + boosted.zero


def two_horizons(task):
    return replace(task, head=replace(task.head, horizons_hours=(12.0, 24.0)))


@pytest.mark.parametrize("kind", KINDS)
def test_trees_cut_by_span_say_what_the_library_says(models, kind):
    task = make_task(kind, rows=2000)
    boosted = replace(fit_boosted(task, task.split.train, seed=0), direct=None)
    values = at_thresholds([boosted], task.frame.values, seed=1)

    said = said_by_the_library(models[0], values, boosted)

    assert np.abs(boosted(values) - said).max() / boosted.unit <= 1e-4
    assert boosted.rounds[0] > 5


def test_horizons_lose_what_is_asked_directly_spread_as_spans_have_it(models):
    task = two_horizons(make_task("life", rows=2000))
    boosted = fit_boosted(task, task.split.train, seed=0, rounds=(30, 20, 20))
    values = at_thresholds([boosted], task.frame.values, seed=1)
    log_odds = [model.predict(values, raw_score=True) for model in models[1:]]
    ends = [task.head.edges_hours.index(horizon) + 1 for horizon in task.head.horizons_hours]

    hazards = said_of_spans(models[0], values, boosted)
    lost = -np.log1p(-hazards)
    for draws, (start, end) in zip((log_odds[:2], log_odds[2:]), ([0, ends[0]], ends), strict=True):
        asked = np.logaddexp(0.0, np.mean(draws, axis=0))
        lost[:, start:end] *= (asked / lost[:, start:end].sum(axis=1))[:, None]

    assert ends[0] > 1 and len(models) == 5
    assert np.abs(boosted(values) - np.exp(-np.cumsum(lost, axis=1))).max() <= 1e-4


def test_horizons_are_asked_directly_where_validation_rows_lose_less(monkeypatch):
    task = make_task("life", rows=2000)
    losses = {}
    judge = boosted_module._risk_loss

    def keep(boosted, task):
        losses[boosted.direct is not None] = judge(boosted, task)
        return losses[boosted.direct is not None]

    monkeypatch.setattr(boosted_module, "_risk_loss", keep)
    chosen = fit_boosted(task, task.split.train, seed=0)
    assert (chosen.direct is not None) == (losses[True] < losses[False])

    # What spans say is made worthless: rows that teach them fail in spans drawn at random.
    spans = boosted_module._periods_of

    def scattered(*arguments):
        periods, targets = spans(*arguments)
        rng = np.random.default_rng(0)
        return replace(periods, happened=rng.permutation(periods.happened)), targets

    monkeypatch.setattr(boosted_module, "_periods_of", scattered)
    assert fit_boosted(task, task.split.train, seed=0).direct is not None


def test_where_nothing_fails_within_a_horizon_it_is_not_asked_directly():
    task = make_task("life", rows=2000)
    truths = event_truths(task.labels, task.split.train, task.head)
    rows = task.split.train[truths[:, 0] == 0.0]

    assert fit_boosted(task, rows, seed=0, rounds=(10, 10)).direct is None


def test_survival_falls_and_follows_what_is_left():
    task = make_task("life", rows=2000, censored=0.0)
    values, left = task.frame.values, task.labels.duration_hours
    test = task.split.test[np.isfinite(values[task.split.test, 0])]

    alive = fit_boosted(task, task.split.train, seed=0)(values[test])

    assert (np.diff(alive, axis=1) <= 0.0).all()
    soon, late = left[test] < 12.0, left[test] > 60.0
    first = task.head.edges_hours.index(24.0)
    assert alive[soon, first].mean() < 0.2 < 0.9 < alive[late, first].mean()


def test_a_sample_of_spans_keeps_the_level_of_risk(monkeypatch):
    """Control: without their weights a quarter of what did not happen would stand for all."""
    task = make_task("life", rows=2000, censored=0.0)
    rows = task.split.learned
    whole = fit_boosted(task, rows, seed=0, rounds=(30,))(task.frame.values).mean(axis=0)
    periods, _ = boosted_module._periods_of(task, rows, boosted_module.MOST_PERIODS, 0)
    monkeypatch.setattr(boosted_module, "MOST_PERIODS", len(periods.rows) // 3)

    sampled = fit_boosted(task, rows, seed=0, rounds=(30,))(task.frame.values).mean(axis=0)

    fewer, _ = boosted_module._periods_of(task, rows, boosted_module.MOST_PERIODS, 0)
    assert fewer.happened.sum() == periods.happened.sum()
    assert fewer.happened.mean() > 2 * periods.happened.mean()
    assert sampled == pytest.approx(whole, abs=0.03)


def test_what_was_never_missing_goes_with_most_rows_when_it_is():
    task = make_task("life", rows=2000, censored=0.0)
    values = np.nan_to_num(task.frame.values)
    values[:, 0] = np.where(task.labels.duration_hours < 20.0, 1.0, -1.0)
    task = replace(task, frame=replace(task.frame, values=values))
    boosted = fit_boosted(task, task.split.train, seed=0)
    unknown, usual = np.zeros((1, FEATURES), np.float32), np.zeros((1, FEATURES), np.float32)
    unknown[0, 0], usual[0, 0] = np.nan, -1.0

    assert boosted(unknown) == pytest.approx(boosted(usual), abs=0.05)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("network", [0.0, 0.5])
def test_the_graph_of_three_says_what_its_members_say(kind, network):
    task = make_task(kind)
    forest, boosted = (fit(task, task.split.train, seed=0) for fit in (fit_forest, fit_boosted))
    graph = make_graph(FEATURES, edges=forest.outputs)
    values = at_thresholds([forest, boosted], task.frame.values, seed=1)
    shares = {"network": network, "forest": 0.75 - network, "boosted trees": 0.25}
    shares = {name: share for name, share in shares.items() if share}

    pooled = run(pool_graph(graph, shares, forest=forest, boosted=boosted), values)

    said = {
        "network": run(graph, values),
        "forest": forest(values),
        "boosted trees": boosted(values),
    }
    expected = mix_answers([said[name] for name in shares], list(shares.values()), forest.kind)
    assert np.abs(pooled - expected).max() / forest.unit <= 1e-4


def test_boosted_trees_leave_modes_to_those_who_tell_them_apart():
    task = with_modes(make_task("life"))
    forest, boosted = (fit(task, task.split.train, seed=0) for fit in (fit_forest, fit_boosted))
    graph = make_graph(FEATURES, edges=forest.outputs, attends=forest.outputs * 2)
    graph = reshaped_second_output(graph, (-1, forest.outputs, 2))
    shares = {"forest": 0.5, "boosted trees": 0.5}

    pooled = run(pool_graph(graph, shares, forest=forest, boosted=boosted), task.frame.values, at=1)

    assert pooled == pytest.approx(forest.mode_shares(task.frame.values), abs=1e-5)


def test_beside_boosted_trees_alone_modes_are_those_of_the_network():
    task = with_modes(make_task("life"))
    boosted = fit_boosted(task, task.split.train, seed=0)
    graph = make_graph(FEATURES, edges=boosted.outputs, attends=boosted.outputs * 2)
    graph = reshaped_second_output(graph, (-1, boosted.outputs, 2))
    shares = {"network": 0.5, "boosted trees": 0.5}
    values = task.frame.values

    pooled = pool_graph(graph, shares, forest=None, boosted=boosted)

    assert np.array_equal(run(pooled, values, at=1), run(graph, values, at=1))
    mixed = mix_answers([run(graph, values), boosted(values)], [0.5, 0.5], "hazard")
    assert run(pooled, values) == pytest.approx(mixed, abs=1e-4)


def test_the_same_arguments_boost_the_same_trees():
    task = make_task("life")
    first, again = (fit_boosted(task, task.split.train, seed=3) for _ in range(2))

    assert np.array_equal(first(task.frame.values), again(task.frame.values))
