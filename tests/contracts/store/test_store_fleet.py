"""What every database must tell of the fleet."""

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import event, insert

from pm_app.store import FleetQuery
from pm_app.store.predictions.fleet import is_outdated, risk_level
from pm_app.store.schema.predictions import alarms

DAY = datetime(2026, 3, 1, tzinfo=UTC)
RISKS = {"pump-1": 0.9, "pump-2": 0.3, "Pump-3": 0.05, "fan_4": None, "fan%5": 0.5}


def hour(number: int) -> datetime:
    return DAY + timedelta(hours=number)


@pytest.fixture
def fleet(store, make_predictions):
    """Five assets with three cutoffs of two horizons; the newest risks are RISKS."""
    chunks = [
        make_predictions(
            {
                (asset, hour(cutoff), horizon): None
                if risk is None
                else risk * (cutoff + 1) / 3 * horizon / 72
                for asset, risk in RISKS.items()
                for horizon in (24.0, 72.0)
            }
        )
        for cutoff in range(3)
    ]
    store.writer.commit_predictions(chunks, scored_at=DAY)
    return store.fleet


def names(rows) -> list[str]:
    return [row.asset_id for row in rows]


def test_the_riskiest_asset_leads_and_who_abstains_comes_last(fleet):
    rows = fleet.rows(FleetQuery())

    assert names(rows) == ["pump-1", "fan%5", "pump-2", "Pump-3", "fan_4"]
    assert [row.risk for row in rows] == pytest.approx([0.9, 0.5, 0.3, 0.05, None])
    assert {(row.cutoff, row.horizon_hours) for row in rows} == {(hour(2), 72.0)}


def test_who_abstains_comes_last_in_either_direction(fleet):
    rows = fleet.rows(FleetQuery(descending=False))

    assert names(rows) == ["Pump-3", "pump-2", "fan%5", "pump-1", "fan_4"]


@pytest.mark.parametrize(
    ("risk", "level"),
    [(0.5, "high"), (0.4999, "raised"), (0.2, "raised"), (0.1999, "low"), (0.0, "low")],
)
def test_a_risk_has_its_word_at_the_edge(store, make_predictions, risk, level):
    chunk = make_predictions({("pump", DAY, 24.0): risk})
    store.writer.commit_predictions([chunk], scored_at=DAY)

    assert [row.level for row in store.fleet.rows(FleetQuery())] == [level]


@pytest.mark.parametrize(
    ("search", "found"),
    [
        ("PUMP", {"pump-1", "pump-2", "Pump-3"}),
        ("%", {"fan%5"}),
        ("_", {"fan_4"}),
        ("' OR 1=1 --", set()),
        ("\\", set()),
    ],
)
def test_a_search_is_taken_literally_whatever_its_case(fleet, search, found):
    assert set(names(fleet.rows(FleetQuery(search=search)))) == found
    assert sum(fleet.levels(search).values()) == len(found)


def test_levels_count_what_their_filter_finds(fleet):
    counted = fleet.levels()

    found = {level: count for level, count in counted.items() if count}
    assert found == {"high": 2, "raised": 1, "low": 1, "silent": 1}
    assert counted == {level: len(fleet.rows(FleetQuery(level=level))) for level in counted}


def test_a_risk_whose_horizon_has_passed_is_outdated_and_comes_after_those_of_now(
    fleet, store, make_predictions
):
    new = make_predictions({("Pump-3", hour(60), 72.0): 0.01})
    store.writer.commit_predictions([new], scored_at=DAY)
    edge, over = hour(2 + 72), hour(2 + 72.01)

    assert fleet.levels(now=edge)["outdated"] == 0
    assert +Counter(fleet.levels(now=over)) == {"low": 1, "silent": 1, "outdated": 3}
    rows = fleet.rows(FleetQuery(), now=over)
    assert names(rows) == ["Pump-3", "fan_4", "pump-1", "fan%5", "pump-2"]
    assert fleet.rows(FleetQuery(level="outdated"), now=over) == rows[2:]
    assert fleet.asset("pump-1", now=over).level == "outdated"
    assert [row.level == "outdated" for row in rows] == [is_outdated(row, over) for row in rows]


@pytest.fixture
def watched(store, make_predictions):
    """Assets of which no failure is known, their newest deviations, and one with a risk."""
    deviations = {"calm": 0.3, "edge": 1.0, "loud": 7.0, "scored": 0.5}
    for number in range(3):
        keys = {name: (name, hour(number), 24.0) for name in deviations}
        chunk = make_predictions(
            {key: 0.05 if name == "scored" else None for name, key in keys.items()},
            deviations={keys[name]: value * (number + 1) / 3 for name, value in deviations.items()},
            normal=1,
        )
        store.writer.commit_predictions([chunk], scored_at=DAY)
    return store.fleet


def test_watched_assets_have_words_of_their_own_and_come_by_deviation_after_risks(watched):
    rows = watched.rows(FleetQuery())

    assert names(rows) == ["scored", "loud", "edge", "calm"]
    assert [row.level for row in rows] == ["low", "unusual", "unusual", "usual"]
    assert [row.level for row in rows] == [risk_level(row, hour(3)) for row in rows]
    assert +Counter(watched.levels()) == {"low": 1, "unusual": 2, "usual": 1}
    assert names(watched.rows(FleetQuery(level="unusual"))) == ["loud", "edge"]
    assert names(watched.rows(FleetQuery(order="deviation"))) == ["loud", "edge", "scored", "calm"]


def test_what_was_watched_is_outdated_once_its_horizon_has_passed(watched):
    assert +Counter(watched.levels(now=hour(2 + 24.01))) == {"outdated": 4}
    assert +Counter(watched.levels(now=hour(2 + 24)))["outdated"] == 0


def test_the_trend_of_a_watched_asset_is_of_its_deviation(watched):
    rows = watched.rows(FleetQuery())

    trends = watched.trends(rows, points=9)

    assert [shown for _, shown in trends["calm"]] == pytest.approx([0.05, 0.1, 0.15])
    assert [shown for _, shown in trends["loud"]] == [1.0, 1.0, 1.0]
    assert [shown for _, shown in trends["scored"]] == pytest.approx([0.05, 0.05, 0.05])


def test_what_is_said_of_rows_of_a_table_has_no_horizon_to_pass(store, make_predictions):
    store.writer.commit_predictions([make_predictions({("part", DAY, 0.0): 0.9})], scored_at=DAY)

    assert store.fleet.asset("part", now=hour(10_000)).level == "high"


@pytest.mark.parametrize("order", ["risk", "asset", "deviation", "life", "age"])
@pytest.mark.parametrize("descending", [True, False])
def test_pages_laid_together_are_the_whole(fleet, order, descending):
    query = FleetQuery(order=order, descending=descending)

    pages = [fleet.rows(query, limit=2, offset=first) for first in (0, 2, 4)]

    assert sum(pages, []) == fleet.rows(query)


def test_the_oldest_data_are_of_the_greatest_age(fleet, store, make_predictions):
    late = make_predictions({("pump-2", hour(9), 72.0): 0.1})
    store.writer.commit_predictions([late], scored_at=DAY)

    assert names(fleet.rows(FleetQuery(order="age", descending=True)))[-1] == "pump-2"
    assert names(fleet.rows(FleetQuery(order="age", descending=False)))[0] == "pump-2"


def test_a_horizon_that_is_said_no_longer_gives_way(fleet, store, make_predictions):
    shorter = make_predictions({("pump-1", hour(9), 24.0): 0.1})
    store.writer.commit_predictions([shorter], scored_at=DAY)

    by_asset = {row.asset_id: (row.horizon_hours, row.risk) for row in fleet.rows(FleetQuery())}
    assert by_asset["pump-1"] == (24.0, 0.1)


def test_a_trend_is_the_newest_of_its_horizon_oldest_first(fleet):
    rows = fleet.rows(FleetQuery(search="pump-1"))

    trend = fleet.trends(rows, points=2)["pump-1"]
    assert [at for at, _ in trend] == [hour(1), hour(2)]
    assert [risk for _, risk in trend] == pytest.approx([0.6, 0.9])


def test_the_open_alarm_is_told_and_none_that_was_cleared(fleet, store):
    _raise_alarm(store, "pump-1", 48.0, "cleared", DAY)
    _raise_alarm(store, "pump-1", 72.0, "unacknowledged", None)
    _raise_alarm(store, "pump-2", 24.0, "cleared", DAY)

    by_asset = {row.asset_id: row.alarm for row in fleet.rows(FleetQuery(search="pump"))}
    assert by_asset == {"pump-1": "unacknowledged", "pump-2": "", "Pump-3": ""}


def test_a_look_at_the_fleet_asks_twice_and_once_for_each_trend_that_is_shown(fleet, store):
    asked = []
    event.listen(
        store._database.engine, "before_cursor_execute", lambda *given: asked.append(given[2])
    )

    rows = fleet.rows(FleetQuery(), limit=2)
    fleet.levels()
    fleet.trends(rows, points=3)

    assert len([words for words in asked if words.lstrip().startswith("SELECT")]) == 2 + 2


def _raise_alarm(store, asset, horizon, state, cleared) -> None:
    with store._database.writing() as connection:
        connection.execute(
            insert(alarms).values(
                asset_id=asset,
                horizon_hours=horizon,
                state=state,
                raised_at=DAY,
                changed_at=DAY,
                cleared_at=cleared,
                cutoff=DAY,
                risk=0.9,
                threshold=0.5,
                top_sensors="",
                model_version=1,
                kind="risk",
                reason="alarms.threshold",
                about=[],
            )
        )
