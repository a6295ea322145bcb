"""What every database must tell of one asset."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from sqlalchemy import event, insert

from pm_app.records.alarms import AlarmStep, Verdict
from pm_app.store import Actor
from pm_app.store.schema.predictions import alarms, assets

DAY = datetime(2026, 3, 1, tzinfo=UTC)
HOURS = 40


def hour(number: float) -> datetime:
    return DAY + timedelta(hours=number)


def risk_at(number: int) -> float | None:
    """Abstains every seventh hour."""
    return None if number % 7 == 3 else number / 100


@pytest.fixture
def series(store, make_predictions):
    """Forty hours of two horizons of one asset, beside others whose names lie around it."""
    keys = {
        (asset, hour(number), horizon): risk_at(number) if asset == "pump" else 0.9
        for asset in ("pum", "pump", "pump ", "pumq")
        for number in range(HOURS)
        for horizon in (24.0, 72.0)
    }
    store.writer.commit_predictions([make_predictions(keys)], scored_at=hour(HOURS))
    return store.series


def predictions_of(series, first: float, last: float):
    return series.predictions("pump", horizon_hours=72.0, since=hour(first), until=hour(last))


def test_a_series_is_one_asset_and_horizon_in_order_of_time(series):
    found = predictions_of(series, 0, HOURS)

    expected = [int(hour(number).timestamp()) * 10**9 for number in range(HOURS)]
    assert found.cutoff.tolist() == expected
    risks = [None if np.isnan(value) else value for value in found.risk]
    assert risks == [risk_at(number) for number in range(HOURS)]
    assert set(found.status[np.isnan(found.risk)]) == {"machine_off"}
    assert np.allclose(found.rul_high_hours, 150 * (1 - found.risk), equal_nan=True)


def test_a_range_holds_its_first_and_its_last_cutoff_and_nothing_else(series):
    found = predictions_of(series, 5, 8)

    assert found.cutoff.tolist() == [int(hour(n).timestamp()) * 10**9 for n in (5, 6, 7, 8)]


def test_a_range_in_which_nothing_was_said_is_empty(series):
    found = predictions_of(series, 100, 200)

    assert (len(found.cutoff), len(found.risk), len(found.top_sensors)) == (0, 0, 0)
    assert found.risk.dtype == np.float64


def test_a_series_reads_along_the_key_and_nothing_else(store, series):
    plans = []

    def explain(connection, cursor, statement, parameters, context, many):
        if statement.startswith("SELECT predictions.cutoff") and not plans:
            plans.append("")
            found = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
            plans[0] = " ".join(str(row) for row in found)

    if store._database.engine.dialect.name != "sqlite":
        pytest.skip("SQLite tells its plan whatever the size of the table")
    event.listen(store._database.engine, "before_cursor_execute", explain)
    predictions_of(series, 0, HOURS)

    assert "asset_id=? AND cutoff>? AND cutoff<?" in plans[0]
    assert "TEMP B-TREE" not in plans[0]


def test_rows_come_newest_first_and_page_by_page_without_gap_or_double(series):
    span = {"since": hour(10), "until": hour(19)}
    pages = [series.rows("pump", **span, limit=8, offset=offset) for offset in (0, 8, 16)]

    found = [(row.cutoff, row.horizon_hours) for page in pages for row in page]
    assert found == [(hour(n), h) for n in range(19, 9, -1) for h in (24.0, 72.0)]
    assert series.count("pump", **span) == 20
    assert pages[0][0].risk == risk_at(19)


def test_the_newest_word_has_a_row_for_each_horizon_that_is_still_predicted(
    store, series, make_predictions
):
    later = make_predictions({("pump", hour(HOURS), 72.0): 0.5})
    store.writer.commit_predictions([later], scored_at=hour(HOURS))

    assert [row.horizon_hours for row in series.newest("pumq")] == [24.0, 72.0]
    assert [(row.horizon_hours, row.risk) for row in series.newest("pump")] == [(72.0, 0.5)]


def test_an_asset_ends_where_something_was_last_said_of_it_or_read(store, series):
    with store._database.writing() as connection:
        row = {"asset_id": "silent", "first_time": hour(1), "last_time": hour(3)}
        connection.execute(insert(assets).values(row))

    assert series.end("pump") == hour(HOURS - 1)
    assert series.end("silent") == hour(3)
    assert series.end("' OR 1=1 --") is None


def test_verdicts_are_those_of_the_asset_and_the_newest_of_each_alarm(store):
    with store._database.writing() as connection:
        for number, asset in enumerate(("pump", "other", "pump")):
            row = {"kind": "risk", "asset_id": asset, "horizon_hours": 72.0, "state": "cleared"}
            row |= {name: hour(number) for name in ("raised_at", "changed_at", "cleared_at")}
            row |= {"cutoff": hour(number), "reason": "", "top_sensors": "", "about": []}
            connection.execute(insert(alarms).values(**row, model_version=1))
    for alarm, word in ((1, "unclear"), (1, "confirmed"), (2, "unclear"), (3, "not-confirmed")):
        store.alarms.act(
            alarm,
            lambda row: AlarmStep("verdict", row.state, ""),
            at=hour(9),
            actor=Actor("anna"),
            verdict=Verdict(word, "seal"),
        )

    found = store.series.verdicts("pump", limit=5)
    assert [(row.alarm_id, row.verdict) for row in found] == [
        (3, "not-confirmed"),
        (1, "confirmed"),
    ]
