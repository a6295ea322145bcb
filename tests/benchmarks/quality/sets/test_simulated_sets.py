"""Simulated sets: frozen to the digit, and hard in the ways that they say."""

import hashlib
from dataclasses import replace

import numpy as np
import pytest
from benchmarks.quality.sets import drives, pumps, single
from benchmarks.quality.sets.drives import COUNTERS, DriveFolds, DrivesPlan, simulate_drives

from pm_app.simulator import simulate

SMALL = DrivesPlan(assets=400, days=60, failures_a_month=1 / 20, seed=11)


def gist_of(*arrays):
    """A digest of sums and missing values at four digits, which machines agree on."""
    text = []
    for values in arrays:
        found = np.asarray(values, dtype=float)
        finite = np.isfinite(found)
        text.append(f"{np.where(finite, found, 0.0).sum():.4g} {int(finite.sum())}")
    return hashlib.sha256(" ".join(text).encode()).hexdigest()[:8]


@pytest.mark.parametrize(
    ("plan", "gist"),
    [
        (replace(single.PLAN, days=20), "single"),
        *((replace(each.folds.plan, assets=5, days=40), each.name) for each in pumps.PUMPS),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_simulated_plant_stays_as_it_was_frozen(plan, gist):
    plant = simulate(replace(plan, seed=11))
    hours = (plant.failures.time - plan.start_ns) / 3.6e12

    assert gist_of(*plant.values, hours) == FROZEN[gist]


def test_simulated_drives_stay_as_they_were_frozen():
    found = simulate_drives(replace(drives.DRIVES.folds.plan, assets=500, seed=11))

    assert gist_of(*found.values, found.fails) == FROZEN["drives"]


def test_drives_count_nothing_mostly_and_seldom_fail():
    found = simulate_drives(replace(DrivesPlan(), assets=4_000, days=60, seed=1))
    zeros = [float(np.mean(values == 0)) for values in found.values[: len(COUNTERS)]]

    assert min(zeros) > 0.8
    assert np.isfinite(found.fails).sum() == pytest.approx(4_000 * 2 / 200, rel=0.3)


def test_counters_announce_most_failures_and_healthy_drives_have_old_counts_too():
    found = simulate_drives(replace(SMALL, assets=2_000, failures_a_month=1 / 10))
    grown = found.values[0, :, -1] - found.values[0, :, 0]
    failing = np.isfinite(found.fails)
    last = np.where(failing, found.fails, 0).astype(int)
    before = found.values[0, np.arange(len(last)), np.maximum(last - 1, 0)] - found.values[0, :, 0]

    assert 0.4 < np.mean(before[failing & (last > 20)] > 3) < 0.75
    assert np.mean(grown[~failing] > 3) < 0.05
    assert np.mean(found.values[0, ~failing, 0] > 3) > 0.05


def test_drives_that_failed_send_nothing_more():
    found = simulate_drives(SMALL)
    table = found.readings().to_pandas()
    newest = table.groupby("asset_id")["timestamp"].max()
    for row in found.events().to_pylist():
        assert newest[row["asset_id"]] < row["timestamp"]
    assert len(found.events()) > 20


def test_drives_are_judged_on_days_after_all_that_teaches(tmp_path, monkeypatch):
    monkeypatch.setenv("PM_APP_QUALITY_FOLDS", "plant 11")
    (fold,) = DriveFolds(SMALL)(tmp_path, tmp_path)
    parts = (fold.split.train, fold.split.validation, fold.split.calibration)
    owners = [set(fold.frame.asset[part].tolist()) for part in parts]
    border = fold.frame.cutoff[fold.learn].max()

    assert fold.frame.cutoff[fold.split.test].min() > border
    assert sum(map(len, owners)) == len(set.union(*owners))
    assert all(fold.labels.failed[part].any() for part in (*parts, fold.split.test))
    known_ns = 3.6e12 * fold.labels.duration_hours[fold.learn] + fold.frame.cutoff[fold.learn]
    assert known_ns.max() < border + 2 * drives.DAY_NS


def test_a_single_machine_teaches_with_27_failures_and_is_judged_by_what_follows(
    tmp_path, monkeypatch
):
    monkeypatch.setenv("PM_APP_QUALITY_FOLDS", "plant 11")
    monkeypatch.setattr(single, "PLAN", replace(single.PLAN, days=36))
    (fold,) = single.folds(tmp_path, tmp_path)
    parts = ("train", "validation", "calibration", "test")
    lives = [
        np.unique(fold.labels.life[rows][fold.labels.failed[rows]])
        for rows in (getattr(fold.split, name) for name in parts)
    ]

    assert [len(each) for each in lives[:3]] == [19, 4, 4]
    assert all(a.max() < b.min() for a, b in zip(lives, lives[1:], strict=False))


FROZEN = {
    "single": "bb5ed87b",
    "pumps, demo": "eb75e08c",
    "pumps, seals": "f9405482",
    "pumps, mixed": "76298ac6",
    "drives": "d86d60ba",
}
