"""Findings of `pm-app check` on the load to come: rows, processor seconds, disk a year."""

from collections.abc import Iterator
from typing import Final

from pm_app.cli.look.checks.disk_findings import folder_bytes
from pm_app.cli.look.checks.finding import Finding, size_text
from pm_app.cli.look.checks.readings_findings import ReadingsSurvey
from pm_app.settings.plant import Settings
from pm_app.times import NS, format_duration

_DAY: Final = 86_400.0
# What taking in and scoring cost beside reading the file (docs: benchmarks, speed).
TIMES_READING: Final = 4.0
# More than this share of one processor leaves little for looks back and retrainings.
MOST_SHARE: Final = 0.25


def check_load(settings: Settings, survey: ReadingsSurvey) -> Iterator[Finding]:
    """What a day and a year will take, by the files that were looked at."""
    if survey.first is None or survey.last is None or not survey.rows:
        return
    days = (survey.last - survey.first) / NS / _DAY
    if days <= 0:
        return
    rows = survey.rows * len(survey.batches) / len(survey.looked) / days
    seconds = TIMES_READING * survey.seconds * rows / survey.rows
    sources = sum(batch.size_bytes for batch in survey.batches)
    taken = format_duration(seconds) if seconds >= 1 else "under a second"
    text = f"about {rows:,.0f} rows and {taken} of one processor a day"
    if days >= 1:
        held = folder_bytes(settings.state)
        text += f"; {size_text(365 * sources / days)} of files"
        text += f" and {size_text(365 * held / days)} of state a year" if held else " a year"
    if seconds > MOST_SHARE * _DAY:
        advice = "a longer features.pane, fewer features.windows, or assets dealt to several plants"
        yield Finding("note", "load", text, advice)
        return
    yield Finding("ok", "load", text)
