"""Sensors of plant.toml: tables [sensors."COLUMN"] with display name, unit and physical limits."""

from collections.abc import Collection, Mapping
from math import inf, isfinite
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from pm_app.settings.sections import Section
from pm_app.settings.values import Name, Text
from pm_app.wording import nearest_names

_ENDS: Final = ("low", "high")
_LIKE: Final = "{ low = 0, high = 16 }, and one of both may be left out"


def _are_limits(limits: object) -> object:
    if not isinstance(limits, dict):
        raise ValueError(f"limits are a table like {_LIKE}; got {limits!r}")
    for end, value in limits.items():
        if end not in _ENDS:
            raise ValueError(f"limits have the ends low and high, like {_LIKE}; got {end!r}")
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not isfinite(value):
            raise ValueError(f"{end} must be a number, got {value!r}; leave it out where none is")
    return limits


def _low_is_below_high(limits: dict[str, float]) -> dict[str, float]:
    if len(limits) == len(_ENDS) and limits["low"] >= limits["high"]:
        raise ValueError(f"low must lie below high, got {limits['low']:g} and {limits['high']:g}")
    return limits


Limits = Annotated[
    dict[str, float],
    BeforeValidator(_are_limits),
    AfterValidator(_low_is_below_high),
    WithJsonSchema({"type": "string", "format": "table of low and high"}),
]


class SensorSettings(Section):
    """A sensor by the name of its column: [sensors."Druck [bar]"]. What no sensor is called is told
    by pm-app check, with the nearest name there is.
    """

    name: Text = Field("", description="how people call it", examples=["Discharge pressure"])
    unit: Text = Field("", description="what it is measured in", examples=["bar"])
    limits: Limits = Field(
        {},
        description="what it can read at all; a sensor that reads beyond is in doubt, and not its "
        "machine; one of both may be left out",
        examples=[{"low": 0, "high": 16}],
    )

    @property
    def low(self) -> float:
        """The lowest value that it can read; -inf where nobody has said."""
        return self.limits.get("low", -inf)

    @property
    def high(self) -> float:
        """The highest value that it can read; inf where nobody has said."""
        return self.limits.get("high", inf)


def sensor_text(sensor: str, sensors: Mapping[str, SensorSettings]) -> str:
    """A sensor as people are shown it: its display name, else its column, with its unit.

    A column that names the unit itself, like "Druck [bar]", does not get it twice.
    """
    settings = sensors.get(sensor)
    if settings is None:
        return sensor
    name = settings.name or sensor
    unit = settings.unit
    return name if not unit or unit in name else f"{name} [{unit}]"


def unknown_sensors(named: Collection[str], sensors: Collection[str]) -> list[str]:
    """What of plant.toml is no sensor, each in words with the nearest name there is."""
    return [
        f"[sensors.{_quoted(name)}] names no sensor; {nearest_names(name, sensors)}"
        for name in named
        if name not in sensors
    ]


def _quoted(name: str) -> str:
    plain = name.isascii() and name.replace("-", "").replace("_", "").isalnum()
    return name if plain else f'"{name}"'


def _are_tables(sensors: Any) -> Any:
    for name, settings in sensors.items() if isinstance(sensors, dict) else ():
        if not isinstance(settings, dict | SensorSettings):
            raise ValueError(
                f"{name!r} stands for no sensor; "
                f"a sensor is a table, like [sensors.{_quoted(name)}]"
            )
    return sensors


Sensors = Annotated[dict[Name, SensorSettings], BeforeValidator(_are_tables)]
