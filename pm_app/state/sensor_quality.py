"""Sensor quality on disk: what the newest looks at all assets found, in a file of passing worth.

A plant of many assets is looked at some at a time; the file says how far that has come.
"""

from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter, ValidationError

from pm_app.durable import write_passing
from pm_app.records.sensor_quality import SensorRemark, worst_first

FILE: Final = "sensor_quality.json"


@dataclass(frozen=True)
class SensorCounts:
    """Sensors of an asset: all, judged, and those with a remark, the worst of each counting."""

    sensors: int
    judged: int
    bad: int = 0
    doubtful: int = 0


@dataclass(frozen=True)
class SensorReport:
    """What is wrong with sensors, as far as it was looked at.

    began, looked: when the round that is under way began and when some assets were looked at last,
    nanoseconds UTC. following: from which asset on the round goes on, "" at its end. assets: all
    looked at. remarks: the worst first, cut off where there are very many; clocks: those that the
    arrival of files shows.
    """

    began: int = 0
    looked: int = 0
    following: str = ""
    assets: dict[str, SensorCounts] = field(default_factory=dict)
    remarks: tuple[SensorRemark, ...] = ()
    clocks: tuple[SensorRemark, ...] = ()

    def worst(self) -> list[SensorRemark]:
        """All remarks, the worst first."""
        return worst_first((*self.remarks, *self.clocks))

    def by_grade(self) -> dict[str, int]:
        """How many sensors are good, doubtful, bad, and not judged for want of values."""
        counts = self.assets.values()
        bad, doubtful = sum(each.bad for each in counts), sum(each.doubtful for each in counts)
        sensors, judged = sum(each.sensors for each in counts), sum(each.judged for each in counts)
        good = max(judged - bad - doubtful, 0)
        rest = max(sensors - good - bad - doubtful, 0)
        return {"good": good, "doubtful": doubtful, "bad": bad, "not judged": rest}

    def by_kind(self) -> dict[tuple[str, str], int]:
        """How many remarks there are by kind and grade."""
        return Counter((each.kind, each.grade) for each in (*self.remarks, *self.clocks))


_REPORT = TypeAdapter(SensorReport)


def read_quality(state: Path) -> SensorReport | None:
    """The newest report; None where there is none, or none that can be read."""
    with suppress(OSError, ValidationError):
        return _REPORT.validate_json((state / FILE).read_bytes())
    return None


def write_quality(state: Path, report: SensorReport) -> None:
    """Keep a report until the next one. Raises TransientError."""
    write_passing(state / FILE, _REPORT.dump_json(report))
