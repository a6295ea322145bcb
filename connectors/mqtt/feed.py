"""Values of an MQTT broker for a recorder; fulfils `pm_app.ports.Feed`."""

import time
import zlib
from collections.abc import Mapping, Sequence
from typing import Any, Final

from connectors.mqtt.client import BrokerAddress, BrokerConnection
from connectors.mqtt.payloads import PayloadRules, read_message
from pm_app.records.recording import FeedDelivery
from pm_app.settings.recorders import RecorderPlace, RecorderSettings, read_pattern

# What is taken at once becomes durable at once.
MOST_MESSAGES: Final = 2_000


class BrokerFeed:
    """Messages of the topics of these rules, at least once.

    clock: nanoseconds UTC, the time of values without one.
    """

    def __init__(
        self, address: BrokerAddress, rules: PayloadRules, clock: Any = time.time_ns
    ) -> None:
        self._connection, self._rules, self._clock = BrokerConnection(address), rules, clock
        self._refused: list[str] = []

    def open(self, newest: Mapping[tuple[str, str], int]) -> None:
        """See Feed.open; the broker knows what was not acknowledged."""
        self._connection.open()
        filters = list(dict.fromkeys(pattern.filter for pattern in self._rules.patterns))
        self._refused = self._connection.subscribe(filters)

    def take(self, seconds: float) -> Sequence[FeedDelivery]:
        """See Feed.take."""
        messages = self._connection.messages
        if not messages:
            self._connection.work(seconds)
        count = 0
        while len(messages) > count and len(messages) < MOST_MESSAGES:
            count = len(messages)
            self._connection.work(0.0)
        return [self._delivery(messages.popleft()) for _ in range(len(messages))]

    def acknowledge(self, deliveries: Sequence[FeedDelivery]) -> None:
        """See Feed.acknowledge."""
        for delivery in deliveries:
            if delivery.key:
                self._connection.acknowledge(int(delivery.key.partition(":")[0]), 1)

    def remarks(self) -> tuple[str, ...]:
        """See Feed.remarks."""
        return tuple(f"the broker refuses topic {each!r}" for each in self._refused)

    def close(self) -> None:
        """See Feed.close."""
        self._connection.close()

    def _delivery(self, message: Any) -> FeedDelivery:
        values, refused, timed = read_message(
            message.topic, message.payload, self._rules, arrived=self._clock()
        )
        if message.retain and not timed:
            # When it was measured nobody knows, and it comes with every connection.
            values = ()
        # Numbers come again after 65,535 messages, so that the content has to be alike as well.
        proof = zlib.crc32(message.payload, zlib.crc32(message.topic.encode()))
        return FeedDelivery(
            values,
            key=f"{message.mid}:{proof:08x}" if message.qos else "",
            again=message.dup,
            newer_only=message.retain,
            refused=refused,
        )


def make_feed(settings: RecorderSettings, place: RecorderPlace) -> BrokerFeed:
    """The feed of a recorder of kind "mqtt"; nothing is connected yet."""
    address = BrokerAddress(
        settings.url,
        settings.client_id or f"pm-app {place.plant} {place.name}",
        place.user,
        place.password,
        ca=place.file(settings.ca),
        certificate=place.file(settings.certificate),
        key=place.file(settings.key),
    )
    rules = PayloadRules(
        tuple(map(read_pattern, settings.topics)),
        settings.time_keys,
        settings.value_keys,
        settings.asset,
        settings.timezone,
    )
    return BrokerFeed(address, rules)
