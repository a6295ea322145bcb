"""Findings of `pm-app check` on the quality of sensors, by what pm-app score has taken in."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final
from zoneinfo import ZoneInfo

from pm_app.cli.look.checks.finding import Finding, counted, local_text
from pm_app.cli.look.checks.readings_findings import ReadingsSurvey
from pm_app.errors import NoStore
from pm_app.jobs.operations.sensor_quality import (
    QualityExtent,
    QualitySource,
    clock_remarks,
    grade_assets,
    quality_extent,
)
from pm_app.records.sensor_quality import AssetQuality, SensorRemark, worst_first
from pm_app.settings.plant import Settings
from pm_app.settings.sensors import sensor_text
from pm_app.state.panes import History
from pm_app.wiring import open_views

# Groups of assets that are looked at: some ten seconds at most.
GROUPS: Final = 8
_SHOWN: Final = 20


def check_sensors(settings: Settings, survey: ReadingsSurvey) -> Iterator[Finding]:
    """What is wrong with sensors, the worst first; of very many assets it is asked of the first."""
    if settings.target.kind == "column":
        return
    try:
        with open_views(settings) as store:
            if not store.ledger.seen().assets:
                return
            history = History(settings.state / "panes", pane_ns=settings.features.pane_ns)
            source = QualitySource(settings, history, store.ledger)
            now = datetime.now(tz=UTC)
            extent = quality_extent(source, now=now)
            looked = list(_looked(source, extent, now))
            clocks = clock_remarks(source, extent)
    except NoStore:
        return
    if not looked:
        return
    found = [remark for each in looked for remark in each.remarks]
    yield from _remarks(worst_first([*found, *clocks]), settings)
    judged, sensors = sum(each.judged for each in looked), sum(each.sensors for each in looked)
    of = f"{len(looked):,} of {counted(len(extent.assets), 'asset')}"
    text = f"{judged:,} of {counted(sensors, 'sensor')} judged by their newest day, of {of}"
    yield Finding("ok", "sensor quality", text)


def _looked(source: QualitySource, extent: QualityExtent, now: datetime) -> Iterator[AssetQuality]:
    most = GROUPS * extent.at_once
    for first in range(0, min(most, len(extent.assets)), extent.at_once):
        group = extent.assets[first : first + extent.at_once]
        yield from grade_assets(source, extent, group, now=now)


def _remarks(remarks: list[SensorRemark], settings: Settings) -> Iterator[Finding]:
    zone = ZoneInfo(settings.plant.timezone)
    for each in remarks[:_SHOWN]:
        name = sensor_text(each.sensor, settings.sensors)
        subject = ", ".join(part for part in (each.asset, name) if part) or "all assets"
        text = f"{subject}: {each.text} ({each.grade}, since {local_text(each.since, zone)})"
        yield Finding("note", "sensor quality", text)
    if len(remarks) > _SHOWN:
        more = counted(len(remarks) - _SHOWN, "more remark")
        yield Finding("note", "sensor quality", f"{more} on sensors; the Data page has them")
