"""Debian's mosquitto, a real MQTT broker, stopped, killed and started again on its port."""

import json
import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from connectors.mqtt.client import BrokerAddress, BrokerConnection
from pm_app.errors import SourceUnavailable

MOSQUITTO = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")
PATIENCE_SECONDS = 20.0


def require_mosquitto() -> None:
    """Skip without the broker, but never where everything has to be there."""
    if MOSQUITTO is None:
        assert "CI" not in os.environ, "the broker's tests are never skipped there"
        pytest.skip("needs a broker: Debian's package mosquitto")


class Mosquitto:
    """A broker of this machine alone, with a folder for what it keeps.

    more: further lines of its configuration, for its one listener.
    """

    def __init__(self, folder: Path, more: str = "allow_anonymous true") -> None:
        require_mosquitto()
        with socket.create_server(("127.0.0.1", 0)) as door:
            self.port = door.getsockname()[1]
        folder.mkdir(parents=True, exist_ok=True)
        self.configuration = folder / "mosquitto.conf"
        self.configuration.write_text(
            f"user {'root' if os.geteuid() == 0 else ''}\n"
            f"persistence true\npersistence_location {folder}/\n"
            f"max_queued_messages 0\nmax_inflight_messages 200\n"
            f"listener {self.port} 127.0.0.1\n{more}\n"
        )
        self._log = folder / "mosquitto.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start, and wait until it answers."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [str(MOSQUITTO), "-c", str(self.configuration)], stdout=log, stderr=log
            )
        end = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < end:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1.0).close()
            except OSError:
                assert self._process.poll() is None, self._log.read_text()
                time.sleep(0.02)
            else:
                return
        raise AssertionError(self._log.read_text())

    def stop(self, number: int = signal.SIGTERM) -> None:
        """End it; by SIGTERM it writes down what it has, as a service that is restarted does."""
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(PATIENCE_SECONDS)
            self._process = None


def wait_until(done, what: str, *, seconds: float = PATIENCE_SECONDS) -> None:
    """Look again and again until something is so; no longer than it may take."""
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end, what
        time.sleep(0.05)


class Device:
    """A device that publishes at QoS 1 and sends again what was not acknowledged."""

    def __init__(self, broker: Mosquitto) -> None:
        url = f"mqtt://127.0.0.1:{broker.port}"
        self.connection = BrokerConnection(BrokerAddress(url, "device", session=False))
        self.away = True

    def publish(self, *messages: tuple[str, Any], retain: bool = False) -> None:
        """Topics and payloads, until the broker has them all; bytes as they are, else JSON."""
        while True:
            try:
                if self.away:
                    self.connection.open()
                    self.away = False
                sent = {
                    self.connection.publish(topic, _encoded(payload), retain=retain)
                    for topic, payload in messages
                }
                self.connection.confirm(sent)
                return
            except SourceUnavailable:
                self.away = True
                time.sleep(0.1)

    def close(self) -> None:
        """Go."""
        self.connection.close()


def _encoded(payload: Any) -> bytes:
    return payload if isinstance(payload, bytes) else json.dumps(payload).encode()
