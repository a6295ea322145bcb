"""Conformal margins that hold machine by machine."""

from dataclasses import replace

import numpy as np
import pytest

from pm_app.learning.evaluation.intervals import (
    NO_CORRECTION,
    StatedLives,
    fit_margins,
    group_coverage,
    margin,
    worst_tenth,
)

CAP = 400.0


def make_stated(spreads, *, stated=None, rows=60, seed=0):
    """Lives of machines that scatter by their own spread in hours around what is stated.

    stated: half of each machine's stated width, a quarter of its spread by default.
    """
    rng = np.random.default_rng(seed)
    group = np.repeat(np.arange(len(spreads), dtype=np.int32), rows)
    half = (np.asarray(spreads) / 4 if stated is None else np.full(len(spreads), stated))[group]
    life = rng.uniform(150, 250, len(group))
    centre = life + rng.normal(0, 1, len(group)) * np.asarray(spreads)[group]
    return StatedLives(centre - half, centre + half, life, group, CAP)


def in_hours(stated):
    """Margins that leave a twentieth of the rows beyond either bound, whatever the machine."""
    under, over = stated.low - stated.life, stated.life - stated.high
    return replace(
        NO_CORRECTION,
        rul_margin_low=margin(under, stated.group),
        rul_margin_high=margin(over, stated.group),
    )


def test_nine_in_ten_lives_lie_inside_on_machines_never_seen():
    margins = fit_margins(make_stated([20.0] * 40))
    coverage = group_coverage(make_stated([20.0] * 40, seed=1), margins)

    assert 0.85 <= coverage.mean() <= 0.95
    assert worst_tenth(coverage) >= 0.8


def test_machines_of_unlike_spread_are_all_held_where_the_model_tells_them_apart():
    """Control: the same hours for all hold the calm ones always and the others hardly."""
    spreads = np.tile([4.0, 8.0, 16.0, 32.0], 12)
    fitted, judged = make_stated(spreads), make_stated(spreads, seed=1)
    margins = fit_margins(fitted)
    coverage = group_coverage(judged, margins)

    assert margins.rul_share_low > 0 and margins.rul_share_high > 0
    assert 0.85 <= coverage.mean() <= 0.95
    assert worst_tenth(coverage) >= 0.8
    assert worst_tenth(group_coverage(judged, in_hours(fitted))) < 0.75


def test_a_few_machines_that_nobody_tells_apart_get_wider_intervals_for_all():
    """But only so far that not nearly all lives lie inside."""
    spreads = np.tile([8.0] * 9 + [24.0], 5)
    fitted, judged = make_stated(spreads, stated=5.0), make_stated(spreads, stated=5.0, seed=1)
    coverage = group_coverage(judged, fit_margins(fitted))
    usual = group_coverage(judged, in_hours(fitted))

    assert worst_tenth(coverage) > worst_tenth(usual) + 0.05
    assert coverage.mean() <= 0.975


def test_groups_count_alike_however_many_rows_they_have():
    group = np.repeat(np.arange(10, dtype=np.int32), [1000, *[10] * 9])
    beyond = np.where(group == 0, 0.0, 5.0)

    assert margin(beyond, group, 0.05) == 5.0
    assert margin(beyond, group, 0.95) == 0.0


def test_nothing_known_moves_nothing():
    nothing = np.empty(0)
    stated = StatedLives(nothing, nothing, nothing, nothing.astype(np.int32), CAP)

    assert fit_margins(stated) == NO_CORRECTION
    assert margin(nothing, nothing.astype(np.int32)) == 0.0


def test_too_wide_intervals_are_narrowed():
    stated = make_stated([10.0] * 40, stated=80.0)
    margins = fit_margins(stated)
    low, high = stated.corrected(margins)

    assert np.mean(high - low) < np.mean(stated.width) / 2
    assert group_coverage(stated, margins).mean() == pytest.approx(0.9, abs=0.05)
