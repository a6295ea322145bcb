"""Wording of predictions, of reallocation and of addresses, the same on a terminal and a page."""

import difflib
import json
import re
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from pm_app.times import format_duration

# A life this near the cap cannot be told from a longer one.
BEYOND: Final = 0.98
# A risk below is told as less than this, and nothing drives it.
LEAST_RISK: Final = 0.01
# Of many features one or the other always lies a little beyond.
LEAST_EXTRAPOLATED: Final = 0.05
STATUS_WORDS: Final = {
    "scored": "",
    "watched": "watched, no model yet",
    "machine_off": "machine off",
    "stale_input": "input stands still",
    "sensor_missing": "key sensors missing",
    "out_of_distribution": "unlike anything learned",
    "not_enough_history": "too new to say",
    "no_model": "no model yet",
}
# What a spreadsheet takes for the beginning of a formula, in full width as well.
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\n", "＝", "＋", "－", "＠")

# Characters that nobody sees: controls, marks and overrides of direction, fillers, tags; joiners
# and selectors too where no script or picture is there that needs them.
_UNSEEN: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f"
    "\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff0-\ufffb"
    "\U000e0000-\U000e0fff]"
    "|(?<![^\x00-\x7f])[\u200c\u200d\ufe00-\ufe0f]|[\u200c\u200d](?![^\x00-\x7f])"
)

# Addresses whose host is one; what stands there for Slack, Pushbullet and the like is a token.
_WITH_HOSTS: Final = frozenset(
    f"{scheme}{secure}"
    for scheme in ("http", "json", "xml", "form", "mailto", "mqtt")
    for secure in ("", "s")
)
# Where data lies: a person has to see which bucket or table is meant.
_PLACES: Final = ("s3", "gs", "abfs", "abfss", "az", "file", "hdfs", "sqlite", "postgresql")
_ADDRESS: Final = re.compile(r"(?<![\w+.-])([A-Za-z][\w+.-]{0,30})://((?:[^\n'\"]*@)?)([^\s'\"]+)")


def address_text(address: str) -> str:
    """An address without what may be secret: its kind and its host."""
    try:
        parts = urlsplit(address)
        host = parts.hostname or ""
    except ValueError:
        return "an address that cannot be read"
    shown = host if parts.scheme in _WITH_HOSTS and "@" not in host else ""
    return f"{parts.scheme}://{shown or '…'}"


def redacted(text: str) -> str:
    """A text whose addresses show no name, password or query, and of those that are no place of
    data, such as webhooks, only what `address_text` shows."""
    return _ADDRESS.sub(_redacted_address, text)


def _redacted_address(found: re.Match[str]) -> str:
    scheme, keys, rest = found.groups()
    if scheme.partition("+")[0].lower() not in _PLACES:
        return address_text(f"{scheme}://{rest}")
    place, query, _ = rest.partition("?")
    return f"{scheme}://{'…@' if keys else ''}{place}{'?…' if query else ''}"


# What an alarm of a deviation says, before any failure is known.
UNUSUAL: Final = "does not behave as it used to"
# Alarms of the plant by kind, as people call them.
PLANT_ALARMS: Final = {
    "data": "Readings missing",
    "readings": "No new readings",
    "assets": "Silent assets",
    "events": "No new events",
    "scores": "Nothing is scored",
    "retraining": "No retraining",
    "approval": "A version waits for a person",
}


def percent_text(risk: float | None) -> str:
    """A risk as people say it; never a certainty the model cannot have."""
    if risk is None:
        return "-"
    if risk < LEAST_RISK:
        return "<1 %"
    return f"{risk:.0%}".replace("%", " %") if risk < 0.995 else ">99 %"


def deviation_text(deviation: float | None) -> str:
    """A deviation as people say it: two digits, 1.0 being the level of alarms."""
    return "-" if deviation is None else f"{deviation:.1f}"


def drivers_text(top_sensors: str, risk: float | None) -> str:
    """What drives a risk as the table has it; nothing where the risk is next to none.

    Versions of before named sensors for every risk, however small."""
    return "" if risk is not None and risk < LEAST_RISK else top_sensors


def mode_text(mode: str | None, risk: float | None) -> str:
    """The failure mode that is likeliest, as the table has it; nothing where the risk is next to
    none."""
    return drivers_text(mode or "", risk)


def mode_risks_text(mode_risks: str | None) -> str:
    """Failure modes with the risk of each, the riskiest first: "bearing 31 %, seal 4 %".

    mode_risks: JSON as the table has it. Modes whose risk is next to none are left out, but for
    the likeliest.
    """
    ranked = sorted(json.loads(mode_risks or "{}").items(), key=lambda item: -item[1])
    shown = [item for item in ranked[1:] if item[1] >= LEAST_RISK]
    return ", ".join(f"{mode} {percent_text(risk)}" for mode, risk in [*ranked[:1], *shown])


def alarm_mode_text(mode: str | None, likeliest: str | None) -> str:
    """The failure mode an alarm was raised with, and the one that is likelier now."""
    if mode is None or likeliest is None or mode == likeliest:
        return mode or likeliest or ""
    return f"{likeliest} now, {mode} when it was raised"


def extrapolated_text(share: float | None) -> str:
    """How much of what a risk rests on lies beyond what was learned; "" where next to nothing."""
    if share is None or share < LEAST_EXTRAPOLATED:
        return ""
    return f"{share:.0%} of what this rests on lies beyond what was learned".replace("%", " %", 1)


def life_text(rul: float | None, low: float | None, high: float | None, *, cap_hours: float) -> str:
    """The life left with its interval, all in hours: "7.2 h (<1 h to 15 h)", "> 30 d"."""
    if rul is None or low is None or high is None:
        return "-"
    most = f"> {format_duration(cap_hours * 3600)}"
    if low >= BEYOND * cap_hours:
        return most
    upper = most if high >= BEYOND * cap_hours else _hours(high)
    return f"{_hours(rul)} ({_hours(low)} to {upper})"


def unbroken_shares(top_sensors: str) -> str:
    """Sensors with their shares, each share on the line of its figure."""
    return top_sensors.replace(" %", "\u00a0%")


def waits_text(version: int) -> str:
    """How the reason of a retraining ends whose version waits for a person."""
    return f"waits for pm-app promote {version}"


def time_text(moment: datetime, zone: str, *, seconds: bool = False) -> str:
    """A time by the clock of a zone, with its offset: "2026-01-31 14:00+01:00"."""
    local = moment.astimezone(ZoneInfo(zone))
    text = local.isoformat(" ", timespec="seconds" if seconds else "minutes")
    return text.removesuffix("+00:00") + "Z" if zone == "UTC" else text


def nearest_names(name: str, names: Collection[str]) -> str:
    """The names of assets or sensors that are most like one that is none, whatever their case;
    else the first few."""
    if not names:
        return "no readings of any have been read yet: pm-app score reads them"
    by_case = {each.casefold(): each for each in sorted(names, reverse=True)}
    close = difflib.get_close_matches(name.casefold(), by_case, n=3, cutoff=0.6)
    if close:
        nearest = " or ".join(repr(by_case[name]) for name in close)
        return f"there are {len(by_case):,}, did you mean {nearest}?"
    sorted_names = sorted(by_case.values())
    more = ", ..." if len(names) > 5 else ""
    return f"there are {len(by_case):,}: {', '.join(sorted_names[:5])}{more}"


def age_text(seconds: float) -> str:
    """How old something is, "now" within a minute."""
    return "now" if seconds < 60 else format_duration(seconds)


def outdated_text(seconds: float, horizon_hours: float) -> str:
    """What a risk is worth whose horizon has passed; seconds: since its cutoff."""
    age = format_duration(seconds)
    return f"said {age} ago for the {horizon_hours:g} h after it: no longer about now"


def _hours(hours: float) -> str:
    return "<1 h" if hours < 1 else format_duration(hours * 3600)


# Weighted tau at which two rankings are the same where it counts, and at which they have
# something in common; a word for a reader, nothing is decided by it.
AGREES = 0.7
PARTLY_AGREES = 0.3
# A smaller share of units is none: what changed then is penalties.
NO_UNITS = 0.001


def revision_text(revision: Mapping[str, Any]) -> str:
    """What reallocation within training came to, by a version's `Revision` as in its summary."""
    agreement = f"the network {_agreement(revision['tau'])} the forest (tau {revision['tau']:.2f})"
    if not revision["epochs"]:
        return f"asked again in training, {agreement}; the plan stays as it was"
    return f"asked again after {revision['epochs']} epochs, {agreement}; {_outcome(revision)}"


def renewals_text(renewed: Mapping[str, Any]) -> str:
    """Lives that renewals ended and what that leaves open, by a version's `RenewedLives` as in its
    summary."""
    ended, lives, hours = renewed["renewed"], renewed["lives"], renewed["horizons_hours"][-1]
    failing, least, most = (f"{renewed[name][-1]:.2%}" for name in ("failing", "least", "most"))
    text = (
        f"{ended} of {lives} lives ({ended / lives:.0%}) ended with a renewal. Of the rows "
        f"whose outcome is known, {failing} fail within {hours:g} h: {least} of all if none of "
        f"those that were renewed before had failed, {most} if all had"
    )
    return text.replace("%", " %")


def _agreement(tau: float) -> str:
    if tau >= AGREES:
        return "agrees with"
    return "partly agrees with" if tau >= PARTLY_AGREES else "does not agree with"


def _outcome(revision: Mapping[str, Any]) -> str:
    before, after = revision["loss_before"], revision["loss_after"]
    if revision["kept"]:
        verdict, fate = "helped", "was kept"
    elif after < before:
        verdict, fate = "helped by no more than noise", "was not kept"
    else:
        verdict, fate = "did not help", "was not kept"
    losses = f"validation loss {after:.3f} against {before:.3f}"
    return f"{_reallocation_text(revision['moved_units'])} {verdict} ({losses}) and {fate}"


def _reallocation_text(moved: float) -> str:
    if moved < NO_UNITS:
        return "weighing penalties anew"
    share = "less than 1" if moved < 0.01 else f"{100 * moved:.0f}"
    return f"dealing {share} % of the units anew"


def spreadsheet_cell(value: object) -> object:
    """A value for CSV: text that a spreadsheet would run as a formula begins with ', numbers stay.

    Names of assets come from files, and may be anyone's.
    """
    if not isinstance(value, str):
        return value
    # csv does not quote a lone carriage return, and readers begin a row at it.
    text = value.replace("\r", "\n")
    return f"'{text}" if text.startswith(_FORMULA) else text


def semicolon_cell(value: object) -> object:
    """As `spreadsheet_cell`, for spreadsheets whose decimal sign is a comma; times without zone.

    0.25 becomes 0,25, and a time 2026-01-31 14:00:00.
    """
    if isinstance(value, float):
        return str(value).replace(".", ",")
    if isinstance(value, datetime):
        # Whatever follows the seconds would make it text to a spreadsheet.
        return value.strftime("%Y-%m-%d %H:%M:%S")
    return spreadsheet_cell(value)


def nothing_happened(words: str) -> bool:
    """Whether an outcome counts things and all counts are 0: a look that found nothing new."""
    return set(re.findall(r"\d+", words)) == {"0"}


def holds_unseen(text: str) -> bool:
    """Whether a text holds characters that nobody sees: two names may then look the same."""
    return not text.isascii() and _UNSEEN.search(text) is not None


def visible_text(text: str) -> str:
    """The same with characters that nobody sees written as escapes, such as \\u200b."""
    if text.isascii() and text.isprintable():
        return text
    return _UNSEEN.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def announces_texts(announces: Any) -> dict[str, str]:
    """Failure modes that each sensor announces, with its share of what tells them, by sensor; empty
    where a version tells no modes apart."""
    return {
        sensor: ", ".join(f"{mode} {percent_text(share)}" for mode, share in shares.items())
        for sensor, shares in (announces or {}).items()
    }
