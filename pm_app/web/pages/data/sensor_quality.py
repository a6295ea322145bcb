"""Sensor quality on the Data page: grades in figures, and a table of remarks, the worst first."""

from typing import Any, Final

from pm_app.records.sensor_quality import QualityKind
from pm_app.state.sensor_quality import SensorReport, read_quality
from pm_app.times import to_moment
from pm_app.web.context import StateFolder
from pm_app.web.timed_cache import TimedCache

REMARKS_SHOWN: Final = 50
KINDS: Final[dict[QualityKind, str]] = {
    "stuck": "stuck",
    "dropped": "no values",
    "limits": "beyond limits",
    "clock": "clock off",
    "step": "changed at once",
    "noisy": "noisy",
}


class QualityFacts:
    """What the newest report says; a report of many assets is read once for all who ask."""

    def __init__(self, folder: StateFolder) -> None:
        self._state = folder.settings.state
        self._report: TimedCache[SensorReport | None] = TimedCache()

    def newest(self) -> dict[str, Any]:
        """What the template shows."""
        report = self._report.get("", lambda: read_quality(self._state))
        if report is None:
            return {"looked": None}
        worst = report.worst()
        return {
            "looked": to_moment(report.looked),
            "under_way": bool(report.following),
            "assets": len(report.assets),
            "grades": report.by_grade(),
            "remarks": [(each, to_moment(each.since)) for each in worst[:REMARKS_SHOWN]],
            "total": len(worst),
            "kinds": KINDS,
        }
