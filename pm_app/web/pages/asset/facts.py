"""Facts of the asset page: newest prediction, charts of the range, tables behind them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

import numpy as np

from pm_app.jobs.score.alarm_rules import EVEN_ODDS
from pm_app.pictures.timeline import EventMark
from pm_app.records.readings import Events
from pm_app.settings.plant import Settings
from pm_app.settings.sensors import sensor_text
from pm_app.store import PredictionRow, PredictionSeries, Store
from pm_app.store.predictions.fleet import risk_level
from pm_app.times import NS, to_moment
from pm_app.web.context import PageContext, StateFolder
from pm_app.web.pages.asset.address import RANGES, AssetAddress
from pm_app.web.pages.asset.charts import (
    LIFE_NOTE,
    ChartSpan,
    draw_deviation,
    draw_drivers,
    draw_life,
    draw_risk,
    draw_sensor,
    draw_value,
    shares_at,
    shares_of,
    usual_text,
)
from pm_app.web.pages.asset.sensors import SensorQuery, SensorSeries, read_events, read_sensors
from pm_app.web.texts import ALARM_KINDS, ALARMS, LEVELS
from pm_app.wording import drivers_text, extrapolated_text

PAGE_ROWS: Final = 24
LEADING_SENSORS: Final = 6
MOST_SENSORS: Final = 48
_MARKED: Final = ("failure", "maintenance")
EVENTS: Final = {
    "failure": "Failure",
    "maintenance": "Maintenance",
    "error": "Error",
    "inspection": "Inspection",
}
_RISK_NOTE: Final = (
    "The level line is where an alarm begins; marks from top to bottom are failures (red) and "
    "maintenance (green, dotted)."
)
_DRIVERS_NOTE: Final = (
    "The stronger the colour, the larger a sensor's share at the riskiest moment of a stretch of "
    "time."
)
_DEVIATION_NOTE: Final = (
    "How unlike its usual behaviour it is, whatever failures are known; 1.0 is the alarm level."
)
_EVENTS_SHOWN: Final = 100
_ALARMS_SHOWN: Final = 20


def asset_facts(
    store: Store, folder: StateFolder, asked: AssetAddress, span: ChartSpan, context: PageContext
) -> dict[str, Any]:
    """All that the template shows."""
    newest = store.series.newest(asked.asset)
    within = {"since": span.since, "until": span.until}
    by_horizon = {
        row.horizon_hours: store.series.predictions(
            asked.asset, horizon_hours=row.horizon_hours, **within
        )
        for row in newest
    }
    later = max(span.until, context.now())
    events, lost = read_events(folder, store, asked.asset, since=span.since, until=later)
    marks = _marks(events, span)
    return {
        "asked": asked,
        "span": span,
        "ranges": RANGES,
        "newest": newest[-1] if newest else None,
        "level": risk_level(newest[-1], context.now()) if newest else None,
        "level_words": LEVELS,
        "beyond": extrapolated_text(newest[-1].extrapolated) if newest else "",
        "risks": [(each.risk, each.horizon_hours) for each in newest[::-1]],
        "modes": _modes(newest),
        "drivers": list(shares_of(drivers_text(newest[-1].top_sensors, newest[-1].risk)).items())
        if newest
        else [],
        "charts": _charts(store, by_horizon, span, context.settings, marks=marks),
        "happened": _happened(events),
        "events_lost": lost,
        "state_here": folder.here,
        **_alarms(store, asked.asset),
        **_sensors(store, folder, asked, span, by_horizon, marks=marks),
        **_table(store, asked, span),
    }


def _modes(newest: Sequence[PredictionRow]) -> list[dict[str, Any]]:
    """Failure modes, the likeliest at the longest horizon first: risks, the longest horizon first,
    and the sensors that speak for each."""
    horizons = [json.loads(row.mode_risks) for row in newest[::-1] if row.mode_risks]
    if not horizons:
        return []
    sensors = json.loads(newest[-1].mode_sensors or "{}")
    return [
        {
            "name": mode,
            "risks": [risks.get(mode) for risks in horizons],
            "for": sensors.get(mode, ""),
        }
        for mode in sorted(horizons[0], key=lambda mode: -horizons[0][mode])
    ]


def _charts(
    store: Store,
    by_horizon: Mapping[float, PredictionSeries],
    span: ChartSpan,
    settings: Settings,
    *,
    marks: Sequence[EventMark],
) -> list[dict[str, Any]]:
    """Pictures with what they are and mean; none where there is but one moment to show."""
    if not by_horizon or len(by_horizon[max(by_horizon)].cutoff) < 2:
        return []
    longest = by_horizon[max(by_horizon)]
    deviation = draw_deviation(longest, span, marks)
    unlike = [_chart("Deviation over time", deviation, _DEVIATION_NOTE)]
    if not np.isfinite(longest.risk).any() and not np.isfinite(longest.value).any() and deviation:
        # Of a watched asset there is nothing else to draw.
        return unlike
    if settings.target.kind == "column" and settings.target.task == "regression":
        charts = [_chart("Estimate over time", draw_value(longest, span, marks))]
    else:
        threshold = _threshold(store, settings, max(by_horizon))
        legend = [f"within {hours:g} h" for hours in sorted(by_horizon, reverse=True)]
        picture = draw_risk(by_horizon, span, marks, threshold)
        shown = legend if max(by_horizon) else []
        charts = [_chart("Risk over time", picture, _RISK_NOTE, shown)]
    if settings.target.kind == "life":
        picture = draw_life(longest, span, marks, settings.target.cap_hours)
        charts.append(_chart("Life left over time, in days", picture, LIFE_NOTE))
    drivers = draw_drivers(longest, span)
    return [*charts, *unlike, _chart("What drove the risk", drivers, _DRIVERS_NOTE)]


def _chart(title: str, picture: str, note: str = "", legend: Sequence[str] = ()) -> dict[str, Any]:
    return {"title": title, "picture": picture, "note": note, "legend": legend}


def _threshold(store: Store, settings: Settings, horizon_hours: float) -> float:
    """From which risk on the asset has an alarm: as `pm-app score` reckons it."""
    given = settings.alarms.threshold
    if given != "auto":
        return float(given)
    found = store.alarms.threshold(horizon_hours)
    return EVEN_ODDS if found is None else found.threshold


def _marks(events: Events, span: ChartSpan) -> list[EventMark]:
    moments = zip(events.time.tolist(), events.kind, events.code, strict=True)
    return [
        EventMark(time / NS, _event_text(to_moment(time), kind, code, span), kind)
        for time, kind, code in moments
        if kind in _MARKED and time / NS <= span.until.timestamp()
    ]


def _event_text(moment: datetime, kind: str, code: str, span: ChartSpan) -> str:
    local = moment.astimezone(span.zone)
    return f"{EVENTS.get(kind, kind)} {code}, {local:%Y-%m-%d %H:%M}"


def _happened(events: Events) -> list[dict[str, Any]]:
    rows = zip(events.time.tolist(), events.kind, events.code, strict=True)
    return [
        {"at": to_moment(time), "kind": kind, "label": EVENTS.get(kind, kind), "code": code}
        for time, kind, code in [*rows][: -_EVENTS_SHOWN - 1 : -1]
    ]


def _alarms(store: Store, asset: str) -> dict[str, Any]:
    found = {row.alarm_id: row for row in store.series.verdicts(asset, limit=_ALARMS_SHOWN)}
    rows = store.alarms.alarms(asset=asset, limit=_ALARMS_SHOWN)
    return {
        "alarms": [(row, found.get(row.id)) for row in rows],
        "standing": [row for row in rows if row.cleared_at is None],
        "alarm_kinds": ALARM_KINDS,
        "states": ALARMS,
    }


def _sensors(
    store: Store,
    folder: StateFolder,
    asked: AssetAddress,
    span: ChartSpan,
    by_horizon: Mapping[float, PredictionSeries],
    *,
    marks: Sequence[EventMark],
) -> dict[str, Any]:
    """Pictures of the sensors, what drives the risk first, then what the champion goes by."""
    predictions = by_horizon[max(by_horizon)] if by_horizon else None
    drivers = shares_at(predictions, -1) if predictions and len(predictions.cutoff) else {}
    champion = store.lineage.champion()
    ranked = [row.sensor for row in store.lineage.importances(champion)] if champion else []
    query = SensorQuery(
        asked.asset,
        first=list(dict.fromkeys([*drivers, *ranked])),
        most=MOST_SENSORS if asked.all_sensors else LEADING_SENSORS,
        since=span.since,
        until=span.until,
    )
    series = _named(read_sensors(folder, store, query), folder.settings)
    figures = []
    for number, name in enumerate(series.sensors):
        picture, usual = draw_sensor(series, number, span, predictions, marks)
        figures.append({"name": name, "picture": picture, "usual": usual_text(usual)})
    return {
        "sensors": figures if len(series.time) else [],
        "sensor_count": len(series.available),
        "sensors_note": series.reason,
    }


def _named(series: SensorSeries, settings: Settings) -> SensorSeries:
    """The same series by the names that people are shown."""
    names = tuple(sensor_text(name, settings.sensors) for name in series.sensors)
    return replace(series, sensors=names)


def _table(store: Store, asked: AssetAddress, span: ChartSpan) -> dict[str, Any]:
    """One page of the predictions behind the charts."""
    within = {"since": span.since, "until": span.until}
    total = store.series.count(asked.asset, **within)
    pages = max(-(-total // PAGE_ROWS), 1)
    page = min(asked.page, pages)
    first = (page - 1) * PAGE_ROWS
    return {
        "rows": store.series.rows(asked.asset, **within, limit=PAGE_ROWS, offset=first),
        "total": total,
        "first": first + 1,
        "page": page,
        "pages": pages,
    }
