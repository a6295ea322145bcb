"""The examples of `pm-app docs recorders`, each run as it stands against a real server."""

import re
import shutil
import signal
import subprocess

import pytest
from recorders.brokers import Device, Mosquitto, wait_until
from recorders.certificates import make_certificate
from recorders.opcua_servers import PlantServer
from recorders.recording import recorded

from pm_app.docs import read_topic
from pm_app.jobs.record.health import read_recorder_health, recorder_folder
from pm_app.settings.plant import read_settings

pytestmark = pytest.mark.server


def blocks(title: str, language: str) -> list[str]:
    """A section's blocks of a language, up to the next heading."""
    found = re.search(rf"^#+ {title}\n(.*?)(?=^## |^### |\Z)", read_topic("recorders"), re.S | re.M)
    assert found, title
    return re.findall(rf"^```{language}\n(.*?)^```", found[1], re.S | re.M)


def quick_start() -> list[tuple[str, ...]]:
    """The names of recorders in the commands at the head of the page."""
    lines = blocks("Recorders", "sh")[0].splitlines()
    assert all(line.startswith("pm-app record") for line in lines)
    return [tuple(line.partition("#")[0].split()[2:]) for line in lines]


def lay_out(folder, text, url):
    """A plant with the settings of the page, at the address of a server of this machine."""
    config = folder / "plant" / "plant.toml"
    config.parent.mkdir(exist_ok=True)
    changed, count = re.subn(r'url = "[^"]*"', f'url = "{url}"', text)
    assert count == 1
    config.write_text(changed)
    return config


def connected(config, name):
    folder = recorder_folder(read_settings(config).state, name)
    wait_until(lambda: (health := read_recorder_health(folder)) and not health.away, "connected")
    return folder


def ended(process, config):
    """What is recorded once it has ended as a service manager ends it."""
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0
    return recorded(config.parent / "readings")


@pytest.fixture
def broker(tmp_path):
    found = Mosquitto(tmp_path / "broker")
    found.start()
    yield found
    found.stop()


@pytest.mark.parametrize("names", quick_start(), ids=lambda names: " ".join(names) or "all")
def test_the_commands_and_payloads_of_a_broker_do_what_the_page_says(
    tmp_path, broker, start_process, names
):
    (text,) = blocks("From an MQTT broker", "toml")
    config = lay_out(tmp_path, text, f"mqtt://127.0.0.1:{broker.port}")
    process = start_process(config, names)
    folder = connected(config, "line-1")
    cells = re.findall(r"^\| (`.*) \| .*\|$", read_topic("recorders"), re.M)
    payloads = [
        each.replace(", …", "") for cell in cells[:4] for each in re.findall(r"`(.*?)`", cell)
    ]
    device = Device(broker)
    for number, payload in enumerate(payloads):
        device.publish((f"plant/p{number}/vib", payload.encode()))
    device.publish(("line/7/p9/state/on/off", {"motor": {"current": 4}}))
    wait_until(lambda: read_recorder_health(folder).recorded >= 8, "recorded")

    found = ended(process, config)

    device.close()
    assert [(asset, sensor, value) for asset, sensor, _, value in found] == [
        ("p0", "vib", 2.3),
        ("p1", "vib", 2.3),
        ("p2", "vib", 1.0),
        ("p3", "vib", 2.3),
        ("p4", "vib.motor.current", 4.0),
        ("p4", "vib.temperature", 60.1),
        ("p5", "vib.temperature", 60.1),
        ("p9", "motor.current", 4.0),
    ]
    assert {time for asset, _, time, _ in found if asset in ("p3", "p5")} == {1767225600 * 10**9}


@pytest.fixture
def server(tmp_path):
    found = PlantServer(tmp_path, assets=1)
    found.start()
    yield found
    found.stop()


@pytest.mark.parametrize(
    ("number", "places"),
    [
        (0, {("p0", "vib"), ("p0", "temp")}),
        (1, {("pump-1", "vibration"), ("pump-1", "temperature")}),
    ],
    ids=["paths", "nodes"],
)
def test_the_settings_of_a_server_record_its_history(
    tmp_path, server, start_process, number, places
):
    server.write([("p0", "vib", 1.0), ("p0", "temp", 60.0)])
    config = lay_out(tmp_path, blocks("From an OPC UA server", "toml")[number], server.url)
    process = start_process(config, ("press",))
    folder = connected(config, "press")
    wait_until(lambda: read_recorder_health(folder).recorded >= 4, "recorded")

    found = ended(process, config)

    assert {row[:2] for row in found} == places
    assert {row[3] for row in found} == {-1.0, 1.0, 60.0}


def test_the_commands_and_settings_of_security_connect(tmp_path, start_process):
    from asyncua import ua

    (text,), (commands,) = blocks("Security", "toml"), blocks("Security", "sh")
    plant = tmp_path / "plant"
    plant.mkdir()
    subprocess.run(["sh", "-ec", commands], cwd=plant, check=True, capture_output=True)
    certificate, key = make_certificate(tmp_path, "server")
    shutil.copy(certificate, plant / "tls" / "server.crt")

    async def close(server):
        await server.set_application_uri("urn:plant:server")
        server.set_security_policy([ua.SecurityPolicyType.Basic256Sha256_SignAndEncrypt])
        await server.load_certificate(str(certificate), "pem")
        await server.load_private_key(str(key), format="pem")

    server = PlantServer(tmp_path, assets=1, prepare=close)
    server.start()
    process = start_process(lay_out(tmp_path, text, server.url), ("press",))
    folder = connected(plant / "plant.toml", "press")
    wait_until(lambda: read_recorder_health(folder).recorded >= 2, "recorded")
    found = ended(process, plant / "plant.toml")
    server.stop()

    assert {row[:2] for row in found} == {("p0", "vib"), ("p0", "temp")}
