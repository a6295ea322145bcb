"""Sensors behind a prediction as data: what the table's texts name, with shares as numbers."""

import json
import re
from dataclasses import dataclass
from typing import Any, Final, Protocol

_SHARE: Final = re.compile(r"(?P<sensor>.+?) (?P<percent>\d+) %(?:, |$)")
_DEVIATION: Final = re.compile(
    r"(?P<sensor>.+?) (?P<deviation>[+\-−][\d.e+\-]+) \((?P<percent>\d+) %\)(?:, |$)"
)


@dataclass(frozen=True)
class SensorShare:
    """A sensor and its share of what raises the risk, in [0, 1], to the percent."""

    sensor: str
    share: float


@dataclass(frozen=True)
class SensorDeviation:
    """A sensor, how far it is from what is usual, and its share of the deviation in [0, 1]."""

    sensor: str
    deviation: float
    share: float


class NamesSensors(Protocol):
    """A row of predictions."""

    @property
    def top_sensors(self) -> str:
        """Text."""
        ...

    @property
    def deviation_sensors(self) -> str | None:
        """Text."""
        ...

    @property
    def mode_risks(self) -> str | None:
        """JSON."""
        ...

    @property
    def mode_sensors(self) -> str | None:
        """JSON."""
        ...


def sensor_shares(text: str) -> tuple[SensorShare, ...]:
    """What "vibration 62 %, load 21 %" says. Names may hold blanks and commas."""
    return tuple(
        SensorShare(found["sensor"], int(found["percent"]) / 100) for found in _SHARE.finditer(text)
    )


def sensor_deviations(text: str) -> tuple[SensorDeviation, ...]:
    """What "bearing_temp +9.1 (71 %), load -2 (20 %)" says."""
    return tuple(
        SensorDeviation(
            found["sensor"],
            float(found["deviation"].replace("−", "-")),
            int(found["percent"]) / 100,
        )
        for found in _DEVIATION.finditer(text)
    )


def as_data(row: NamesSensors) -> dict[str, Any]:
    """The fields that say as data what texts of a row say."""
    by_mode: dict[str, str] = json.loads(row.mode_sensors or "{}")
    return {
        "sensors": sensor_shares(row.top_sensors),
        "sensors_of_deviation": sensor_deviations(row.deviation_sensors or ""),
        "sensors_by_mode": {mode: sensor_shares(text) for mode, text in by_mode.items()},
        "risks_by_mode": json.loads(row.mode_risks or "{}"),
    }
