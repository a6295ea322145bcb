"""A recorder of a real OPC UA server, stopped, killed and flooded: 0 lost, 0 twice."""

import signal
import threading
import time
from collections import Counter

import pytest
from recorders.brokers import wait_until
from recorders.opcua_servers import SENSORS, PlantServer
from recorders.recording import recorded
from recorders.running_recorders import Running

from pm_app.jobs.record.health import read_recorder_health, recorder_folder
from pm_app.settings.plant import read_settings

pytestmark = pytest.mark.server
ASSETS = 3


@pytest.fixture
def server(tmp_path):
    found = PlantServer(tmp_path, assets=ASSETS)
    found.start()
    yield found
    found.stop()


def lay_out(folder, server, more='paths = ["Plant/{asset}/{sensor}"]\n'):
    config = folder / "plant" / "plant.toml"
    config.parent.mkdir()
    config.write_text(
        f'[recorders.line]\nkind = "opcua"\nurl = "{server.url}"\nevery = "1s"\n'
        f'publishing = "0.1s"\nhistory = "3650d"\n{more}'
    )
    return config


def rows(numbers):
    """Values of all variables in turn."""
    places = [(f"p{number}", sensor) for number in range(ASSETS) for sensor in SENSORS]
    return [(*places[number % len(places)], float(number)) for number in numbers]


def measured(config):
    """What is recorded but for what variables are born with."""
    return [row for row in recorded(config.parent / "readings") if row[3] >= 0]


def test_server_and_recorder_are_stopped_and_killed_in_a_tenfold_flood(
    tmp_path, server, start_process
):
    config = lay_out(tmp_path, server)
    folder = recorder_folder(read_settings(config).state, "line")
    process = start_process(config)
    wait_until(lambda: (health := read_recorder_health(folder)) and not health.away, "connected")
    expected, number, begun = [], 0, time.monotonic()
    ordinary = 30

    def write(count, pause):
        nonlocal number
        some = rows(range(number, number + count))
        number += count
        expected.extend(server.write(some, pause=pause))

    def restart():
        nonlocal process
        process.send_signal(signal.SIGKILL)
        process.wait()
        process = start_process(config)

    write(ordinary * 2, 1 / ordinary)
    threading.Timer(0.5, restart).start()
    write(ordinary * 10 * 2, 1 / (ordinary * 10))
    # What its history has not yet taken down is lost to the server itself.
    time.sleep(2.0)
    server.stop()
    server.start()
    write(ordinary * 10 * 2, 1 / (ordinary * 10))
    restart()
    write(ordinary * 10, 1 / (ordinary * 10))
    took = time.monotonic() - begun
    wait_until(lambda: len(measured(config)) >= number, "all recorded", seconds=60)
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0

    got = Counter(measured(config))
    lost, twice = Counter(expected) - got, got - Counter(expected)
    print(
        f"\n{number:,} values in {took:.0f} s, {ordinary} then {10 * ordinary} a second; server "
        f"stopped once, recorder killed twice: {sum(lost.values())} lost, "
        f"{sum(twice.values())} twice"
    )
    assert not lost and not twice


def test_a_first_start_reads_the_history_of_the_server(tmp_path, server):
    expected = server.write(rows(range(600)))
    config = lay_out(tmp_path, server)

    with Running(config):
        wait_until(lambda: len(measured(config)) >= 600, "recorded")

    assert measured(config) == sorted(expected)


def test_a_server_that_takes_its_time_over_history_is_not_given_up(tmp_path, caplog):
    async def make_slow(served):
        storage = served.iserver.history_manager.storage
        read = storage.read_node_history

        async def slow(*asked):
            # Longer than the library waits for a sign of life by default; nothing else goes on.
            time.sleep(3)
            return await read(*asked)

        storage.read_node_history = slow

    server = PlantServer(tmp_path, assets=1, prepare=make_slow)
    server.start()
    expected = server.write([("p0", sensor, 1.0) for sensor in SENSORS])
    config = lay_out(tmp_path, server)

    with Running(config):
        wait_until(lambda: len(measured(config)) >= len(SENSORS), "recorded")
    server.stop()

    assert measured(config) == sorted(expected)
    assert "client is disconnected" not in caplog.text


def test_a_recorder_that_was_away_reads_what_came_meanwhile(tmp_path, server):
    config = lay_out(tmp_path, server)
    with Running(config):
        expected = server.write(rows(range(60)))
        wait_until(lambda: len(measured(config)) >= 60, "recorded")
    expected += server.write(rows(range(60, 400)))
    # What its history has not yet taken down is lost to the server itself.
    time.sleep(1.0)
    server.stop()
    server.start()

    with Running(config):
        expected += server.write(rows(range(400, 430)))
        wait_until(lambda: len(measured(config)) >= 430, "recorded")

    assert measured(config) == sorted(expected)


def test_what_is_not_good_or_no_number_is_counted_and_nodes_that_are_not_there_told(
    tmp_path, server
):
    from asyncua import ua

    nodes = '{ "ns=2;i=1000" = "pump-1/vibration", "ns=2;s=nowhere" = "pump-2/x" }'
    with Running(lay_out(tmp_path, server, f"nodes = {nodes}\n")) as running:
        running.wait_for(lambda health: not health.away and health.recorded > 0, "connected")
        bad = ua.StatusCode(ua.StatusCodes.BadNoCommunication)
        server.write_data("p0", "vib", ua.DataValue(ua.Variant(5.0), StatusCode=bad))
        running.wait_for(lambda health: health.not_good > 0, "counted")
        remarks = running.health.remarks

    found = recorded(tmp_path / "plant" / "readings")
    assert {row[:2] for row in found} == {("pump-1", "vibration")}
    assert 5.0 not in {row[3] for row in found}
    assert remarks == ("node ns=2;s=nowhere is refused: BadNodeIdUnknown",)


def test_a_server_without_such_variables_is_told_with_what_it_has(tmp_path, server):
    config = lay_out(tmp_path, server, 'paths = ["Line/{asset}/{sensor}"]\n')
    with Running(config) as running:
        running.wait_for(lambda health: "fits paths" in health.away, "told")

    assert "'Plant/p0/vib'" in running.health.away


def test_a_server_that_is_away_is_told_and_found_again(tmp_path, server):
    with Running(lay_out(tmp_path, server)) as running:
        running.wait_for(lambda health: not health.away, "connected")
        server.stop()
        running.wait_for(lambda health: bool(health.away), "the outage is noted")
        words = running.health.away
        server.start()
        running.wait_for(lambda health: not health.away, "found again")

    assert words.startswith(server.url)
