"""Findings of `pm-app check`: schedule, store, readings, events, regimes."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from pm_app.daemon.schedule import make_cron
from pm_app.errors import NoStore, PmAppError
from pm_app.jobs.ingest.left_files import count_left
from pm_app.jobs.retrain.dataset import search_regimes
from pm_app.ports import EventsSource, ReadingsSource
from pm_app.records.readings import Batch
from pm_app.settings.plant import Settings
from pm_app.settings.web import NOBODY_SIGNS_IN
from pm_app.state.panes import History
from pm_app.store import segments_of
from pm_app.times import to_nanoseconds
from pm_app.wiring import events_source, open_views, readings_source

# Enough files to see a pattern, few enough to be done in a moment.
FILES_LOOKED_AT = 5
MOST_MISSING = 0.5


@dataclass(frozen=True)
class Finding:
    """One thing looked at. verdict: "ok", "note" (works, but look) or "fails"."""

    verdict: str
    subject: str
    text: str


def run_checks(settings: Settings) -> list[Finding]:
    """Findings on schedule, store, readings, events, regimes and pages, in that order.

    Only looks: it makes no file and no table, and changes none.
    """
    checks: tuple[tuple[str, Callable[[Settings], Iterator[Finding]]], ...] = (
        ("schedule", _check_schedule),
        ("store", _check_store),
        ("readings", _check_readings),
        ("events", _check_events),
        ("regimes", _check_regimes),
        ("pages", _check_pages),
    )
    findings = [Finding("ok", "settings", f"{settings.plant.name}: every key is known and valid")]
    for subject, look in checks:
        try:
            findings += look(settings)
        except PmAppError as error:
            findings.append(Finding("fails", subject, str(error)))
    return findings


def _check_schedule(settings: Settings) -> Iterator[Finding]:
    make_cron(settings)
    text = f"retraining at {settings.retraining.cron!r}, {settings.plant.timezone}"
    yield Finding("ok", "schedule", text)


def _check_store(settings: Settings) -> Iterator[Finding]:
    try:
        with open_views(settings) as store:
            batches = store.ledger.count("readings")
            yield Finding("ok", "store", f"open; {batches} files of readings in the ledger")
    except NoStore as error:
        yield Finding("note", "store", str(error))


def _check_readings(settings: Settings) -> Iterator[Finding]:
    source = readings_source(settings)
    for left in count_left("readings", source):
        yield Finding("note", "readings", left.words)
    batches = _by_name(source)
    if not batches:
        text = f"no {source.contents} in {settings.readings.uri!r} yet"
        yield Finding("note", "readings", text)
        return
    yield Finding("ok", "readings", f"{len(batches)} files in {settings.readings.uri!r}")
    for batch in batches[-FILES_LOOKED_AT:]:
        try:
            columns = len(source.describe(batch).columns)
            rows, rejected, missing = 0, 0, 0.0
            sensors: tuple[str, ...] = ()
            for chunk in source.read(batch):
                rows += len(chunk.readings.time)
                rejected += sum(rejection.rows for rejection in chunk.rejections)
                sensors = chunk.readings.sensors
                missing += float((chunk.readings.values != chunk.readings.values).sum())
        except PmAppError as error:
            yield Finding("fails", "readings", f"would be quarantined: {error}")
            continue
        share = missing / max(rows * len(sensors), 1)
        text = f"{batch.name}: {rows:,} rows, {len(sensors)} sensors of {columns} columns"
        text += f", {share:.0%} values missing"
        if rejected:
            text += f", {rejected:,} rows would be rejected"
        verdict = "note" if rejected or share > MOST_MISSING else "ok"
        yield Finding(verdict, "readings", text)


def _by_name(source: ReadingsSource | EventsSource) -> list[Batch]:
    return sorted(source.list(), key=lambda batch: batch.name)


def _check_events(settings: Settings) -> Iterator[Finding]:
    if settings.target.kind == "column":
        return
    source = events_source(settings)
    for left in count_left("events", source):
        yield Finding("note", "events", left.words)
    failures, refused = 0, 0
    for batch in _by_name(source):
        try:
            events, reasons = source.read(batch)
        except PmAppError as error:
            yield Finding("fails", "events", f"would be quarantined: {error}")
            continue
        failures += int((events.kind == "failure").sum())
        refused += len(reasons)
    needed = settings.retraining.minimum_failures
    text = f"{failures} failures in {settings.events.uri!r}, {needed} needed to learn"
    if refused:
        text += f"; {refused} rows would be refused"
    verdict = "ok" if failures >= needed and not refused else "note"
    yield Finding(verdict, "events", text)


def _check_regimes(settings: Settings) -> Iterator[Finding]:
    """What operating regimes the readings taken in so far show."""
    columns = settings.features.regime_columns
    if columns == () or (columns is None and settings.target.kind == "column"):
        return
    try:
        with open_views(settings) as store:
            rows = store.ledger.ingested_batches("readings")
    except NoStore:
        return
    segments = segments_of(rows)
    if not segments:
        return
    history = History(settings.state / "panes", pane_ns=settings.features.pane_ns)
    now = to_nanoseconds(datetime.now(tz=UTC))
    search = search_regimes(history, segments, settings, as_of_ns=now)
    asked_in_vain = columns is not None and search.regimes is None
    yield Finding("note" if asked_in_vain else "ok", "regimes", search.reason)


def _check_pages(settings: Settings) -> Iterator[Finding]:
    """Whether anyone gets in to the pages."""
    if settings.web.open:
        text = f"whoever reaches {settings.web.listen} may look without signing in (web.open)"
        yield Finding("ok", "pages", text)
        return
    try:
        with open_views(settings) as store:
            anyone = bool(settings.web.proxy_header) or store.users.any_enabled()
    except NoStore:
        anyone = False
    yield (
        Finding("ok", "pages", "people sign in")
        if anyone
        else Finding("note", "pages", NOBODY_SIGNS_IN)
    )
