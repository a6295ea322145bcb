"""Findings of `pm-app check` on the database: its version, its tables, the rights of this user."""

from collections.abc import Iterator

from pm_app.cli.look.checks.finding import Finding, size_text
from pm_app.cli.look.checks.readings_findings import ReadingsSurvey
from pm_app.errors import NoStore
from pm_app.settings.plant import Settings
from pm_app.store.database.facts import database_facts
from pm_app.wiring import store_url


def check_database(settings: Settings, survey: ReadingsSurvey) -> Iterator[Finding]:
    """What the database says of itself; a plant without one yet has a finding of its own."""
    try:
        facts = database_facts(store_url(settings), folder=settings.folder)
    except NoStore:
        return
    text = f"{facts.version}, {size_text(facts.size_bytes)}" if facts.size_bytes else facts.version
    if facts.revision is None:
        advice = "pm-app run or pm-app score makes the tables"
        yield Finding("note", "database", f"{text}, without tables of pm-app yet", advice)
    elif facts.revision != facts.newest:
        text += f", tables of schema {facts.revision}, this program has {facts.newest}"
        advice = "pm-app run or pm-app score migrates them, after pm-app backup"
        if facts.revision > facts.newest:
            advice = "a newer pm-app was here: install that one, or restore its backup"
        fails = "fails" if facts.revision > facts.newest else "note"
        yield Finding(fails, "database", text, advice)
    else:
        yield Finding("ok", "database", f"{text}, tables of schema {facts.revision}")
    if facts.denied:
        yield Finding("fails", "database", facts.denied, "grant it, as operate.md has it")
