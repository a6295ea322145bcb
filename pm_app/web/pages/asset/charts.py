"""Charts of the asset page: risk, life left, drivers, sensors."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from html import escape
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np

from pm_app.pictures.marks import text
from pm_app.pictures.time_axis import time_ticks
from pm_app.pictures.timeline import (
    WIDTH,
    Band,
    EventMark,
    Floats,
    Scale,
    Timeline,
    ValueLine,
    drawn,
    scale_of,
)
from pm_app.store import PredictionSeries
from pm_app.store.predictions.fleet import UNUSUAL
from pm_app.web.pages.asset.sensors import SensorSeries, quiet, usual_of
from pm_app.wording import drivers_text

# What a line is drawn with: a screen is not wider.
POINTS: Final = 400
LIFE_NOTE: Final = "The shaded band is the 90 % interval."
_STRETCHES: Final = 48
_DRIVERS: Final = 6
_DAY_HOURS: Final = 24
# Beyond so many times the level of alarms a deviation is only high.
_DEVIATION_SHOWN: Final = 10.0
# Two cutoffs further apart than so many of their usual steps have nothing between them.
_GAP_STEPS: Final = 8
_ROW: Final = 26
_NAMES: Final = 200
# So many letters fit beside the rows, also on a telephone.
_LETTERS: Final = 17


@dataclass(frozen=True)
class ChartSpan:
    """What the charts of a page go over, in the plant's time."""

    since: datetime
    until: datetime
    zone: ZoneInfo
    pane_seconds: float

    def scale(self, value: tuple[float, float], unit: str = "", factor: str = "g") -> Scale:
        """Its axes; factor "%" writes shares as percent."""
        written = _percent if factor == "%" else "{:g}".format
        time = (self.since.timestamp(), self.until.timestamp())
        return Scale(time, value, self.zone, written, self.pane_seconds, unit)

    def longest_gap(self, time: Floats) -> float:
        """How far neighbours may lie apart for a line between them, in seconds."""
        usual = float(np.median(np.diff(time))) if len(time) > 1 else 0.0
        return max(_GAP_STEPS * usual, 2 * self.pane_seconds)


def draw_risk(
    by_horizon: Mapping[float, PredictionSeries],
    span: ChartSpan,
    marks: Sequence[EventMark],
    threshold: float,
) -> str:
    """The risk of every horizon, the longest boldest, and from where on it is an alarm."""
    lines = []
    for number, (hours, predictions) in enumerate(sorted(by_horizon.items(), reverse=True)):
        time = predictions.cutoff / 1e9
        when, risk = drawn(time, predictions.risk, most=POINTS, longest=span.longest_gap(time))
        name = f"within {hours:g} h" if hours else "risk"
        lines.append(ValueLine(name, when, risk, f"c{min(number, 3)}"))
    return Timeline(
        lines,
        scale=span.scale((0.0, 1.0), "%", "%"),
        title="Risk over time",
        description=f"{_risk_range(by_horizon)} An alarm from {_percent(threshold)}.",
        marks=marks,
        levels=[(threshold, "threshold")],
    ).draw()


def draw_life(
    predictions: PredictionSeries, span: ChartSpan, marks: Sequence[EventMark], cap_hours: float
) -> str:
    """The life left with its interval, in days."""
    time = predictions.cutoff / 1e9
    columns = (predictions.rul_hours, predictions.rul_low_hours, predictions.rul_high_hours)
    days = tuple(column / _DAY_HOURS for column in columns)
    when, life, low, high = drawn(time, *days, most=POINTS, longest=span.longest_gap(time))
    return Timeline(
        [ValueLine("life left", when, life, "c0")],
        scale=span.scale((0.0, cap_hours / _DAY_HOURS), "d"),
        title="Life left over time, in days",
        description=LIFE_NOTE,
        bands=[Band(when, low, high)],
        marks=marks,
    ).draw()


def draw_deviation(
    predictions: PredictionSeries, span: ChartSpan, marks: Sequence[EventMark]
) -> str:
    """How unusual the asset behaved, and from where on it is an alarm; "" where nothing tells."""
    time, finite = predictions.cutoff / 1e9, np.isfinite(predictions.deviation)
    if not finite.any():
        return ""
    highest = float(predictions.deviation[finite].max())
    when, deviation = drawn(
        time, predictions.deviation, most=POINTS, longest=span.longest_gap(time)
    )
    return Timeline(
        [ValueLine("deviation", when, deviation, "c0")],
        scale=span.scale((0.0, max(1.2 * UNUSUAL, min(highest, _DEVIATION_SHOWN)))),
        title="Deviation over time",
        description=f"Up to {highest:.1f}. An alarm from {UNUSUAL:g}.",
        marks=marks,
        levels=[(UNUSUAL, "threshold")],
    ).draw()


def draw_value(predictions: PredictionSeries, span: ChartSpan, marks: Sequence[EventMark]) -> str:
    """The estimate of a value, where that is what is learned."""
    time = predictions.cutoff / 1e9
    when, value = drawn(time, predictions.value, most=POINTS, longest=span.longest_gap(time))
    return Timeline(
        [ValueLine("estimate", when, value, "c0")],
        scale=span.scale(scale_of([value])),
        title="Estimate over time",
        marks=marks,
    ).draw()


def draw_sensor(
    series: SensorSeries,
    number: int,
    span: ChartSpan,
    predictions: PredictionSeries | None,
    marks: Sequence[EventMark],
) -> tuple[str, tuple[float, float] | None]:
    """One sensor with its usual band, and that band."""
    name, values, time = series.sensors[number], series.means[:, number], series.time / 1e9
    usual = None if predictions is None else usual_of(values, quiet(series.time, predictions))
    when, mean = drawn(time, values, most=POINTS, longest=span.longest_gap(time))
    edges = np.array(usual if usual else (), dtype=np.float64)
    scale = span.scale(scale_of([mean, edges]))
    ends = np.array(scale.time)
    bands = [Band(ends, np.full(2, usual[0]), np.full(2, usual[1]))] if usual else []
    picture = Timeline(
        [ValueLine(name, when, mean, "c0")],
        scale=scale,
        title=f"{name}: mean of each pane",
        description=usual_text(usual),
        bands=bands,
        marks=marks,
        low=True,
    ).draw()
    return picture, usual


def usual_text(usual: tuple[float, float] | None) -> str:
    """The band of a sensor in words."""
    if usual is None:
        return "Too little time at low risk in this range to say what is usual."
    low, high = usual
    return f"Usual: {low:.4g} to {high:.4g}"


def draw_drivers(predictions: PredictionSeries, span: ChartSpan) -> str:
    """A row a sensor, the darker the larger its share at the riskiest moment of each stretch."""
    ends = np.linspace(span.since.timestamp(), span.until.timestamp(), _STRETCHES + 1)
    edges = np.searchsorted(predictions.cutoff / 1e9, ends, side="left").tolist()
    edges[-1] = len(predictions.cutoff)
    columns = shares_over_time(predictions, edges)
    names = leading(columns, most=_DRIVERS)
    if not names:
        return ""
    parts = ["<title>What drove the risk</title>", f"<desc>{escape(', '.join(names))}</desc>"]
    for row, name in enumerate(names):
        parts += _driver_row(row, name, [column.get(name, 0.0) for column in columns])
    height = _ROW * len(names)
    for moment, label in time_ticks(ends[0], ends[-1], zone=span.zone, most=6):
        x = _NAMES + (WIDTH - _NAMES) * (moment - ends[0]) / (ends[-1] - ends[0])
        if x < WIDTH - 20:
            parts.append(text(x, height + 16, label, anchor="middle"))
    box = f"0 0 {WIDTH} {height + 22}"
    return f'<svg class="drivers" role="img" viewBox="{box}">{"".join(parts)}</svg>'


def _driver_row(row: int, name: str, shares: Sequence[float]) -> Iterator[str]:
    shown = name if len(name) <= _LETTERS else f"{name[: _LETTERS - 1]}…"
    yield text(_NAMES - 8, _ROW * row + 18, shown, anchor="end", hint=name)
    wide = (WIDTH - _NAMES) / _STRETCHES
    for at, share in enumerate(shares):
        if share:
            yield (
                f'<rect class="share s{min(int(share * 5), 4)}" x="{_NAMES + wide * at:.1f}" '
                f'y="{_ROW * row + 3}" width="{wide - 0.8:.1f}" height="{_ROW - 5}">'
                f"<title>{escape(name)}: {_percent(share)}</title></rect>"
            )


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _risk_range(by_horizon: Mapping[float, PredictionSeries]) -> str:
    predictions = by_horizon[max(by_horizon)]
    risks = predictions.risk[np.isfinite(predictions.risk)]
    if not len(risks):
        return "No risk was told."
    return f"From {risks.min():.1%} to {risks.max():.1%}."


_SHARE: Final = re.compile(r"(.+?) (\d{1,3}) %(?:, |$)", re.DOTALL)


def shares_of(top_sensors: str) -> dict[str, float]:
    """Shares by sensor, the greatest first: "vibration 62 %, load 21 %"."""
    return {name: int(percent) / 100 for name, percent in _SHARE.findall(top_sensors)}


def shares_over_time(predictions: PredictionSeries, edges: Sequence[int]) -> list[dict[str, float]]:
    """Shares at the riskiest row between each two edges; empty where none was scored."""
    risk = np.where(np.isnan(predictions.risk), -1.0, predictions.risk)
    columns = []
    for first, last in zip(edges[:-1], edges[1:], strict=True):
        at = first + int(np.argmax(risk[first:last])) if last > first else -1
        columns.append(shares_at(predictions, at) if at >= 0 and risk[at] >= 0 else {})
    return columns


def shares_at(predictions: PredictionSeries, at: int) -> dict[str, float]:
    """Shares of what drives the risk of a row."""
    return shares_of(drivers_text(str(predictions.top_sensors[at]), float(predictions.risk[at])))


def leading(columns: Sequence[dict[str, float]], *, most: int) -> list[str]:
    """The sensors with the largest shares over all columns together, then by name."""
    totals: dict[str, float] = {}
    for column in columns:
        for name, share in column.items():
            totals[name] = totals.get(name, 0.0) + share
    return sorted(totals, key=lambda name: (-totals[name], name))[:most]
