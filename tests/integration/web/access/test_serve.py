"""`pm-app serve` as a process: over TLS, light, and ended as it was asked to."""

import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request

import pytest
from factories import NOW, make_plant
from typer.testing import CliRunner

from pm_app.cli.app import app
from pm_app.settings.plant import read_settings
from pm_app.wiring import open_users

PATIENCE_SECONDS = 30.0


@pytest.fixture
def config(tmp_path):
    config = make_plant(tmp_path / "plant")
    with open_users(read_settings(config)) as store:
        store.users.add("ann", "a long password", role="viewer", at=NOW, actor="root")
    return config


def free_address() -> str:
    with socket.create_server(("127.0.0.1", 0)) as door:
        return f"127.0.0.1:{door.getsockname()[1]}"


def answer(address: str, context: ssl.SSLContext) -> str:
    """The sign-in page, asked for until the server is up."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            with urllib.request.urlopen(f"{address}/fleet", context=context) as page:
                return page.read().decode()
        except urllib.error.URLError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl for a certificate")
def test_pages_are_served_over_tls_without_what_learns_and_end_when_asked(config):
    folder = config.parent
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    command += ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    command += ["-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")]
    subprocess.run(command, check=True, capture_output=True)
    web = '\n[web]\ncertificate = "cert.pem"\nkey = "key.pem"\n'
    config.write_text(config.read_text() + web)
    address = free_address()
    heavy = "import sys; from pm_app.cli import main\ntry: main()\nfinally:\n"
    heavy += (
        "    print([m for m in ('tensorflow', 'keras', 'sklearn', 'pandas') if m in sys.modules])"
    )
    trusted = ssl.create_default_context(cafile=folder / "cert.pem")

    with subprocess.Popen(
        [sys.executable, "-c", heavy, "serve", "-c", str(config), "--listen", address],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as server:
        try:
            assert "Sign in" in answer(f"https://{address}", trusted)
        finally:
            server.send_signal(signal.SIGINT)
            out, err = server.communicate(timeout=PATIENCE_SECONDS)

    assert out.splitlines()[-1] == "[]"
    assert f"https://{address}/" in err and "Traceback" not in err


def test_a_port_in_use_is_told_and_no_address(config):
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = f"127.0.0.1:{other.getsockname()[1]}"
        done = CliRunner().invoke(app, ["serve", "-c", str(config), "--listen", taken])

    assert "cannot listen at 127.0.0.1 port" in str(done.exception)
    assert "another program listens there already" in str(done.exception)
    assert "http://" not in done.output


@pytest.mark.parametrize(
    ("web", "words"),
    [
        ('certificate = "no.pem"\nkey = "no.pem"', "web.certificate needs a file that is there"),
        ('listen = "0.0.0.0:8080"', "reached from other machines"),
    ],
)
def test_what_keeps_pages_from_being_served_is_told(tmp_path, web, words):
    config = make_plant(tmp_path / "plant")
    config.write_text(f"{config.read_text()}\n[web]\n{web}\n")

    done = CliRunner().invoke(app, ["serve", "-c", str(config)])

    assert done.exit_code != 0
    assert words in str(done.exception)
