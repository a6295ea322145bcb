"""Texts of the asset page."""

from typing import Final

EVENTS: Final = {
    "failure": "Failure",
    "maintenance": "Maintenance",
    "error": "Error",
    "inspection": "Inspection",
}
VERDICTS: Final = {
    "confirmed": "confirmed",
    "not-confirmed": "not confirmed",
    "unclear": "unclear",
}
ASSET: Final = {
    "fleet": "All assets",
    "within": "within",
    "risk": "risk",
    "from": "From",
    "to": "to",
    "no_risk": "No risk was told.",
    "threshold": "An alarm from",
    "risk_title": "Risk over time",
    "risk_note": (
        "The level line is where an alarm begins; marks from top to bottom are failures (red) and "
        "maintenance (green, dotted)."
    ),
    "life": "life left",
    "life_left": "Life left",
    "life_title": "Life left over time, in days",
    "life_note": "The shaded band is the 90 % interval.",
    "value": "estimate",
    "value_title": "Estimate over time",
    "drivers_title": "What drove the risk",
    "drivers_note": (
        "The stronger the colour, the larger a sensor's share at the riskiest moment of a "
        "stretch of time."
    ),
    "sensor_title": "mean of each pane",
    "usual": "Usual:",
    "no_usual": "Too little time at low risk in this range to say what is usual.",
    "usual_note": (
        "Means of panes; the band is usual: the middle 90 % of this asset's own panes in this "
        "range whose risk at the longest horizon was below 20 %."
    ),
    "range": "Range",
    "up_to": "up to",
    "now_title": "What drives it now",
    "nobody": "Nothing raises the risk above that of a healthy machine.",
    "events_title": "Failures, maintenance and other events",
    "no_events": "No event of this asset is known in this range.",
    "events_elsewhere": "Events lie in the state folder, which is not on this machine.",
    "alarms_title": "Alarms and what was found",
    "no_alarms": "It never had an alarm.",
    "sensors_title": "Sensors",
    "all_sensors": "Show all sensors",
    "fewer_sensors": "Show the leading sensors only",
    "no_sensors": "Nothing was read of this asset in this range.",
    "table_title": "Predictions in this range",
    "no_rows": "Nothing was said of this asset in this range.",
    "export": "All of them as a file:",
    "unknown": "There is no such asset",
    "unknown_words": "No reading of this name has come, and nothing was said of it:",
    "nothing_said": "Nothing was said of this asset yet.",
    "said_by": "said by version",
    "data_age": "data {} old",
    "data_new": "data of this minute",
    "at": "At",
    "status": "Status",
    "horizon": "Horizon",
    "revision": "Revision",
    "version": "Version",
    "kind": "Kind",
    "code": "Code",
    "state": "State",
    "raised": "Raised",
    "verdict": "Found",
    "by": "by",
    "reason": "Reason",
    "attention": "Attention",
}
