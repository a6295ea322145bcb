"""Words for levels and alarms that several pages and the API share."""

from typing import Final

LEVELS: Final = {
    "high": "High",
    "raised": "Raised",
    "low": "Low",
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
ALARM_LISTS: Final = {
    "open": ("Open", ("unacknowledged", "returned", "acknowledged", "shelved")),
    "unacknowledged": ("Unacknowledged", ("unacknowledged", "returned")),
    "acknowledged": ("Acknowledged", ("acknowledged",)),
    "shelved": ("Shelved", ("shelved",)),
    "cleared": ("Cleared", ("cleared",)),
}
