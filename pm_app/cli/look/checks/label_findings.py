"""Findings of `pm-app check` on labels: failures of each mode, sensors that know the outcome."""

import re
from collections.abc import Iterator
from typing import Final

from pm_app.cli.look.checks.finding import Finding, some_names
from pm_app.cli.look.checks.readings_findings import ReadingsSurvey
from pm_app.cli.look.models import suspected_sensors
from pm_app.errors import NoStore
from pm_app.learning.data.modes import choose_modes
from pm_app.records.readings import Events
from pm_app.settings.plant import Settings
from pm_app.state.events import EventHistory
from pm_app.store import segments_of
from pm_app.wiring import open_views

# What people call columns that were computed from the outcome.
_OUTCOMES: Final = re.compile(
    r"(^|[\W_])(rul|ttf|label|target|fault|failure|failed|remaining|days_to|hours_to|"
    r"time_to|ausfall|stoerung|störung)",
    re.IGNORECASE,
)


def check_modes(settings: Settings, survey: ReadingsSurvey) -> Iterator[Finding]:
    """How many failures of each mode there are, and whether that is enough to tell them apart."""
    if settings.target.kind == "column":
        return
    events = _events(settings)
    if events is None:
        text = "failures of each mode are counted once pm-app score has taken events in"
        yield Finding("ok", "modes", text)
        return
    codes = [(str(code),) for code in events.code[events.kind == "failure"]]
    needed = settings.retraining.minimum_failures
    found = choose_modes(codes, settings.modes, minimum=needed)
    if not codes or not found.text:
        text = f"{len(codes)} failures, told apart by no code"
        advice = "events.code_column says what failed; [modes.NAME] codes put codes together"
        yield Finding("note" if codes else "ok", "modes", text, advice if codes else "")
        return
    few = "too few" in found.text
    advice = "put codes of one cause together under [modes.NAME] codes, or wait for more failures"
    yield Finding("note" if few else "ok", "modes", found.text, advice if few else "")


def check_leakage(settings: Settings, survey: ReadingsSurvey) -> Iterator[Finding]:
    """Sensors that look as if they were computed from the outcome: by name, and by the newest
    version, which asked its data."""
    ignore = "if it is computed from failures, leave it out: readings.ignore"
    named = sorted(
        name for name in survey.sensors if _OUTCOMES.search(name) and name != settings.target.column
    )
    if named:
        yield Finding("note", "leakage", f"called like an outcome: {some_names(named)}", ignore)
    suspects = _suspects(settings)
    if suspects:
        text = f"alone tells the outcome, as the newest version found: {some_names(suspects)}"
        yield Finding("note", "leakage", text, ignore)
    if suspects is None:
        text = "whether a sensor alone tells the outcome is asked at the first retraining"
        yield Finding("ok", "leakage", text)
    elif not suspects and not named:
        yield Finding("ok", "leakage", "no sensor alone tells the outcome")


def _events(settings: Settings) -> Events | None:
    try:
        with open_views(settings) as store:
            rows = store.ledger.ingested_batches("events")
    except NoStore:
        return None
    return EventHistory(settings.state / "events").read(segments_of(rows)) if rows else None


def _suspects(settings: Settings) -> list[str] | None:
    """Of the newest version; None where nothing was learned yet."""
    try:
        with open_views(settings) as store:
            versions = [row for row in store.lineage.versions() if row.kind == "failure"]
    except NoStore:
        return None
    if not versions:
        return None
    return suspected_sensors(max(versions, key=lambda row: row.version).summary)
