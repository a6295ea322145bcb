"""Line and bar charts as inline SVG: nothing to load, legible on paper."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from math import isfinite

from pm_app.pictures.marks import line, spread_out, text, ticks

_WIDTH, _HEIGHT = 460, 240
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 12, 26, 40
_LEGEND_ENTRY = 110


@dataclass(frozen=True)
class Line:
    """Points joined by a line. kind: its class in the page's style."""

    name: str
    points: Sequence[tuple[float, float]]
    kind: str
    marks: bool = False


@dataclass(frozen=True)
class Axis:
    """What an axis is called, and what it goes over; None: over what is drawn."""

    title: str
    range: tuple[float, float] | None = None


@dataclass(frozen=True)
class _Axes:
    x: tuple[float, float]
    y: tuple[float, float]

    def at(self, x: float, y: float) -> tuple[float, float]:
        wide, high = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM
        across = (x - self.x[0]) / ((self.x[1] - self.x[0]) or 1)
        up = (y - self.y[0]) / ((self.y[1] - self.y[0]) or 1)
        return _LEFT + wide * across, _TOP + high * (1 - up)


def line_chart(
    lines: Sequence[Line], *, x: Axis, y: Axis, mark: float | None = None, title: str = ""
) -> str:
    """Lines over one pair of axes; mark: a place on the horizontal axis to point at.

    title: what the picture is, for those who cannot see it.
    """
    points = [point for each in lines for point in each.points if isfinite(sum(point))]
    if not points:
        return _empty()
    axes = _Axes(
        x.range or spread_out([across for across, _ in points]),
        y.range or spread_out([up for _, up in points], zero=True),
    )
    parts = [f"<title>{escape(title)}</title>"] if title else []
    parts += _frame(axes, x.title, y.title)
    if mark is not None:
        at, top = axes.at(mark, axes.y[1])
        parts.append(line(at, top, at, axes.at(mark, axes.y[0])[1], "mark"))
    for each in lines:
        parts += _polyline(each, axes)
    parts += _legend([(each.name, each.kind) for each in lines if each.name])
    return _svg(parts)


def _polyline(drawn: Line, axes: _Axes) -> list[str]:
    places = [axes.at(*point) for point in drawn.points if isfinite(sum(point))]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    circles = [f'<circle class="{drawn.kind}" cx="{x:.1f}" cy="{y:.1f}" r="3"/>' for x, y in places]
    return [f'<polyline class="{drawn.kind}" points="{path}"/>', *(circles if drawn.marks else ())]


def bar_chart(bars: Sequence[tuple[str, float]], *, x_title: str, y_title: str) -> str:
    """One bar a name, in order."""
    if not bars:
        return _empty()
    axes = _Axes((0, len(bars)), spread_out([value for _, value in bars], zero=True))
    parts = [*_frame(axes, x_title, y_title, names=[name for name, _ in bars])]
    for at, (name, value) in enumerate(bars):
        left, top = axes.at(at + 0.1, value)
        right, bottom = axes.at(at + 0.9, axes.y[0])
        parts.append(
            f'<rect class="ours" x="{left:.1f}" y="{top:.1f}" width="{right - left:.1f}" '
            f'height="{bottom - top:.1f}"><title>{escape(f"{name}: {value:g}")}</title></rect>'
        )
    return _svg(parts)


def _svg(parts: Sequence[str]) -> str:
    return f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img">{"".join(parts)}</svg>'


def _empty() -> str:
    return _svg([text(_WIDTH / 2, _HEIGHT / 2, "nothing to show", anchor="middle")])


def _frame(axes: _Axes, x_title: str, y_title: str, names: Sequence[str] = ()) -> list[str]:
    left, bottom = axes.at(axes.x[0], axes.y[0])
    right, top = axes.at(axes.x[1], axes.y[1])
    parts = [line(left, bottom, right, bottom, "axis"), line(left, bottom, left, top, "axis")]
    for value in ticks(*axes.y):
        _, y = axes.at(axes.x[0], value)
        parts.append(line(left, y, right, y, "grid"))
        parts.append(text(left - 6, y + 4, f"{value:g}", anchor="end"))
    places = [(at + 0.5, name) for at, name in enumerate(names)]
    places = places or [(value, f"{value:g}") for value in ticks(*axes.x)]
    parts += [
        text(axes.at(x, axes.y[0])[0], bottom + 15, name, anchor="middle") for x, name in places
    ]
    parts.append(text((left + right) / 2, _HEIGHT - 6, x_title, anchor="middle"))
    parts.append(text(left - 44, top - 12, y_title))
    return parts


def _legend(entries: Sequence[tuple[str, str]]) -> list[str]:
    """Above the axes, where no line runs."""
    parts = []
    for number, (name, kind) in enumerate(entries[::-1], 1):
        x = _WIDTH - _RIGHT - _LEGEND_ENTRY * number
        parts.append(line(x, 10, x + 18, 10, kind))
        parts.append(text(x + 24, 14, name))
    return parts
