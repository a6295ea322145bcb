"""Texts that several pages share, and those of errors; each page's own lie beside it."""

from typing import Final

LEVELS: Final = {"high": "High", "raised": "Raised", "low": "Low", "silent": "No statement"}
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
TEXTS: Final = {
    "skip": "Skip to the table",
    "zone": "All times in",
    "search": "Asset",
    "search_hint": "part of a name",
    "apply": "Show",
    "risk": "Risk",
    "risk_within": "Risk within",
    "life": "Life left (90 % interval)",
    "why": "Driven by",
    "previous": "Previous page",
    "next": "Next page",
    "updated": "As of",
    "back": "Back to the fleet",
    "bad_query": "This address asks for something that is not there",
    "not_found": "There is no such page",
    "no_store": "The store cannot be read now",
    "later": "Later attempts may succeed: this page can be reloaded.",
    "needs_token": "Show a token: Authorization: Bearer TOKEN (pm-app users tokens --add NAME)",
    "sign_out": "Sign out",
    "not_allowed": "This is not yours to do",
    "needs_role": "It takes the role",
    "needs_sign_in": "Nobody may change anything before there are users: pm-app users add NAME",
    "stale_form": "This form is from before you signed in: go back, reload, and send it again.",
    "bad_form": "This form cannot be read.",
    "localhost_only": "Nobody may sign in yet, so this server answers to localhost only.",
    "not_done": "This was not done",
    "log": "What was done",
    "who": "Who",
    "what": "What",
    "when": "When",
}
