"""Peers are fitted to what a lesson shows, and to nothing else."""

from dataclasses import replace

import numpy as np
import pytest

from pm_app.learning.evaluation import boosters as peers
from pm_app.learning.evaluation.boosters import BoosterTask, fit_booster
from pm_app.learning.evaluation.metrics import average_precision, calibration_error
from pm_app.records.features import Frame
from pm_app.records.labels import Labels, Split

ASSETS, HOURS = 60, 40
NS = 3_600_000_000_000


def make_lesson(seed=0):
    """Assets whose first feature counts down to the failure of most; the second is noise."""
    rng = np.random.default_rng(seed)
    asset = np.repeat(np.arange(ASSETS, dtype=np.int32), HOURS)
    left = np.tile(np.arange(HOURS, 0, -1.0), ASSETS)
    values = np.stack([left + rng.normal(0, 3, len(left)), rng.normal(size=len(left))], axis=1)
    frame = Frame(
        tuple(f"a{number:02d}" for number in range(ASSETS)),
        asset,
        np.tile(np.arange(HOURS) * NS, ASSETS),
        ("wear", "noise"),
        ("wear", "noise"),
        values.astype(np.float32),
    )
    failed = np.repeat(np.arange(ASSETS) % 5 > 0, HOURS)
    nothing = np.full(len(left), np.nan)
    labels = Labels(left, failed, nothing, np.ones(len(left), dtype=np.bool_), asset)
    part = asset % 4
    rows = [np.flatnonzero(part == number) for number in range(4)]
    return BoosterTask(frame, labels, Split(*rows, asset, "by asset"), 8.0, 30.0, seed)


@pytest.fixture(params=["LightGBM", "random forest"])
def peer_of(request, monkeypatch):
    """Fits the peer of that name."""
    if request.param == "LightGBM":
        pytest.importorskip("lightgbm", reason="needs LightGBM: the extra `benchmark`")
    else:
        monkeypatch.setattr(peers, "find_spec", lambda name: None)

    def fit(lesson):
        peer = fit_booster(lesson)
        assert peer.name == request.param
        return peer

    return fit


def test_a_peer_learns_what_there_is_to_learn_and_says_it_calibrated(peer_of):
    lesson = make_lesson()
    risk, rul = peer_of(lesson).answer(lesson.frame.values)
    test = lesson.split.test
    truth = lesson.labels.fails_within(8.0)
    known = test[np.isfinite(truth[test])]

    assert average_precision(risk[known], truth[known]) > 2 * truth[known].mean()
    assert calibration_error(risk[known], truth[known]) < 0.1
    error = rul[test] - np.minimum(lesson.labels.duration_hours[test], 30.0)
    assert np.sqrt(np.mean(error[lesson.labels.failed[test]] ** 2)) < 6


def test_a_peer_knows_nothing_of_test_rows(peer_of):
    lesson = make_lesson()
    failed, left = lesson.labels.failed.copy(), lesson.labels.duration_hours.copy()
    failed[lesson.split.test], left[lesson.split.test] = False, 999.0
    spoiled = replace(lesson, labels=replace(lesson.labels, failed=failed, duration_hours=left))

    for one, other in zip(
        peer_of(lesson).answer(lesson.frame.values),
        peer_of(spoiled).answer(lesson.frame.values),
        strict=True,
    ):
        np.testing.assert_allclose(one, other, rtol=1e-9)
