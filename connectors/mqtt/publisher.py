"""Publishers of predictions: retained topics of a broker, documents to a web server.

Delivery guarantee: at least once; what the broker (QoS 1) or the server (2xx) has not
acknowledged is published again.
"""

import re
from collections.abc import Sequence
from typing import Final

from connectors.mqtt.client import BrokerAddress, BrokerConnection
from connectors.notifications import Carrier
from pm_app.ports import Publisher
from pm_app.settings.publish import PublishSettings
from pm_app.settings.recorders import RecorderPlace
from pm_app.wording import address_text

AT_ONCE: Final = 200
# They part topics, or stand for others (MQTT 3.1.1, 4.7).
_RESERVED: Final = re.compile(r"[/+#\x00-\x1f\x7f]")


class TopicPublisher:
    """Fulfils `pm_app.ports.Publisher`: a retained topic an asset.

    topic: with {asset}, and {plant} already in its place.
    """

    def __init__(self, address: BrokerAddress, topic: str) -> None:
        self._connection, self._topic = BrokerConnection(address), topic
        self.place = f"{address.url} {topic}"

    def publish(self, documents: Sequence[tuple[str, str]]) -> None:
        """See Publisher.publish."""
        if not documents:
            return
        try:
            self._connection.open()
            for start in range(0, len(documents), AT_ONCE):
                self._connection.confirm(
                    {
                        self._connection.publish(
                            self._topic.replace("{asset}", plain_level(asset)),
                            document.encode(),
                            retain=True,
                        )
                        for asset, document in documents[start : start + AT_ONCE]
                    }
                )
        finally:
            self._connection.close()


class DocumentPublisher:
    """Fulfils `pm_app.ports.Publisher`: lists of predictions by HTTP POST."""

    def __init__(self, address: str, carrier: Carrier | None = None) -> None:
        self._address, self._carrier = address, carrier or Carrier()
        self.place = address_text(address)

    def publish(self, documents: Sequence[tuple[str, str]]) -> None:
        """See Publisher.publish."""
        for start in range(0, len(documents), AT_ONCE):
            some = ", ".join(document for _, document in documents[start : start + AT_ONCE])
            self._carrier.document(self._address, f"[{some}]")


def plain_level(name: str) -> str:
    """A name as one level of a topic."""
    return _RESERVED.sub("_", name)


def make_publishers(
    settings: PublishSettings, place: RecorderPlace, webhook: str
) -> dict[str, Publisher]:
    """Publishers by name of channel; webhook: the address that takes the place of the settings'."""
    found: dict[str, Publisher] = {}
    if settings.mqtt:
        address = BrokerAddress(
            settings.mqtt,
            f"pm-app {place.plant} {place.name}",
            place.user,
            place.password,
            ca=place.file(settings.ca),
            session=False,
        )
        topic = settings.topic.replace("{plant}", plain_level(place.plant))
        found["mqtt"] = TopicPublisher(address, topic)
    if webhook or settings.webhook:
        found["webhook"] = DocumentPublisher(webhook or settings.webhook)
    return found
