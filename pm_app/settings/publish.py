"""The table `publish` of plant.toml: where the newest prediction of each asset goes."""

from typing import Self
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from pm_app.settings.sections import Section
from pm_app.settings.values import Name, Text, WebAddress


class PublishSettings(Section):
    """Where the newest prediction of each asset goes, as JSON, once it is committed. User and
    password of the broker: PM_APP_PUBLISH_USER and PM_APP_PUBLISH_PASSWORD in the environment.
    """

    mqtt: Text = Field(
        "",
        description="a broker: mqtt://host:1883, or mqtts:// with TLS",
        examples=["mqtt://broker.plant.example"],
    )
    topic: Name = Field(
        "pm-app/{plant}/{asset}", description="of an asset's prediction, which the broker keeps"
    )
    ca: Text = Field(
        "",
        description="file of the authority that signed the broker's certificate",
        examples=["tls/ca.pem"],
    )
    webhook: WebAddress = Field(
        "",
        repr=False,
        description="a web server that takes lists of predictions; with a secret in it, "
        "PM_APP_PUBLISH_WEBHOOK takes its place",
        examples=["https://historian.example/predictions"],
    )

    @model_validator(mode="after")
    def _has_a_broker_and_a_topic_an_asset(self) -> Self:
        parts = urlsplit(self.mqtt)
        if self.mqtt and (parts.scheme not in ("mqtt", "mqtts") or not parts.hostname):
            raise ValueError("mqtt must begin with mqtt:// or mqtts:// and name a host")
        if parts.username is not None:
            raise ValueError("mqtt must hold no user: PM_APP_PUBLISH_USER and _PASSWORD do")
        if "{asset}" not in self.topic or "+" in self.topic or "#" in self.topic:
            raise ValueError(f"topic needs {{asset}} and no wildcard, got {self.topic!r}")
        return self
