"""Recorders of plant.toml: tables [recorders.NAME], each a broker or server that is listened to.

Patterns of topics and paths tell which part of a name is the asset, which the sensor. Levels lie
between slashes. `{asset}` and `{sensor}` stand for a level, or a part of one (`pump-{asset}`), `+`
for a level that does not matter, `#` at the end for any number of them.
"""

import re
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Annotated, Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from pm_app.settings.sections import Section
from pm_app.settings.values import Address, Duration, Name, Text, Zone
from pm_app.times import NS, parse_duration

RecorderKind = Literal["mqtt", "opcua"]
_SCHEMES: Final = {"mqtt": ("mqtt", "mqtts"), "opcua": ("opc.tcp",)}
_OWN_KEYS: Final = {
    "mqtt": ("topics", "time_keys", "value_keys", "client_id"),
    "opcua": ("paths", "browse_from", "nodes", "publishing", "history", "security"),
}
# They name folders, units of systemd and variables of the environment.
_PLAIN: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


_PLACES: Final = ("asset", "sensor")
_FIELD: Final = re.compile(r"\{(\w*)\}")


@dataclass(frozen=True)
class NamePattern:
    """A pattern such as "plant/{asset}/{sensor}"."""

    text: str

    @property
    def filter(self) -> str:
        """The topic filter of MQTT that takes in all that may fit: a level with a place is `+`."""
        levels = self.text.split("/")
        return "/".join("+" if _FIELD.search(level) else level for level in levels)

    @property
    def places(self) -> tuple[str, ...]:
        """Which of asset and sensor it tells."""
        return tuple(_FIELD.findall(self.text))

    def match(self, name: str) -> dict[str, str] | None:
        """Asset and sensor of a name, as far as the pattern tells; None where it does not fit."""
        found = self._expression.fullmatch(name)
        return found.groupdict() if found else None

    @cached_property
    def _expression(self) -> "re.Pattern[str]":
        levels = [_level(level) for level in self.text.split("/")]
        # "#" also takes in its parent level, as brokers have it (MQTT 3.1.1, 4.7.1.2).
        text = "/".join(levels).replace("/#", "(?:/.*)?").replace("#", ".*")
        return re.compile(text, re.DOTALL)


def read_pattern(text: str) -> NamePattern:
    """Raises ValueError naming what is wrong with it."""
    levels, pattern = text.split("/"), NamePattern(text)
    for place in pattern.places:
        if place not in _PLACES:
            raise ValueError(f"needed {{asset}} or {{sensor}} in braces, got {place!r} in {text!r}")
    if len(set(pattern.places)) < len(pattern.places):
        raise ValueError(f"{{asset}} and {{sensor}} may each stand once, got {text!r}")
    for at, level in enumerate(levels):
        whole = level == "+" or (level == "#" and at == len(levels) - 1)
        if not whole and ("+" in level or "#" in level):
            raise ValueError(f"+ and # stand for whole levels, # at the end alone, got {text!r}")
    return pattern


def _level(level: str) -> str:
    if level in ("+", "#"):
        return "[^/]*" if level == "+" else "#"
    parts = _FIELD.split(level)
    # Every other part is the name of a place.
    return "".join(
        f"(?P<{part}>[^/]+)" if at % 2 else re.escape(part).replace("\\#", "#")
        for at, part in enumerate(parts)
    )


class RecorderSettings(Section):
    """A broker or server whose values are written into files of readings: `pm-app record NAME`.
    User and password come from the environment, PM_APP_RECORDER_NAME_USER and ..._PASSWORD.
    """

    kind: RecorderKind = Field("mqtt", description="what it listens to")
    url: Address = Field(
        "mqtt://localhost",
        description="mqtt://host:1883, mqtts:// with TLS, or opc.tcp://host:4840/path",
    )
    topics: tuple[Name, ...] = Field(
        (),
        description="mqtt: topics, and where in them asset and sensor stand; + and # as brokers "
        "have them",
        examples=[["plant/{asset}/{sensor}", "line/+/{asset}/state/#"]],
    )
    time_keys: tuple[Name, ...] = Field(
        ("timestamp", "time", "ts"),
        description="mqtt: keys of a payload that tell its time; without one the arrival counts",
    )
    value_keys: tuple[Name, ...] = Field(
        ("value", "v"), description="mqtt: keys of a payload that is of one sensor"
    )
    client_id: Text = Field(
        "",
        description="mqtt: whose messages the broker keeps while nobody is there; default: of "
        "plant and recorder",
        examples=["pm-app-line-1"],
    )
    paths: tuple[Name, ...] = Field(
        (),
        description="opcua: paths of browse names below browse_from, and where in them asset and "
        "sensor stand",
        examples=[["Plant/{asset}/{sensor}"]],
    )
    browse_from: Name = Field("i=85", description="opcua: the node that paths begin at: Objects")
    nodes: dict[Name, Name] = Field(
        {},
        description="opcua: nodes by their id, each with asset/sensor",
        examples=[{"ns=2;s=P1.Vib": "pump-1/vibration"}],
    )
    publishing: Duration = Field("1s", description="opcua: how often the server sends changes")
    history: Duration = Field(
        "30d", description="opcua: how far back a first start reads the server's history"
    )
    security: Literal["none", "sign", "encrypt"] = Field(
        "none", description="opcua: sign and encrypt by Basic256Sha256 with certificate and key"
    )
    ca: Text = Field(
        "",
        description="mqtt: file of the authority that signed the broker's certificate; opcua: the "
        "server's own certificate",
        examples=["tls/ca.pem"],
    )
    certificate: Text = Field(
        "", description="our own, a file beside this one", examples=["tls/recorder.pem"]
    )
    key: Text = Field("", description="of our own certificate", examples=["tls/recorder.key"])
    asset: Name | None = Field(
        None, description="the one machine where no pattern tells which", examples=["press 1"]
    )
    timezone: Zone | None = Field(
        None,
        description="mqtt: only where times carry no zone of their own",
        examples=["Europe/Berlin"],
    )
    every: Duration = Field("5min", description="how often a file of readings is completed")
    most_values: int = Field(
        200_000, ge=1, le=5_000_000, description="with so many a file is completed at once"
    )
    buffer_megabytes: int = Field(
        1024, ge=1, le=1_000_000, description="disk for what is not yet in files of readings"
    )
    silence: Duration = Field(
        "15min", description="nothing for so long is trouble: pm-app status, pages, /metrics"
    )

    @model_validator(mode="after")
    def _goes_together(self) -> Self:
        schemes = _SCHEMES[self.kind]
        if urlsplit(self.url).scheme not in schemes or not urlsplit(self.url).hostname:
            raise ValueError(
                f"url of a recorder of kind {self.kind!r} must begin with "
                f"{' or '.join(f'{scheme}://' for scheme in schemes)} and name a host, "
                f"got {self.url!r}"
            )
        for kind, keys in _OWN_KEYS.items():
            # What a process hands on to another holds every key, those of other kinds by default.
            fields = type(self).model_fields
            foreign = [key for key in keys if getattr(self, key) != fields[key].default]
            if foreign and kind != self.kind:
                raise ValueError(f"{foreign[0]} is a key of kind {kind!r}, got {self.kind!r}")
        if bool(self.certificate) != bool(self.key):
            raise ValueError("certificate and key go together, got one without the other")
        if self.security != "none" and not self.certificate:
            raise ValueError(f"security = {self.security!r} needs certificate and key")
        return self

    @model_validator(mode="after")
    def _tells_whose_values(self) -> Self:
        if self.kind == "mqtt" and not self.topics:
            raise ValueError('topics must name some, like ["plant/{asset}/{sensor}"]')
        if self.kind == "opcua" and not (self.paths or self.nodes):
            raise ValueError('needed paths, like ["Plant/{asset}/{sensor}"], or nodes')
        for text in (*self.topics, *self.paths):
            places = read_pattern(text).places
            if "asset" not in places and self.asset is None:
                raise ValueError(f"{text!r} needs {{asset}}, or asset names the one machine")
            if self.kind == "opcua" and "sensor" not in places:
                raise ValueError(f"{text!r} needs {{sensor}}: a variable is one sensor's")
        for node, text in self.nodes.items():
            if not all(text.rpartition("/")[::2]):
                raise ValueError(f"node {node!r} must be given asset/sensor, got {text!r}")
        return self

    @property
    def every_seconds(self) -> float:
        """How often a file is completed."""
        return parse_duration(self.every) / NS

    @property
    def silence_seconds(self) -> float:
        """From when on silence is trouble."""
        return parse_duration(self.silence) / NS


@dataclass(frozen=True)
class RecorderPlace:
    """Where a recorder stands: its plant, its name, the folder of plant.toml, and who it is."""

    plant: str
    name: str
    folder: Path
    user: str = field(default="", repr=False)
    password: str = field(default="", repr=False)

    def file(self, text: str) -> Path | None:
        """A file that plant.toml names, None where it names none."""
        return self.folder / text if text else None


def _are_recorders(recorders: object) -> object:
    for name, recorder in recorders.items() if isinstance(recorders, dict) else ():
        if not isinstance(recorder, dict | RecorderSettings):
            raise ValueError(f"{name!r} stands in no recorder; one is a table, [recorders.NAME]")
        if not _PLAIN.fullmatch(name):
            raise ValueError(f"names of recorders are plain, like line-1, got {name!r}")
    return recorders


def _are_apart(recorders: dict[str, RecorderSettings]) -> dict[str, RecorderSettings]:
    variables = [secret_variable(name, "") for name in recorders]
    if len(set(variables)) < len(variables):
        raise ValueError(f"names of recorders must differ by more than - and _, got {[*recorders]}")
    return recorders


def secret_variable(name: str, what: str) -> str:
    """The variable of the environment with a secret of a recorder: its USER or PASSWORD."""
    return f"PM_APP_RECORDER_{name.upper().replace('-', '_')}_{what}"


Recorders = Annotated[
    dict[Name, RecorderSettings],
    BeforeValidator(_are_recorders),
    AfterValidator(_are_apart),
]
