"""What a plant is asked about its maintenance codes: by `check`, `models` and the Data page."""

import json
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest
from browsing import ask, open_to_all, resources
from factories import NOW, drop, make_plant, opened, promote_handmade

from pm_app.jobs.retrain.dataset import DatasetSource
from pm_app.jobs.retrain.renewals import renewal_evidence
from pm_app.jobs.score.run import score
from pm_app.settings.plant import read_settings
from pm_app.store import RetrainingRow, open_store, segments_of
from pm_app.times import to_nanoseconds
from pm_app.web.app import make_app
from pm_app.wiring import store_url

DAYS, ASSETS = 60, 8
START = np.datetime64("2026-01-01T00:00", "ns")
HOUR = np.timedelta64(1, "h")
LATER = datetime(2026, 6, 1, tzinfo=UTC)


def pumps():
    """Readings every four hours and events of eight pumps: vibration rises for four days before a
    failure every ten, a new seal ends that; cleaning is done now and then."""
    rng = np.random.default_rng(0)
    steps = DAYS * 6
    vibration = rng.standard_normal((ASSETS, steps)) + 10 * rng.standard_normal((ASSETS, 1))
    rows = []
    for asset in range(ASSETS):
        for day in range(9 + asset % 4, DAYS - 3, 10):
            vibration[asset, day * 6 - 24 : day * 6] += np.linspace(0, 6, 24)
            at = START + day * 24 * HOUR
            rows.append((asset, at - HOUR, "failure", "seal"))
            rows.append((asset, at, "maintenance", "new seal"))
        days = rng.choice(DAYS - 8, 3, replace=False) + 4
        times = (START + int(day) * 24 * HOUR for day in days)
        rows += [(asset, at, "maintenance", "cleaning") for at in times]
    names = np.array([f"pump-{asset}" for asset in range(ASSETS)])
    time = START + np.arange(steps) * 4 * HOUR
    readings = pa.table(
        {
            "asset_id": np.repeat(names, steps),
            "timestamp": pa.array(np.tile(time, ASSETS), pa.timestamp("ns", "UTC")),
            "sensor-0": rng.standard_normal(ASSETS * steps),
            "sensor-1": vibration.ravel(),
            "sensor-2": rng.standard_normal(ASSETS * steps),
        }
    )
    asset, at, kind, code = zip(*rows, strict=True)
    events = {"asset_id": names[list(asset)], "kind": kind, "code": code}
    return readings, pa.table(
        events | {"timestamp": pa.array(np.array(at), pa.timestamp("ns", "UTC"))}
    )


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    path = make_plant(tmp_path_factory.mktemp("plant"))
    readings, events = pumps()
    drop(path, "events.parquet", events, source="events")
    drop(path, "readings.parquet", readings)
    with opened(path) as plant:
        score(plant, now=LATER)
    return path


def findings(pm_app, config):
    code, out, _ = pm_app("check", "--json", "-c", config)
    rows = [(row[""], row["finding"]) for row in json.loads(out) if row["what"] == "renewals"]
    assert code == 0
    return rows


def test_check_asks_about_codes_after_which_readings_return(pm_app, config):
    (asked, others) = findings(pm_app, config)

    assert asked[0] == "note"
    assert asked[1].startswith("after 'new seal' (")
    assert "above all sensor-1" in asked[1]
    assert asked[1].endswith("is it a renewal? set events.renewals")
    assert others[0] == "ok"
    assert others[1].startswith("after 'cleaning' (")


@pytest.mark.parametrize(
    "table", ['[events]\nrenewals = ["new*"]\n', '[modes.seal]\nrenewals = ["new seal"]\n']
)
def test_what_is_a_renewal_already_is_not_asked_about(config, table):
    settings = read_settings(config)
    config.with_name("other.toml").write_text(config.read_text("utf-8") + table, "utf-8")
    settings = read_settings(config.with_name("other.toml"))
    with opened(config) as plant:
        segments, events = (
            segments_of(plant.ledger.ingested_batches(source)) for source in ("readings", "events")
        )
        source = DatasetSource(plant.history, segments, plant.event_history.read(events), {})
        found = renewal_evidence(source, settings, as_of_ns=to_nanoseconds(LATER))

    assert [each.code for each in found] == ["cleaning"]


def test_the_risk_of_the_champion_before_and_after_is_set_beside_it(pm_app, config):
    with opened(config) as plant:
        promote_handmade(plant)
    (asked, _) = findings(pm_app, config)

    assert "; the estimated risk went from " in asked[1]
    assert "in log-odds more than at any time: is it a renewal?" in asked[1]


def test_before_anything_is_taken_in_check_says_what_it_needs(pm_app, tmp_path):
    config = make_plant(tmp_path)
    drop(config, "readings.parquet", pumps()[0].slice(0, 20))

    (only,) = findings(pm_app, config)
    assert only == (
        "ok",
        "whether maintenance codes renew is asked of what pm-app score has taken in: nothing",
    )


def test_models_and_the_data_page_ask_what_the_newest_retraining_found(pm_app, tmp_path):
    settings = read_settings(config := make_plant(tmp_path))
    rows = [
        {"code": code, "returns": returns, "text": f"after '{code}' (9 times) <readings>"}
        for code, returns in (("new seal", True), ("cleaning", False))
    ]
    with open_store(store_url(settings), folder=tmp_path) as store:
        store.lineage.record_retraining(
            RetrainingRow(NOW, NOW, NOW, "keep", "as it was", metrics={"renewals": rows})
        )
    page = ask(make_app(open_to_all(settings), resources(settings), now=lambda: NOW), "/data").text
    _, out, _ = pm_app("models", "-c", config)

    assert '<li class="raised">after &#39;new seal&#39; (9 times) &lt;readings&gt;</li>' in page
    assert "<li>after &#39;cleaning&#39; (9 times) &lt;readings&gt;</li>" in page
    assert "after 'new seal' (9 times) <readings>" in out
    assert "cleaning" not in out
