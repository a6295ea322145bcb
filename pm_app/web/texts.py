"""Words for levels and alarms that several pages and the API share."""

from typing import Final

LEVELS: Final = {
    "high": "High",
    "raised": "Raised",
    "unusual": "Unusual",
    "low": "Low",
    "usual": "As usual",
    "silent": "No statement",
    "outdated": "Outdated",
}
ALARMS: Final = {
    "": "none",
    "unacknowledged": "Alarm, unacknowledged",
    "returned": "Returned, unacknowledged",
    "acknowledged": "Acknowledged",
    "shelved": "Shelved",
}
# What an alarm of an asset is about.
ALARM_KINDS: Final = {"risk": "Risk", "deviation": "Deviation"}
ALARM_LISTS: Final = {
    "open": ("Open", ("unacknowledged", "returned", "acknowledged", "shelved")),
    "unacknowledged": ("Unacknowledged", ("unacknowledged", "returned")),
    "acknowledged": ("Acknowledged", ("acknowledged",)),
    "shelved": ("Shelved", ("shelved",)),
    "cleared": ("Cleared", ("cleared",)),
}
