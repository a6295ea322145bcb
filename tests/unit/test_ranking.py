"""Which failures a retraining ranks sensors by, and what it says where they are too few."""

import numpy as np
import pytest
from factories import make_card

from pm_app.jobs import study as study_module
from pm_app.jobs.rival import Rival
from pm_app.jobs.study import Study, rank_sensors
from pm_app.jobs.training_order import TrainingOrder
from pm_app.records.features import Frame
from pm_app.records.labels import Labels, Split
from pm_app.records.learning import Allocation, Head, Importance, Tier
from pm_app.settings import parse_settings
from pm_app.times import HOUR_NS, utc_text

LIFE_HOURS = 30
SETTINGS = parse_settings(
    {
        "target": {"horizons": ["6h"], "rul_cap": "30h"},
        "retraining": {"minimum_failures": 6},
        "drift": {"in_a_row": 1},
    },
    folder=study_module.__file__,
    origin="plant.toml",
)
SENSORS = ("old", "new", "noise")


def make_study(*, lives: int, changed_from: int) -> Study:
    """Lives one after another, every fifth for validation; `old` announces the end of those
    before a change, `new` of those after."""
    rng = np.random.default_rng(0)
    life = np.repeat(np.arange(lives), LIFE_HOURS)
    left = np.tile(np.arange(LIFE_HOURS, 0.0, -1.0), lives)
    wear = np.maximum(8.0 - left, 0.0)
    values = rng.normal(size=(len(life), 3))
    values[:, 0] += np.where(life < changed_from, wear, 0.0)
    values[:, 1] += np.where(life >= changed_from, wear, 0.0)
    frame = Frame(
        ("pump",),
        np.zeros(len(life), dtype=np.int32),
        np.arange(len(life)) * HOUR_NS,
        SENSORS,
        SENSORS,
        values.astype(np.float32),
    )
    every = np.ones(len(life), dtype=bool)
    labels = Labels(left, every, np.full(len(life), np.nan), every, life.astype(np.int32))
    held_out = life % 5 == 4
    nothing = np.zeros(0, dtype=np.intp)
    split = Split(
        np.flatnonzero(~held_out), np.flatnonzero(held_out), nothing, nothing,
        life.astype(np.int32), "here",
    )  # fmt: skip
    return Study("life", frame, labels, split, Head("hazard", (6.0, 30.0), (6.0,)))


def make_rival(*, knew: int) -> Rival:
    """A champion that learned from so many lives, all of which `old` announced."""
    replicates = tuple((0.9 + step, 0.05 - step, 0.05) for step in np.linspace(0, 0.02, 8))
    importance = Importance(
        SENSORS, (0.91, 0.04, 0.05), (0.01,) * 3, replicates, tuple((s,) for s in SENSORS),
        (0.91, 0.04, 0.05), (), "average_precision", 0.9,
    )  # fmt: skip
    plan = Allocation("uniform", (Tier("all", SENSORS, 8, 0, 0.0),), (1e-4,) * 3, (8,), 1, 100)
    until = utc_text((knew * LIFE_HOURS - 1) * HOUR_NS)
    return Rival(make_card(importance=importance, allocation=plan, trained_until=until), b"", b"")


def make_order(*, failures_before: int, failures_last: int) -> TrainingOrder:
    return TrainingOrder({}, "", (), (), {}, 0, "", 1, 0, failures_before, failures_last, False, "")


def rank(study: Study, rival: Rival | None, *, failures: int, goes_on: bool = True):
    order = make_order(failures_before=0, failures_last=0)
    return rank_sensors(study, SETTINGS, order, rival, failures, goes_on=goes_on)


def test_a_change_that_the_newest_failures_tell_is_seen_though_most_of_history_knows_none():
    now, drift = rank(make_study(lives=40, changed_from=30), make_rival(knew=30), failures=40)

    assert drift.verdict == "rebuild"
    assert drift.reason.startswith("new rose from rank")
    assert now.shares[1] > 0.5


@pytest.mark.parametrize(("lives", "verdict"), [(5, "not_enough_data"), (6, "refit")])
def test_rankings_are_compared_from_the_least_number_of_failures_on(lives, verdict):
    _, drift = rank(make_study(lives=lives, changed_from=99), make_rival(knew=3), failures=lives)

    assert drift.verdict == verdict
    if verdict == "not_enough_data":
        assert "5 failures to rank sensors by, 6 needed; the champion stays" in drift.reason


def test_a_first_ranking_needs_no_comparison():
    _, drift = rank(make_study(lives=5, changed_from=99), None, failures=5)

    assert drift.verdict == "first"


def test_a_refit_that_goes_on_keeps_the_ranking_of_its_plan_and_measures_once(monkeypatch):
    asked: list[int] = []

    def count(frame, labels, split, **kw):
        asked.append(len(split.train))
        return measure(frame, labels, split, **kw)

    measure = study_module.measure_importance
    monkeypatch.setattr(study_module, "measure_importance", count)
    study, rival = make_study(lives=40, changed_from=99), make_rival(knew=30)
    kept, drift = rank(study, rival, failures=40)
    anew, _ = rank(study, rival, failures=40, goes_on=False)

    assert drift.verdict == "refit"
    assert kept is rival.card.importance
    assert anew is not kept
    assert asked == [asked[0], asked[0], len(study.split.train)]
    assert asked[0] < len(study.split.train)
