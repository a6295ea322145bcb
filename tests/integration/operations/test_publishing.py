"""Predictions published to brokers and web servers: the newest of each asset, none left out."""

import json
from dataclasses import asdict

import pytest
from factories import NOW, PLANT_TOML, drop, make_plant, opened, promote_handmade, readings_table
from recorders.brokers import Mosquitto

from connectors.mqtt.client import BrokerAddress, BrokerConnection
from connectors.mqtt.publisher import DocumentPublisher, make_publishers, plain_level
from pm_app.errors import SourceUnavailable, TransientError
from pm_app.jobs.operations.publishing import publish
from pm_app.jobs.score.run import score
from pm_app.settings.plant import parse_settings
from pm_app.settings.recorders import RecorderPlace
from pm_app.store import FleetQuery


class Bus:
    """Fulfils `Publisher`; away: fails after it has taken the first."""

    def __init__(self, place="mqtt://bus"):
        self.place, self.taken, self.calls, self.away = place, {}, 0, False

    def publish(self, documents):
        self.calls += 1
        for asset, document in documents:
            self.taken[asset] = json.loads(document)
            if self.away:
                raise SourceUnavailable("the bus is away")


@pytest.fixture
def config(tmp_path):
    found = make_plant(tmp_path, {"a.parquet": readings_table()}, toml=PLANT_TOML)
    with opened(found) as plant:
        promote_handmade(plant)
        score(plant, now=NOW)
    return found


def send(config, **channels):
    with opened(config) as plant:
        return publish(plant.store, plant.settings.state, channels, plant="plant 1")


def newest(config):
    with opened(config) as plant:
        return {row.asset_id: row for row in plant.store.fleet.rows(FleetQuery())}


def test_the_newest_prediction_of_every_asset_goes_out_once(config):
    bus = Bus()

    first, second = send(config, mqtt=bus), send(config, mqtt=bus)

    rows = newest(config)
    assert first == f"{len(rows)} assets to mqtt" and second == "nothing new"
    assert bus.calls == 1 and set(bus.taken) == set(rows)
    for asset, document in bus.taken.items():
        row = asdict(rows[asset])
        same = ("risk", "rul_hours", "status", "mode", "deviation", "top_sensors", "level")
        assert {name: document[name] for name in same} == {name: row[name] for name in same}
        assert document["plant"] == "plant 1" and document["cutoff"].endswith("+00:00")


def test_only_assets_of_which_something_new_was_said_go_out_again(config):
    bus = Bus()
    send(config, mqtt=bus)
    bus.taken.clear()
    table = readings_table(first_hour=30, hours=4, seed=1)
    one = table.filter([name == "pump-00" for name in table.column("asset_id").to_pylist()])
    drop(config, "new.parquet", one)
    with opened(config) as plant:
        score(plant, now=NOW)

    assert send(config, mqtt=bus) == "1 assets to mqtt"
    assert set(bus.taken) == {"pump-00"}


def test_what_failed_halfway_is_sent_again_whole_and_holds_up_no_other(config):
    away, other = Bus(), Bus("https://other")
    away.away = True

    with pytest.raises(TransientError, match="the bus is away"):
        send(config, mqtt=away, webhook=other)
    away.away = False

    assert send(config, mqtt=away, webhook=other) == f"{len(newest(config))} assets to mqtt"
    assert set(away.taken) == set(other.taken) == set(newest(config)) and other.calls == 1


def test_another_address_is_told_everything(config):
    send(config, mqtt=Bus())
    other = Bus("mqtt://other")

    send(config, mqtt=other)

    assert set(other.taken) == set(newest(config))


def test_a_name_of_an_asset_is_one_level_of_a_topic():
    assert plain_level("line 3/pump+#1") == "line 3_pump__1"


def test_documents_go_out_in_lists(monkeypatch):
    sent = []

    class Post:
        def document(self, address, content):
            sent.append((address, json.loads(content)))

    documents = [(f"p{n}", f'{{"asset": "p{n}"}}') for n in range(250)]
    DocumentPublisher("https://h/x", Post()).publish(documents)

    assert [len(each) for _, each in sent] == [200, 50]
    assert sent[1][1][-1] == {"asset": "p249"}


@pytest.mark.server
def test_a_broker_keeps_the_newest_prediction_of_each_asset_for_whoever_comes(config, tmp_path):
    broker = Mosquitto(tmp_path / "broker")
    broker.start()
    url = f"mqtt://127.0.0.1:{broker.port}"
    settings = parse_settings({"publish": {"mqtt": url}}, folder=tmp_path, origin="plant.toml")
    channels = make_publishers(
        settings.publish, RecorderPlace("plant 1", "publisher", tmp_path), webhook=""
    )
    try:
        send(config, **channels)
        broker.stop()
        broker.start()
        reader = BrokerConnection(BrokerAddress(url, "reader", session=False))
        reader.open()
        reader.subscribe(["pm-app/plant 1/+"])
        rows = newest(config)
        for _ in range(200):
            if len(reader.messages) == len(rows):
                break
            reader.work(0.1)
        found = {each.topic: json.loads(each.payload) for each in reader.messages}
        assert all(each.retain for each in reader.messages)
        reader.close()
    finally:
        broker.stop()

    assert set(found) == {f"pm-app/plant 1/{asset}" for asset in rows}
    assert {each["asset"]: each["risk"] for each in found.values()} == {
        asset: row.risk for asset, row in rows.items()
    }


@pytest.mark.server
def test_a_broker_that_is_away_is_told(config, tmp_path):
    broker = Mosquitto(tmp_path / "broker")
    url = f"mqtt://127.0.0.1:{broker.port}"
    settings = parse_settings({"publish": {"mqtt": url}}, folder=tmp_path, origin="plant.toml")
    place = RecorderPlace("plant", "publisher", tmp_path)

    with pytest.raises(TransientError, match=f"{url}: Connection refused"):
        send(config, **make_publishers(settings.publish, place, webhook=""))
