"""Law 13: nothing leaves the plant, seen by what the system is asked to call."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest
from factories import make_plant
from tracing import calls_beyond_this_machine, pm_app, traced
from twenty_pumps import PUMPS, PUMPS_TOML

from pm_app.cli.demo.plant import drop_days
from pm_app.daemon.health import read_health
from pm_app.simulator import simulate

pytestmark = pytest.mark.server
SECONDS = 600.0  # far more than a training takes
ROOT = Path(__file__).parents[3]
# Keras keeps its own settings at home.
KERAS = {"keras.json"}
PAGES = ("/fleet", "/alarms", "/models", "/data", "/help", "/api/v1/assets")

LOOPBACK = [
    'connect(3, {sa_family=AF_INET, sin_port=htons(80), sin_addr=inet_addr("127.0.0.1")}, 16) = 0',
    "connect(3, {sa_family=AF_INET6, sin6_port=htons(80), sin6_flowinfo=htonl(0), "
    'inet_pton(AF_INET6, "::1", &sin6_addr), sin6_scope_id=0}, 28) = 0',
    'connect(3, {sa_family=AF_UNIX, sun_path="/run/systemd/notify"}, 22) = 0',
    "sendto(3, [{nlmsg_len=20}], 20, 0, {sa_family=AF_NETLINK, nl_pid=0}, 12) = 20",
    'bind(3, {sa_family=AF_INET, sin_port=htons(0), sin_addr=inet_addr("0.0.0.0")}, 16) = 0',
    'sendto(3, "x", 1, 0, NULL, 0) = 1',
]
BEYOND = [
    'connect(3, {sa_family=AF_INET, sin_port=htons(443), sin_addr=inet_addr("192.0.2.1")}, 16) = 0',
    'connect(3, {sa_family=AF_INET, sin_port=htons(53), sin_addr=inet_addr("127.0.0.53")}, 16) = 0',
    '7 sendto(3, "x", 1, 0, {sa_family=AF_INET, sin_port=htons(9), '
    'sin_addr=inet_addr("192.0.2.1")}, 16) = 1',
    "connect(3, {sa_family=AF_INET6, sin6_port=htons(443), sin6_flowinfo=htonl(0), "
    'inet_pton(AF_INET6, "2001:db8::1", &sin6_addr), sin6_scope_id=0}, 28) = -1 ENETUNREACH',
    'connect(3, {sa_family=AF_UNIX, sun_path="/run/systemd/resolve/io.systemd.Resolve"}, 42) = 0',
]


@pytest.mark.parametrize("line", BEYOND)
def test_a_call_beyond_this_machine_is_seen(line):
    assert calls_beyond_this_machine([*LOOPBACK, line]) == [line]


@pytest.fixture
def watched(tmp_path):
    """Starts programs under the tracer, in a home of their own; all they called is in `logs`."""
    home, logs = tmp_path / "home", tmp_path / "logs"
    home.mkdir()
    logs.mkdir()
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "PYTHONPATH": str(ROOT),
        "LANG": "C.UTF-8",
    }
    started = []

    def start(command, **more):
        log = logs / f"{len(started)}"
        process = traced(command, log, env=environment, start_new_session=True, **more)
        started.append(process)
        return started[-1]

    start.home, start.logs = home, logs
    yield start
    for process in started:
        # A tracer that is killed lets what it traced run on.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def run(start, *words):
    done = start(pm_app(*words), stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    out, _ = done.communicate(timeout=SECONDS)
    return done.returncode, out.decode()


def beyond(start):
    lines = [line for log in start.logs.iterdir() for line in log.read_text().splitlines()]
    assert lines or not list(start.logs.iterdir())
    return calls_beyond_this_machine(lines)


def left_at_home(start):
    return {path.name for path in start.home.rglob("*") if path.is_file()}


def wait_until(condition):
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def stop(process):
    """End what runs under the tracer as a supervisor does; the tracer ends with it."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    os.kill(int(children[0]), signal.SIGTERM)
    assert process.wait(SECONDS) in (0, -signal.SIGTERM)


def test_the_tracer_sees_what_a_child_of_a_child_calls(watched):
    """A socket that is only pointed at another machine, and sends it nothing."""
    call = "import socket; socket.socket(type=socket.SOCK_DGRAM).connect(('192.0.2.1', 9))"
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {call!r}])"

    assert watched([sys.executable, "-c", code]).wait(SECONDS) == 0

    (line,) = beyond(watched)
    assert 'inet_addr("192.0.2.1")' in line


def test_from_the_first_file_to_a_model_nothing_leaves_and_nothing_is_left_at_home(
    watched, tmp_path
):
    assert run(watched, "init", tmp_path / "new")[0] == 0
    config = make_plant(tmp_path / "plant", toml=PUMPS_TOML)
    drop_days(simulate(PUMPS), config.parent, 0, PUMPS.days)

    for command in ("check", "retrain", "score", "predictions", "models", "importance"):
        code, out = run(watched, command, "-c", config)
        assert code == 0 or command == "check", (command, out)
    assert run(watched, "backup", tmp_path / "plant.pm", "-c", config)[0] == 0

    assert beyond(watched) == []
    assert left_at_home(watched) <= KERAS


def test_a_daemon_and_its_pages_call_nobody(watched, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as door:
        address = f"127.0.0.1:{door.getsockname()[1]}"
    toml = f'[scoring]\nevery = "0.2s"\n[web]\nopen = true\nlisten = "{address}"\n'
    config = make_plant(tmp_path / "plant", toml=PUMPS_TOML + toml)
    drop_days(simulate(PUMPS), config.parent, 0, 3)
    state = config.parent / "state"

    daemon = watched(pm_app("run", "-c", config), stderr=subprocess.DEVNULL)
    wait_until(partial(has_scored, state))
    pages = watched(pm_app("serve", "-c", config), stderr=subprocess.DEVNULL)
    wait_until(partial(answers, address))
    for page in PAGES:
        with urllib.request.urlopen(f"http://{address}{page}") as answer:
            assert answer.status == 200
    stop(pages)
    stop(daemon)

    assert beyond(watched) == []
    assert left_at_home(watched) <= KERAS


def has_scored(state):
    health = read_health(state)
    return health is not None and any(job.name == "score" and job.succeeded for job in health.jobs)


def answers(address):
    host, port = address.split(":")
    with socket.socket() as door:
        return door.connect_ex((host, int(port))) == 0
