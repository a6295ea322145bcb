"""A recorder of a real broker, which is stopped, killed and flooded: 0 lost, 0 twice."""

import signal
import subprocess
import threading
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest
from recorders.brokers import Device, Mosquitto, wait_until
from recorders.certificates import make_certificate
from recorders.recording import recorded
from recorders.running_recorders import Running

from pm_app.jobs.record.health import read_recorder_health, recorder_folder
from pm_app.settings.plant import read_settings

pytestmark = pytest.mark.server
ROOT = Path(__file__).parents[3]
START_NS = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp()) * 10**9
ORDINARY_A_SECOND, SECONDS = 300, 4


@pytest.fixture
def broker(tmp_path):
    found = Mosquitto(tmp_path / "broker")
    found.start()
    yield found
    found.stop()


def lay_out(folder, broker, more=""):
    config = folder / "plant" / "plant.toml"
    config.parent.mkdir()
    config.write_text(
        f'[recorders.line]\nurl = "mqtt://127.0.0.1:{broker.port}"\n'
        f'topics = ["plant/{{asset}}/{{sensor}}"]\nevery = "1s"\n{more}'
    )
    return config


def readings(numbers):
    """Topic, payload and what is to be recorded of each number."""
    for number in numbers:
        asset, sensor, time_ns = f"p{number % 5}", f"s{number % 3}", START_NS + number * 10**6
        payload = {"value": float(number), "ts": time_ns // 10**6}
        yield f"plant/{asset}/{sensor}", payload, (asset, sensor, time_ns, float(number))


def test_broker_and_recorder_are_stopped_and_killed_in_a_tenfold_flood(
    tmp_path, broker, start_process
):
    config = lay_out(tmp_path, broker)
    folder = recorder_folder(read_settings(config).state, "line")
    process = start_process(config)
    wait_until(lambda: (health := read_recorder_health(folder)) and not health.away, "connected")
    publisher, expected, begun = Device(broker), [], time.monotonic()

    def kill_recorder():
        nonlocal process
        process.send_signal(signal.SIGKILL)
        process.wait()
        process = start_process(config)

    def restart_broker():
        broker.stop()
        time.sleep(1.0)
        broker.start()

    troubles = {1: kill_recorder, 2: restart_broker, 3: kill_recorder}
    number = 0
    for second in range(SECONDS):
        rate = ORDINARY_A_SECOND * (10 if second else 1)
        threading.Timer(0.3, troubles.get(second, lambda: None)).start()
        ends = time.monotonic() + 1.0
        for start in range(number, number + rate, 50):
            some = list(readings(range(start, start + 50)))
            publisher.publish(*((topic, payload) for topic, payload, _ in some))
            expected += [row for *_, row in some]
        number += rate
        time.sleep(max(0.0, ends - time.monotonic()))
    publisher.close()
    took = time.monotonic() - begun
    readings_folder = config.parent / "readings"
    wait_until(lambda: len(recorded(readings_folder)) >= number, "all recorded", seconds=60)
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0

    got = Counter(recorded(readings_folder))
    lost, twice = Counter(expected) - got, got - Counter(expected)
    print(
        f"\n{number:,} values in {took:.0f} s, {ORDINARY_A_SECOND} then "
        f"{10 * ORDINARY_A_SECOND} a second; broker stopped once, recorder killed twice: "
        f"{sum(lost.values())} lost, {sum(twice.values())} twice, "
        f"{len(list(readings_folder.rglob('*.parquet')))} files"
    )
    assert not lost and not twice
    assert not list(folder.glob("*.journal"))


def test_a_recorder_that_was_away_gets_what_came_meanwhile(tmp_path, broker):
    config = lay_out(tmp_path, broker)
    with Running(config) as running:
        running.wait_for(lambda health: not health.away, "connected")
    publisher = Device(broker)
    rows = list(readings(range(500)))
    publisher.publish(*((topic, payload) for topic, payload, _ in rows))
    publisher.close()

    with Running(config) as running:
        wait_until(lambda: len(recorded(tmp_path / "plant" / "readings")) == 500, "recorded")

    assert recorded(tmp_path / "plant" / "readings") == sorted(row for *_, row in rows)
    assert running.alive is True and running.health.stopped


def test_a_broker_that_is_away_is_told_and_found_again(tmp_path, broker):
    with Running(lay_out(tmp_path, broker)) as running:
        running.wait_for(lambda health: not health.away, "connected")
        broker.stop()
        running.wait_for(lambda health: bool(health.away), "the outage is noted")
        words = running.health.away
        broker.start()
        running.wait_for(lambda health: not health.away, "found again")

    assert words.startswith(f"mqtt://127.0.0.1:{broker.port}: ")


def test_rubbish_is_counted_with_an_example_and_costs_nothing_else(tmp_path, broker):
    with Running(lay_out(tmp_path, broker)) as running:
        running.wait_for(lambda health: not health.away, "connected")
        publisher = Device(broker)
        publisher.publish(("plant/p1/vib", "off"))
        publisher.publish(("plant/p1/vib", {"value": 2.0, "ts": 1_767_225_600}))
        publisher.close()
        wait_until(lambda: recorded(tmp_path / "plant" / "readings"), "recorded")

    assert (running.health.recorded, running.health.refused) == (1, 1)
    assert running.health.example == "plant/p1/vib: '\"off\"': needed a number, got 'off'"


def test_what_the_broker_kept_counts_once_and_only_with_a_time_of_its_own(tmp_path, broker):
    publisher = Device(broker)
    publisher.publish(("plant/p1/vib", {"value": 2.0, "ts": 1_767_225_600}), retain=True)
    publisher.publish(("plant/p1/temp", 60.0), retain=True)
    publisher.close()
    config = lay_out(tmp_path, broker)

    for _ in range(2):
        with Running(config) as running:
            running.wait_for(lambda health: not health.away, "connected")
            wait_until(lambda: recorded(tmp_path / "plant" / "readings"), "recorded")

    assert recorded(tmp_path / "plant" / "readings") == [("p1", "vib", START_NS, 2.0)]


@pytest.fixture
def closed_broker(tmp_path):
    """A broker with TLS that knows one user."""
    folder = tmp_path / "broker"
    certificate, key = make_certificate(folder, "broker")
    subprocess.run(
        ["mosquitto_passwd", "-b", "-c", str(folder / "users"), "ann", "a secret"], check=True
    )
    found = Mosquitto(
        folder,
        f"allow_anonymous false\npassword_file {folder}/users\n"
        f"certfile {certificate}\nkeyfile {key}",
    )
    found.start()
    yield found
    found.stop()


def test_tls_user_and_password_come_from_files_and_the_environment(
    tmp_path, closed_broker, monkeypatch
):
    config = lay_out(tmp_path, closed_broker, more='ca = "../broker/broker.crt"\n')
    config.write_text(config.read_text().replace("mqtt://", "mqtts://"))
    monkeypatch.setenv("PM_APP_RECORDER_LINE_USER", "ann")
    monkeypatch.setenv("PM_APP_RECORDER_LINE_PASSWORD", "wrong")
    with Running(config) as running:
        running.wait_for(lambda health: "refused us" in health.away, "refused")
        assert "Not authorized" in running.health.away

    monkeypatch.setenv("PM_APP_RECORDER_LINE_PASSWORD", "a secret")
    with Running(config) as running:
        running.wait_for(lambda health: not health.away, "connected")
    assert "secret" not in (running.folder / "health.json").read_text()
