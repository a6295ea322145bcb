"""Connection to an MQTT broker by paho-mqtt, without threads of its own: it works when called."""

import ssl
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from pm_app.errors import BadSettings, SourceUnavailable

CONNECT_SECONDS: Final = 5.0
KEEPALIVE_SECONDS: Final = 30
_PORTS: Final = {"mqtt": 1883, "mqtts": 8883}


@dataclass(frozen=True)
class BrokerAddress:
    """Where a broker is, and who we are to it.

    ca, certificate, key: files of PEM, None for those of the system and for none. session: the
    broker keeps what comes while we are away, for this client_id.
    """

    url: str
    client_id: str
    user: str = ""
    password: str = field(default="", repr=False)
    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    session: bool = True

    @property
    def place(self) -> tuple[str, int]:
        """Host and port."""
        parts = urlsplit(self.url)
        return parts.hostname or "", parts.port or _PORTS[parts.scheme]


class BrokerConnection:
    """One connection at a time. Methods raise SourceUnavailable where it is lost."""

    def __init__(self, address: BrokerAddress) -> None:
        self.address = address
        self.messages: deque[Any] = deque()
        self._client: Any = None
        self._refusal = ""
        self._connected = False
        self._granted: dict[int, list[Any]] = {}
        self._published: set[int] = set()

    def open(self) -> None:
        """Connect, and wait for the broker's word. Raises BadSettings too."""
        self.close()
        client = self._make_client()
        host, port = self.address.place
        try:
            client.connect(host, port, keepalive=KEEPALIVE_SECONDS)
        except (OSError, ValueError) as error:
            raise SourceUnavailable(f"{self.address.url}: {_words(error)}") from error
        self._client = client
        self._until(lambda: self._connected or bool(self._refusal), "did not say that we may enter")
        if self._refusal:
            words = self._refusal
            self.close()
            raise SourceUnavailable(f"{self.address.url} refused us: {words}")

    def subscribe(self, filters: list[str]) -> list[str]:
        """Ask for messages at QoS 1; the filters that the broker refused."""
        code, mid = self._client.subscribe([(each, 1) for each in filters])
        if code:
            raise self._lost()
        self._until(lambda: mid in self._granted, "did not answer a subscription")
        answers = self._granted.pop(mid)
        return [each for each, answer in zip(filters, answers, strict=True) if answer.is_failure]

    def work(self, seconds: float) -> None:
        """Send and receive, waiting at most so long for something to do."""
        if self._client is None:
            raise self._lost()
        code = self._client.loop(seconds)
        if code or not self._connected:
            raise self._lost()

    def acknowledge(self, mid: int, qos: int) -> None:
        """Tell the broker that a message need not come again."""
        if self._client is None or self._client.ack(mid, qos):
            raise self._lost()

    def publish(self, topic: str, payload: bytes, *, retain: bool) -> int:
        """Send at QoS 1; the number under which `confirmed` has it."""
        if self._client is None:
            raise self._lost()
        sent = self._client.publish(topic, payload, qos=1, retain=retain)
        if sent.rc:
            raise self._lost()
        return int(sent.mid)

    def confirm(self, numbers: set[int]) -> None:
        """Wait until the broker has taken all of these."""
        self._until(lambda: numbers <= self._published, "did not acknowledge what was published")
        self._published.clear()

    def close(self) -> None:
        """Say goodbye where somebody listens."""
        client, self._client = self._client, None
        if client is not None:
            with suppress(OSError, ValueError):
                client.disconnect()
                client.loop(0.0)
        self.messages.clear()
        self._published.clear()
        self._connected, self._refusal = False, ""

    def _make_client(self) -> Any:
        try:
            from paho.mqtt.client import Client, MQTTv311
            from paho.mqtt.enums import CallbackAPIVersion
        except ImportError as error:
            raise BadSettings("MQTT needs paho-mqtt: pip install 'pm-app[mqtt]'") from error
        address = self.address
        client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=address.client_id,
            clean_session=not address.session,
            protocol=MQTTv311,
            reconnect_on_failure=False,
            manual_ack=True,
        )
        client.connect_timeout = CONNECT_SECONDS
        if address.user:
            client.username_pw_set(address.user, address.password or None)
        if address.url.startswith("mqtts:"):
            client.tls_set_context(_tls(address))
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_message = self._on_message
        client.on_subscribe = self._on_subscribe
        client.on_publish = self._on_publish
        return client

    def _until(self, done: Any, complaint: str) -> None:
        end = time.monotonic() + CONNECT_SECONDS
        while not done():
            left = end - time.monotonic()
            if left <= 0:
                self.close()
                raise SourceUnavailable(
                    f"{self.address.url} {complaint} within {CONNECT_SECONDS:g} s"
                )
            code = self._client.loop(min(left, 0.2))
            if code and not done():
                raise self._lost()

    def _lost(self) -> SourceUnavailable:
        self.close()
        return SourceUnavailable(f"{self.address.url}: the connection is lost")

    def _on_connect(self, *given: Any) -> None:
        reason = given[3]
        self._connected = not reason.is_failure
        self._refusal = str(reason) if reason.is_failure else ""

    def _on_disconnect(self, *_: Any) -> None:
        self._connected = False

    def _on_message(self, client: Any, data: Any, message: Any) -> None:
        self.messages.append(message)

    def _on_subscribe(self, client: Any, data: Any, mid: int, reasons: Any, *_: Any) -> None:
        self._granted[mid] = list(reasons)

    def _on_publish(self, client: Any, data: Any, mid: int, *_: Any) -> None:
        self._published.add(mid)


def _tls(address: BrokerAddress) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=address.ca)
        if address.certificate is not None:
            context.load_cert_chain(address.certificate, address.key)
    except (OSError, ValueError) as error:
        files = ", ".join(str(each) for each in (address.ca, address.certificate) if each)
        raise BadSettings(f"{address.url}: needed files of PEM, got {files}: {error}") from error
    return context


def _words(error: BaseException) -> str:
    return str(getattr(error, "strerror", None) or error or type(error).__name__)
