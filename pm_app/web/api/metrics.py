"""Prometheus metrics, collected when they are asked for."""

import platform
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Final

from fastapi import FastAPI, Response
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from pm_app import __version__
from pm_app.daemon.freshness import Freshness
from pm_app.daemon.status import JobStatus, Status
from pm_app.jobs.record.health import RecorderHealth, RecorderState
from pm_app.records.sensor_quality import QUALITY_KINDS
from pm_app.state.sensor_quality import SensorReport, read_quality
from pm_app.store import FleetQuery, Store
from pm_app.web.context import PageContext


def add_metrics(app: FastAPI, context: PageContext) -> None:
    """/metrics."""

    @app.get("/metrics", include_in_schema=False)
    def metrics() -> Response:
        registry = CollectorRegistry()
        registry.register(PlantFigures(context))
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_PLAIN_0_0_4)


class PlantFigures(Collector):
    """What can be said of the plant in figures; what is not known is left out."""

    def __init__(self, context: PageContext) -> None:
        self._context = context

    def collect(self) -> Iterator[Metric]:
        """Each figure once."""
        status = self._context.status()
        running = {"version": __version__, "python": platform.python_version()}
        yield InfoMetricFamily("pm_app_build", "Program that answers", value=running)
        yield GaugeMetricFamily(
            "pm_app_up",
            "1 where nothing needs a person: no trouble, nothing overdue",
            value=float(status.fine),
        )
        yield from _of_jobs(status.jobs)
        yield from _of_feeds(status.freshness)
        yield from _of_recorders(status.recorders)
        yield from _of_work(status)
        if status.balance is not None:
            yield from self._of_predictions(self._context.store())
        yield from _of_sensors(read_quality(self._context.settings.state))

    def _of_predictions(self, store: Store) -> Iterator[Metric]:
        states = [([name], n) for name, n in store.alarms.counts().items() if name != "cleared"]
        yield _gauge("pm_app_alarms", "Open alarms", ["state"], states)
        kinds = [([name], count) for name, count in store.alarms.open_kinds().items()]
        yield _gauge("pm_app_alarms_by_kind", "Open alarms by kind", ["kind"], kinds)
        levels = store.fleet.levels(now=self._context.now())
        assets = [([str(name)], count) for name, count in levels.items()]
        yield _gauge("pm_app_assets", "Assets by level of risk or deviation", ["level"], assets)
        yield from _of_assets(store, self._context.settings.web.metrics_assets, self._context.now())
        statuses = [([name], count) for name, count in store.ledger_pages.statuses().items()]
        yield _gauge("pm_app_assets_by_status", "Assets by status", ["status"], statuses)
        description = "The version that says deviations, 0 for none"
        version = store.lineage.champion("normal") or 0
        yield GaugeMetricFamily("pm_app_normal_version", description, value=version)


def _of_jobs(jobs: Sequence[JobStatus]) -> Iterator[Metric]:
    for name, attribute, description in _JOB_FIGURES:
        values = [([job.job], getattr(job, attribute)) for job in jobs]
        present = [(labels, value) for labels, value in values if value is not None]
        yield _gauge(f"pm_app_job_{name}", description, ["job"], present)


# Figure of an asset, attribute of its newest prediction, what it is.
_ASSET_FIGURES: Final = (
    ("risk", "risk", "Risk within the longest horizon, of the riskiest assets"),
    ("deviation", "deviation", "Deviation from normal behaviour, of the riskiest assets"),
    ("life_hours", "rul_hours", "Remaining useful life, of the riskiest assets"),
)


def _of_assets(store: Store, most: int, now: datetime) -> Iterator[Metric]:
    """Of so many assets at most: each is a series that Prometheus keeps."""
    if not most:
        return
    rows = [
        row
        for row in store.fleet.rows(FleetQuery(), limit=most, now=now)
        if row.level != "outdated"
    ]
    for name, attribute, description in _ASSET_FIGURES:
        values = [([row.asset_id], getattr(row, attribute)) for row in rows]
        present = [(labels, value) for labels, value in values if value is not None]
        yield _gauge(f"pm_app_asset_{name}", description, ["asset"], present)


# Figure of a job, attribute of its status, what it is.
_JOB_FIGURES: Final = (
    ("last_success_timestamp_seconds", "succeeded", "When each job last ended well"),
    ("last_success_age_seconds", "success_age_seconds", "How long ago each job last ended well"),
    ("progress_age_seconds", "progress_age_seconds", "How long ago each job last got on"),
    ("expected_seconds", "expected_seconds", "How long each job may take to get on"),
    ("duration_seconds", "took_seconds", "How long each job last took"),
    (
        "failures_in_a_row",
        "failures_in_a_row",
        "How often each job has failed since it last ended well",
    ),
)


# Figure of a feed, attribute of its freshness, what it is.
_FEED_FIGURES: Final = (
    ("age_seconds", "age_seconds", "How old the newest of each feed is"),
    ("usual_age_seconds", "usual_seconds", "How old the newest of each feed usually becomes"),
    ("longest_age_seconds", "limit_seconds", "From which age on each feed is overdue"),
    ("overdue", "overdue", "1 where a feed is overdue"),
)


def _of_feeds(feeds: Sequence[Freshness]) -> Iterator[Metric]:
    for name, attribute, description in _FEED_FIGURES:
        values = [([each.feed], getattr(each, attribute)) for each in feeds]
        present = [(labels, value) for labels, value in values if value is not None]
        yield _gauge(f"pm_app_feed_{name}", description, ["feed"], present)


# Figure of a recorder, what it is, and how it is had of its health.
_RECORDER_FIGURES: Final[tuple[tuple[str, str, Callable[[RecorderHealth], float]], ...]] = (
    ("connected", "1 where a recorder takes in values", lambda each: float(not each.away)),
    ("waiting_bytes", "Bytes in each recorder's buffer", lambda each: each.waiting_bytes),
    ("most_waiting_bytes", "Bytes that its buffer holds at most", lambda each: each.most_bytes),
    ("files", "Files of readings completed since its start", lambda each: each.files),
)
_FATES: Final = ("recorded", "repeated", "refused", "not_good")


def _of_recorders(recorders: Sequence[RecorderState]) -> Iterator[Metric]:
    if not recorders:
        return
    fine = [([each.name], float(not each.troubles)) for each in recorders]
    yield _gauge("pm_app_recorder_up", "1 where a recorder needs no person", ["recorder"], fine)
    ages = [([r.name], r.silent_seconds) for r in recorders if r.silent_seconds is not None]
    description = "How long ago each recorder last took in a value, or began"
    yield _gauge("pm_app_recorder_age_seconds", description, ["recorder"], ages)
    running = [(each.name, each.health) for each in recorders if each.health is not None]
    for name, description, figure in _RECORDER_FIGURES:
        values = [([recorder], figure(health)) for recorder, health in running]
        yield _gauge(f"pm_app_recorder_{name}", description, ["recorder"], values)
    description = "Values since a recorder's start, by what became of them"
    counts = CounterMetricFamily("pm_app_recorder_values", description, labels=["recorder", "fate"])
    for recorder, health in running:
        for fate in _FATES:
            counts.add_metric([recorder, fate.replace("_", " ")], getattr(health, fate))
    yield counts


def _of_work(status: Status) -> Iterator[Metric]:
    if status.balance is not None:
        description = "Rows read, by what became of them"
        rows = CounterMetricFamily("pm_app_rows", description, labels=["fate"])
        rows.add_metric(["used"], status.balance.rows_used)
        rows.add_metric(["rejected"], status.balance.rows_rejected)
        yield rows
        description, version = "The version that scores, 0 for none", status.champion or 0
        yield GaugeMetricFamily("pm_app_champion_version", description, value=version)
    if status.backlog is not None:
        counts = {**asdict(status.backlog), "left": sum(left.files for left in status.backlog.left)}
        waits = [([name.replace("_", " ")], n) for name, n in counts.items()]
        yield _gauge("pm_app_backlog_files", "Files that wait", ["what"], waits)


def _of_sensors(report: SensorReport | None) -> Iterator[Metric]:
    if report is None:
        return
    grades = [([grade], count) for grade, count in report.by_grade().items()]
    yield _gauge("pm_app_sensors", "Sensors by what their newest values say", ["grade"], grades)
    found = report.by_kind()
    pairs = [(kind, grade) for kind in QUALITY_KINDS for grade in ("bad", "doubtful")]
    remarks = [([*pair], found.get(pair, 0)) for pair in pairs]
    description = "What is wrong with sensors, by kind and grade"
    yield _gauge("pm_app_sensor_remarks", description, ["kind", "grade"], remarks)


_Values = Iterable[tuple[list[str], float | datetime]]


def _gauge(name: str, description: str, labels: list[str], values: _Values) -> Metric:
    family = GaugeMetricFamily(name, description, labels=labels)
    for given, value in values:
        seconds = value.timestamp() if isinstance(value, datetime) else value
        family.add_metric(given, float(seconds))
    return family
