"""How a prediction is said to a person, the same on a terminal and on a page."""

from typing import Final

from pm_app.times import format_duration

# A life this near the cap cannot be told from a longer one.
BEYOND: Final = 0.98
STATUS_WORDS: Final = {
    "scored": "",
    "machine_off": "machine off",
    "stale_input": "readings stand still",
    "sensor_missing": "key sensors missing",
    "out_of_distribution": "unlike anything learned",
    "not_enough_history": "too new to say",
    "no_model": "no model yet",
}


def percent_text(risk: float | None) -> str:
    """A risk as people say it; never a certainty the model cannot have."""
    if risk is None:
        return "-"
    if risk < 0.01:
        return "<1 %"
    return f"{risk:.0%}".replace("%", " %") if risk < 0.995 else ">99 %"


def life_text(rul: float | None, low: float | None, high: float | None, *, cap_hours: float) -> str:
    """The life left with its interval, all in hours: "7.2 h (<1 h to 15 h)", "> 30 d"."""
    if rul is None or low is None or high is None:
        return "-"
    most = f"> {format_duration(cap_hours * 3600)}"
    if low >= BEYOND * cap_hours:
        return most
    upper = most if high >= BEYOND * cap_hours else _hours(high)
    return f"{_hours(rul)} ({_hours(low)} to {upper})"


def waits_text(version: int) -> str:
    """How the reason of a retraining ends whose version waits for a person."""
    return f"waits for pm-app promote {version}"


def age_text(seconds: float) -> str:
    """How old something is, "now" within a minute."""
    return "now" if seconds < 60 else format_duration(seconds)


def _hours(hours: float) -> str:
    return "<1 h" if hours < 1 else format_duration(hours * 3600)
