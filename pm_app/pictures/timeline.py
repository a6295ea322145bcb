"""Timeline chart: lines over time with bands and event marks, as SVG that a page's style colours.

Nothing in it needs a script. What one may show is written on it: the moments and values that the
edges of the plot stand for.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from pm_app.pictures.marks import line, spread_out, text, ticks
from pm_app.pictures.time_axis import time_ticks

WIDTH: Final = 640
_HEIGHT: Final = 210
_LEFT, _RIGHT, _TOP, _BOTTOM = 76, 14, 14, 30
_LOW_HEIGHT: Final = 150

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ValueLine:
    """A value over time: seconds since 1970 and values, both (n,), ascending; NaN breaks the line.

    kind: its class in the page's style.
    """

    name: str
    time: Floats
    value: Floats
    kind: str


@dataclass(frozen=True, eq=False)
class Band:
    """What lies between two values over time, all (n,); NaN breaks it."""

    time: Floats
    low: Floats
    high: Floats


@dataclass(frozen=True)
class EventMark:
    """Something that happened. kind: its class in the page's style."""

    time: float
    label: str
    kind: str


@dataclass(frozen=True, eq=False)
class Scale:
    """What both axes go over. written: how a value of the upright one is."""

    time: tuple[float, float]
    value: tuple[float, float]
    zone: ZoneInfo
    written: Callable[[float], str] = "{:g}".format
    step_seconds: float = 1.0
    unit: str = ""


def scale_of(values: Sequence[Floats], *, zero: bool = False) -> tuple[float, float]:
    """The range of all these values, (0, 1) where there is none."""
    finite = np.concatenate([np.empty(0), *(each[np.isfinite(each)] for each in values)])
    return (
        spread_out([float(finite.min()), float(finite.max())], zero=zero) if len(finite) else (0, 1)
    )


@dataclass(frozen=True, eq=False)
class Timeline:
    """What one picture shows. levels: values drawn across, each with its class; low: half as
    high."""

    lines: Sequence[ValueLine]
    scale: Scale
    title: str
    description: str = ""
    bands: Sequence[Band] = ()
    marks: Sequence[EventMark] = ()
    levels: Sequence[tuple[float, str]] = ()
    low: bool = False

    def draw(self) -> str:
        """SVG text."""
        plot = _Plot(self.scale, _LOW_HEIGHT if self.low else _HEIGHT)
        parts = [
            f"<title>{escape(self.title)}</title><desc>{escape(self.description)}</desc>",
            *(plot.stripe(band) for band in self.bands),
            *plot.frame(),
            *(plot.level(value, kind) for value, kind in self.levels),
            *(plot.path(each) for each in self.lines),
            *(plot.mark(mark) for mark in self.marks),
        ]
        return (
            f'<svg class="timeline" role="img" viewBox="0 0 {WIDTH} {plot.height}" {plot.edges()}>'
            f"{''.join(parts)}</svg>"
        )


@dataclass(frozen=True, eq=False)
class _Plot:
    scale: Scale
    height: int

    @property
    def bottom(self) -> int:
        return self.height - _BOTTOM

    def x(self, time: Floats) -> Floats:
        first, last = self.scale.time
        wide = WIDTH - _LEFT - _RIGHT
        return np.asarray(_LEFT + wide * (time - first) / ((last - first) or 1.0))

    def y(self, value: Floats) -> Floats:
        low, high = self.scale.value
        up = np.clip((value - low) / ((high - low) or 1.0), 0.0, 1.0)
        return np.asarray(self.bottom - (self.bottom - _TOP) * up)

    def edges(self) -> str:
        (first, last), (low, high) = self.scale.time, self.scale.value
        data = {
            "left": _LEFT,
            "right": WIDTH - _RIGHT,
            "top": _TOP,
            "bottom": self.bottom,
            "first": f"{first:.3f}",
            "last": f"{last:.3f}",
            "low": f"{low:.6g}",
            "high": f"{high:.6g}",
            "step": f"{self.scale.step_seconds:g}",
            "unit": self.scale.unit,
        }
        return " ".join(f'data-{name}="{escape(str(value))}"' for name, value in data.items())

    def frame(self) -> Iterator[str]:
        low, high = self.scale.value
        for value in ticks(low, high, most=4):
            y = float(self.y(np.array(value)))
            yield line(_LEFT, y, WIDTH - _RIGHT, y, "grid")
            yield text(_LEFT - 6, y + 5, self.scale.written(value), anchor="end")
        yield line(_LEFT, self.bottom, WIDTH - _RIGHT, self.bottom, "axis")
        for at, label in time_ticks(*self.scale.time, zone=self.scale.zone):
            x = float(self.x(np.array(at)))
            yield line(x, self.bottom, x, self.bottom + 5, "axis")
            if _LEFT + 16 < x < WIDTH - _RIGHT - 16:
                yield text(x, self.height - 7, label, anchor="middle")

    def level(self, value: float, kind: str) -> str:
        y = float(self.y(np.array(value)))
        return line(_LEFT, y, WIDTH - _RIGHT, y, kind)

    def path(self, drawn: ValueLine) -> str:
        places = _points(self.x(drawn.time), self.y(drawn.value), np.isfinite(drawn.value))
        name = f' data-name="{escape(drawn.name)}"'
        return f'<path class="course {drawn.kind}"{name} d="{places}"/>' if places else ""

    def stripe(self, band: Band) -> str:
        finite = np.isfinite(band.low) & np.isfinite(band.high)
        x, low, high = self.x(band.time), self.y(band.low), self.y(band.high)
        outlines = []
        for run in _runs(finite):
            there = [f"{a:.1f} {b:.1f}" for a, b in zip(x[run], high[run], strict=True)]
            back = [f"{a:.1f} {b:.1f}" for a, b in zip(x[run][::-1], low[run][::-1], strict=True)]
            outlines.append(f"M{'L'.join([*there, *back])}Z")
        return f'<path class="band" d="{"".join(outlines)}"/>' if outlines else ""

    def mark(self, mark: EventMark) -> str:
        x = float(self.x(np.array(mark.time)))
        peak = f"M{x - 5:.1f} {_TOP - 11}L{x + 5:.1f} {_TOP - 11}L{x:.1f} {_TOP - 2}Z"
        return (
            f'<g class="happened {escape(mark.kind)}"><title>{escape(mark.label)}</title>'
            f'{line(x, _TOP, x, self.bottom, "when")}<path d="{peak}"/></g>'
        )


def _runs(finite: NDArray[np.bool_]) -> list[slice]:
    """Where a row of True begins and ends."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], finite, [False]]).astype(np.int8)))
    return [slice(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def _points(x: Floats, y: Floats, finite: NDArray[np.bool_]) -> str:
    """The `d` of a path; a value between two gaps is a dot."""
    parts = []
    for run in _runs(finite):
        steps = [f"{a:.2f} {b:.1f}" for a, b in zip(x[run], y[run], strict=True)]
        parts.append(f"M{'L'.join(steps)}" if len(steps) > 1 else f"M{steps[0]}h.01")
    return "".join(parts)


def thin(values: Floats, *, most: int) -> NDArray[np.intp]:
    """Which of the values (n,) to draw, ascending: at most so many, all of them if they are few.

    Values are cut into most // 2 stretches of equal length; the first least and the first
    greatest of each stay, or its first where none is known. So no peak is lost.
    """
    count = len(values)
    if count <= most:
        return np.arange(count)
    stretch = -(-count // max(most // 2, 1))
    width = -(-count // stretch)
    padded = np.full(width * stretch, np.nan)
    padded[:count] = values
    grid = padded.reshape(width, stretch)
    starts = np.arange(width) * stretch
    least = np.argmin(np.where(np.isnan(grid), np.inf, grid), axis=1)
    greatest = np.argmax(np.where(np.isnan(grid), -np.inf, grid), axis=1)
    chosen = np.unique(np.concatenate([starts + least, starts + greatest]))
    return np.asarray(chosen[chosen < count])


def drawn(time: Floats, *columns: Floats, most: int, longest: float) -> tuple[Floats, ...]:
    """Time and columns, each (n,), with fewer rows, thinned by the first of the columns.

    A row of NaN breaks the line where neighbours in time lie further apart than `longest`.
    """
    rows = thin(columns[0], most=most)
    stretch = np.concatenate([[0], np.cumsum(np.diff(time) > longest)])[rows]
    cuts = np.flatnonzero(np.diff(stretch)) + 1
    when = time[rows]
    return (
        np.insert(when, cuts, when[cuts]),
        *(np.insert(column[rows], cuts, np.nan) for column in columns),
    )
