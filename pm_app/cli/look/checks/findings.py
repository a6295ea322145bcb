"""Findings of `pm-app check`: schedule, store, readings, events, sensors, regimes, renewals."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from pm_app.cli.look.checks.clock_findings import check_clock
from pm_app.cli.look.checks.database_findings import check_database
from pm_app.cli.look.checks.disk_findings import check_file_systems, check_fsync, check_space
from pm_app.cli.look.checks.events_findings import check_events
from pm_app.cli.look.checks.finding import Finding
from pm_app.cli.look.checks.label_findings import check_leakage, check_modes
from pm_app.cli.look.checks.load_findings import check_load
from pm_app.cli.look.checks.oidc_findings import check_oidc
from pm_app.cli.look.checks.readings_findings import ReadingsSurvey, check_readings
from pm_app.cli.look.checks.sensor_findings import check_sensors
from pm_app.daemon.schedule import make_cron
from pm_app.errors import NoStore, PmAppError
from pm_app.jobs.normality.unlabelled_faults import unlabelled_faults_text
from pm_app.jobs.plant import first_seen_ns
from pm_app.jobs.retrain.dataset import DatasetSource, search_regimes
from pm_app.jobs.retrain.renewals import renewal_evidence
from pm_app.jobs.score.champion import load_recorded
from pm_app.settings.plant import Settings
from pm_app.settings.web import NOBODY_SIGNS_IN
from pm_app.state.events import EventHistory
from pm_app.state.panes import History
from pm_app.state.registry import Registry
from pm_app.store import Source, segments_of
from pm_app.times import to_nanoseconds
from pm_app.wiring import fetch_sources, open_views

# Of a database: enough to see how its rows are understood.
ROWS_ASKED: Final = 50_000


def run_checks(settings: Settings) -> list[Finding]:
    """Findings of CHECKS in their order. Only looks: it makes no file and no table that stays."""
    findings = [Finding("ok", "settings", f"{settings.plant.name}: every key is known and valid")]
    places: dict[Source, str] = {}
    with TemporaryDirectory(prefix="pm-app-check-") as scratch:
        try:
            places = fetch_sources(settings, into=Path(scratch), most_rows=ROWS_ASKED)
        except PmAppError as error:
            findings.append(Finding("fails", "sources", str(error)))
        given = {"readings": settings.readings.uri, "events": settings.events.uri}
        for finding in _run_checks(_sampled(settings, places)):
            text = finding.text
            for source, place in places.items():
                text = text.replace(place, given[source])
            findings.append(replace(finding, text=text))
    return findings


def _sampled(settings: Settings, places: dict[Source, str]) -> Settings:
    """The settings for samples of what databases have."""
    sections = {"readings": settings.readings, "events": settings.events}
    changed: dict[str, Any] = {
        name: sections[name].model_copy(update={"uri": place, "format": "sql"})
        for name, place in places.items()
    }
    return settings.model_copy(update=changed)


def _run_checks(settings: Settings) -> list[Finding]:
    survey = ReadingsSurvey()
    findings: list[Finding] = []
    for check in CHECKS:
        try:
            findings += check.look(settings, survey)
        except PmAppError as error:
            findings.append(Finding("fails", check.subject, str(error)))
        except OSError as error:
            words = f"{error.filename}: {error.strerror}" if error.filename else str(error)
            findings.append(Finding("fails", check.subject, words))
    return findings


def _check_schedule(settings: Settings, survey: ReadingsSurvey) -> Iterator[Finding]:
    make_cron(settings)
    text = f"retraining at {settings.retraining.cron!r}, {settings.plant.timezone}"
    yield Finding("ok", "schedule", text)


def _check_store(settings: Settings, survey: ReadingsSurvey) -> Iterator[Finding]:
    try:
        with open_views(settings) as store:
            batches = store.ledger.count("readings")
            yield Finding("ok", "store", f"open; {batches} files of readings in the ledger")
            faults = unlabelled_faults_text(store.lineage)
            if faults:
                yield Finding("note", "normal behaviour", faults)
    except NoStore as error:
        yield Finding("note", "store", str(error))


def _check_regimes(settings: Settings, survey: ReadingsSurvey) -> Iterator[Finding]:
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


def _check_renewals(settings: Settings, survey: ReadingsSurvey) -> Iterator[Finding]:
    """What readings say of maintenance codes; that needs readings and events taken in."""
    if settings.target.kind == "column":
        return
    try:
        with open_views(settings) as store:
            rows = store.ledger.ingested_batches("readings")
            events = segments_of(store.ledger.ingested_batches("events"))
            indices = store.left_columns.indices()
            first_seen, number = first_seen_ns(store.ledger), store.lineage.champion()
            registry = Registry(settings.state / "versions")
            champion = load_recorded(store.lineage, registry, number) if number else None
    except NoStore:
        rows = []
    if not rows:
        text = "whether maintenance codes renew is asked of what pm-app score has taken in: nothing"
        yield Finding("ok", "renewals", text)
        return
    source = DatasetSource(
        History(settings.state / "panes", pane_ns=settings.features.pane_ns),
        segments_of(rows),
        EventHistory(settings.state / "events").read(events),
        first_seen,
        indices=indices,
    )
    now = to_nanoseconds(datetime.now(tz=UTC))
    for each in renewal_evidence(source, settings, as_of_ns=now, champion=champion):
        yield Finding("note" if each.returns else "ok", "renewals", each.text)


def _check_pages(settings: Settings, survey: ReadingsSurvey) -> Iterator[Finding]:
    """Whether anyone gets in to the pages."""
    if settings.web.open:
        text = f"whoever reaches {settings.web.listen} may look without signing in (web.open)"
        yield Finding("ok", "pages", text)
        return
    try:
        with open_views(settings) as store:
            anyone = store.users.any_enabled()
    except NoStore:
        anyone = False
    anyone = anyone or bool(settings.web.proxy_header or settings.oidc.issuer)
    yield (
        Finding("ok", "pages", "people sign in")
        if anyone
        else Finding("note", "pages", NOBODY_SIGNS_IN)
    )


@dataclass(frozen=True)
class Check:
    """A concern. look: its findings; what was seen of the readings is in the survey, once the
    check of readings has been. It ends in a few seconds however large the plant is."""

    subject: str
    look: Callable[[Settings, ReadingsSurvey], Iterator[Finding]]


# In the order of the findings. A new concern is a file beside this one and a row here.
CHECKS: Final = (
    Check("schedule", _check_schedule),
    Check("disk", check_file_systems),
    Check("fsync", check_fsync),
    Check("store", _check_store),
    Check("database", check_database),
    Check("readings", check_readings),
    Check("clock", check_clock),
    Check("events", check_events),
    Check("modes", check_modes),
    Check("leakage", check_leakage),
    Check("sensor quality", check_sensors),
    Check("regimes", _check_regimes),
    Check("renewals", _check_renewals),
    Check("load", check_load),
    Check("space", check_space),
    Check("pages", _check_pages),
    Check("single sign-on", check_oidc),
)
