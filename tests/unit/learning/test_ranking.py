"""Which failures a retraining ranks sensors by, and what it says where they are too few."""

import re
from dataclasses import replace

import numpy as np
import pytest
from factories import make_card

from pm_app.learning import ranking as ranking_module
from pm_app.learning.dataset import Evidence, LearningTask
from pm_app.learning.importance.attribution import attribute_failures
from pm_app.learning.ranking import ChampionVersion, rank_sensors
from pm_app.records.features import Frame
from pm_app.records.labels import Labels, Split
from pm_app.records.learning import Allocation, Head, Importance, Tier
from pm_app.settings.plant import parse_settings
from pm_app.times import HOUR_NS, utc_text

LIFE_HOURS = 30
SETTINGS = parse_settings(
    {
        "target": {"horizons": ["6h"], "rul_cap": "30h"},
        "retraining": {"minimum_failures": 6},
        "drift": {"in_a_row": 1},
    },
    folder=ranking_module.__file__,
    origin="plant.toml",
)
SENSORS = ("old", "new", "noise")


def make_lives(*, lives: int, changed_from: int) -> LearningTask:
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
    return LearningTask("life", (6.0,), frame, labels, split, Head("hazard", (6.0, 30.0), (6.0,)))


def make_champion(*, knew: int) -> ChampionVersion:
    """A champion that learned from so many lives, all of which `old` announced."""
    replicates = tuple((0.9 + step, 0.05 - step, 0.05) for step in np.linspace(0, 0.02, 8))
    importance = Importance(
        SENSORS, (0.91, 0.04, 0.05), (0.01,) * 3, replicates, tuple((s,) for s in SENSORS),
        (0.91, 0.04, 0.05), (), "average_precision", 0.9,
    )  # fmt: skip
    plan = Allocation("uniform", (Tier("all", SENSORS, 8, 0, 0.0),), (1e-4,) * 3, (8,), 1, 100)
    until = utc_text((knew * LIFE_HOURS - 1) * HOUR_NS)
    card = make_card(importance=importance, allocation=plan, trained_until=until)
    spec = replace(card.spec, sensors=SENSORS)
    return ChampionVersion(replace(card, spec=spec), b"", b"")


def rank(
    task: LearningTask, champion: ChampionVersion | None, *, failures: int, continues: bool = True
):
    return rank_sensors(task, SETTINGS, Evidence(""), champion, failures, continues=continues)


def test_a_change_that_the_newest_failures_tell_is_seen_though_most_of_history_knows_none():
    ranking = rank(make_lives(lives=40, changed_from=30), make_champion(knew=25), failures=40)

    assert ranking.drift.verdict == "rebuild"
    assert re.match(r"(new rose|old fell) from rank \d to \d", ranking.drift.reason)
    assert ranking.importance.shares[1] > 0.4
    assert ranking.drift.moved_units is not None
    assert ranking.span is not None
    assert ranking.span[0] > 20 * LIFE_HOURS * HOUR_NS


def test_what_a_ranking_comes_from_is_not_compared_with_itself():
    task = make_lives(lives=40, changed_from=30)
    ends = [LIFE_HOURS * HOUR_NS * life for life in (29, 40)]
    champion = make_champion(knew=40)
    rebuilt = replace(champion, card=replace(champion.card, ranked=(ends[0] + 1, ends[1])))

    ranking = rank(task, rebuilt, failures=41)

    assert ranking.drift.verdict == "refit"
    assert ranking.compared is not None
    assert len(ranking.compared.before.time) == len(ranking.compared.after.time) + 1 == 6
    assert ranking.span == rebuilt.card.ranked


@pytest.mark.parametrize(("lives", "verdict"), [(5, "not_enough_data"), (6, "refit")])
def test_failures_are_compared_from_the_least_number_on(lives, verdict):
    drift = rank(
        make_lives(lives=lives, changed_from=99), make_champion(knew=4), failures=lives
    ).drift

    assert drift.verdict == verdict
    if verdict == "not_enough_data":
        assert "5 failures say which sensors told them, 6 needed; the champion" in drift.reason


def test_a_first_ranking_needs_no_comparison():
    ranking = rank(make_lives(lives=5, changed_from=99), None, failures=5)

    assert ranking.drift.verdict == "first"
    assert ranking.span == (LIFE_HOURS * HOUR_NS, 5 * LIFE_HOURS * HOUR_NS)


def test_a_refit_that_goes_on_keeps_the_ranking_of_its_plan_and_measures_none(monkeypatch):
    measured: list[int] = []

    def count(task, **kw):
        measured.append(len(task.split.train))
        return measure(task, **kw)

    measure = ranking_module.measure_importance
    monkeypatch.setattr(ranking_module, "measure_importance", count)
    task, champion = make_lives(lives=20, changed_from=99), make_champion(knew=15)
    kept = rank(task, champion, failures=20)
    anew = rank(task, champion, failures=20, continues=False)

    assert kept.drift.verdict == anew.drift.verdict == "refit"
    assert kept.importance is champion.card.importance
    assert anew.importance is not kept.importance
    assert measured == [len(task.split.train)]


def test_sensors_that_come_or_go_rebuild_by_name():
    task = make_lives(lives=20, changed_from=99)
    frame = replace(
        task.frame, features=("old", "newer", "noise"), sensor_of=("old", "newer", "noise")
    )

    drift = rank(replace(task, frame=frame), make_champion(knew=15), failures=20).drift

    assert (drift.verdict, drift.reason) == ("rebuild", "newer appeared and new vanished: rebuild")


@pytest.mark.parametrize("lives", [1, 4, 30])
def test_each_failure_is_told_by_the_sensor_that_announced_it(lives):
    task = make_lives(lives=lives, changed_from=lives // 2)

    attributions = attribute_failures(task, seed=0)

    assert attributions.time.tolist() == [
        LIFE_HOURS * HOUR_NS * (life + 1) for life in range(lives)
    ]
    if lives == 30:
        assert (np.argmax(attributions.lost, axis=1) == np.repeat([0, 1], 15)).mean() >= 0.9
        assert np.abs(attributions.lost[:, 2]).max() < 0.15


def make_table(*, telling: int, seed: int) -> LearningTask:
    """A table whose class one sensor tells; three quarters of its rows are for training."""
    rng = np.random.default_rng(seed)
    rows = 400
    values = rng.normal(size=(rows, 3)).astype(np.float32)
    value = (values[:, telling] > 0.8) * 1.0
    number = np.arange(rows, dtype=np.int32)
    names = tuple(f"row-{row:03d}" for row in range(rows))
    frame = Frame(names, number, np.zeros(rows, dtype=np.int64), SENSORS, SENSORS, values)
    no, yes = np.zeros(rows, dtype=bool), np.ones(rows, dtype=bool)
    labels = Labels(np.full(rows, np.nan), no, value, yes, number)
    nothing = np.zeros(0, dtype=np.intp)
    split = Split(np.arange(300), np.arange(300, rows), nothing, nothing, number, "here")
    head = Head("classification", (), (0.0,))
    return LearningTask("classification", (0.0,), frame, labels, split, head)


@pytest.mark.parametrize(("telling", "verdict"), [(0, "refit"), (1, "rebuild")])
def test_a_table_is_ranked_as_a_whole(telling, verdict):
    before = rank(make_table(telling=0, seed=0), None, failures=80)
    champion = make_champion(knew=1)
    champion = replace(
        champion, card=replace(champion.card, importance=before.importance, ranked=None)
    )

    ranking = rank(make_table(telling=telling, seed=1), champion, failures=81)

    assert before.drift.verdict == "first"
    assert ranking.drift.verdict == verdict
    assert ranking.compared is None
    assert ranking.drift.moved_units is not None


# What a champion has learned from is no evidence of whether another is better.


def rows_of(*, assets: tuple[str, ...] = ("pump",), hours: int) -> Frame:
    """So many hours of each of these assets."""
    number = np.repeat(np.arange(len(assets), dtype=np.int32), hours)
    cutoff = np.tile(np.arange(hours) * HOUR_NS, len(assets))
    return Frame(assets, number, cutoff, (), (), np.empty((len(number), 0), np.float32))


@pytest.mark.parametrize(
    ("learned_until", "first"),
    [("", 90 - 1 + 72 + 1), (utc_text(20 * HOUR_NS), 20 + 72 + 1)],
    ids=["older version", "version that says so"],
)
def test_rows_count_from_one_horizon_after_what_the_champion_learned_from(learned_until, first):
    champion = make_champion(knew=3)
    champion = replace(champion, card=replace(champion.card, learned_until=learned_until))

    learned = champion.has_learned(rows_of(hours=200))

    assert champion.card.head.horizons_hours[-1] == 72
    np.testing.assert_array_equal(np.flatnonzero(~learned), np.arange(first, 200))


def test_assets_that_the_champion_was_tested_on_count_whole():
    card = replace(make_champion(knew=30).card, held_out=("b", "gone"))

    learned = ChampionVersion(card, b"", b"").has_learned(rows_of(assets=("a", "b"), hours=50))

    assert learned.tolist() == [True] * 50 + [False] * 50


def test_rows_without_time_and_assets_cannot_be_told_apart_and_count():
    table = rows_of(hours=5)
    table = replace(table, cutoff=0 * table.cutoff)

    assert not make_champion(knew=30).has_learned(table).any()
