"""Every word of the pages, in one place."""

from typing import Final

LEVELS: Final = {"high": "High", "raised": "Raised", "low": "Low", "silent": "No statement"}
ALARMS: Final = {
    "": "none",
    "unacknowledged": "Alarm, unacknowledged",
    "returned": "Returned, unacknowledged",
    "acknowledged": "Acknowledged",
    "shelved": "Shelved",
}
ORDERS: Final = {"risk": "risk", "asset": "asset", "life": "life left", "age": "age of data"}

NAVIGATION: Final = {"/fleet": "Fleet", "/models": "Models", "/data": "Data"}

TEXTS: Final = {
    "fleet": "Fleet",
    "skip": "Skip to the table",
    "zone": "All times in",
    "search": "Asset",
    "search_hint": "part of a name",
    "level": "Risk",
    "all_levels": "all",
    "order": "Sort by",
    "direction": "Direction",
    "descending": "highest first",
    "ascending": "lowest first",
    "apply": "Show",
    "risk": "Risk",
    "risk_within": "Risk within",
    "life": "Life left (90 % interval)",
    "value": "Estimate",
    "trend": "Trend",
    "why": "Driven by",
    "alarm": "Alarm",
    "age": "Age of data",
    "nothing": "No asset fits. Clear the filter to see all.",
    "nothing_yet": "Nothing has been scored yet. pm-app run or pm-app score begins.",
    "previous": "Previous page",
    "next": "Next page",
    "export": "These assets as a file:",
    "updated": "As of",
    "renews": "renews itself every 30 s",
    "back": "Back to the fleet",
    "bad_query": "This address asks for something that is not there",
    "not_found": "There is no such page",
    "no_store": "The store cannot be read now",
    "unexpected": "Something went wrong; the log of pm-app serve tells what",
    "later": "Later attempts may succeed: this page can be reloaded.",
}
