"""Sparkline of a trend: points of an SVG path."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

WIDTH: Final = 120.0
HEIGHT: Final = 28.0
_MARGIN: Final = 2.0

Point = tuple[datetime, float | None]


def spark_path(trend: Sequence[Point]) -> str:
    """The `d` of a path over risks in [0, 1], time to the right; "" without two neighbours.

    Where nothing was said the line is broken. A risk of 1 is at the top, so that all rows of a
    table share one scale.
    """
    if len(trend) < 2:
        return ""
    first, last = trend[0][0], trend[-1][0]
    seconds = max((last - first).total_seconds(), 1.0)
    steps, pen = [], "M"
    for at, risk in trend:
        if risk is None:
            pen = "M"
            continue
        x = _MARGIN + (WIDTH - 2 * _MARGIN) * (at - first).total_seconds() / seconds
        y = _MARGIN + (HEIGHT - 2 * _MARGIN) * (1.0 - risk)
        steps.append(f"{pen}{x:.1f} {y:.1f}")
        pen = "L"
    return "".join(steps) if any(step[0] == "L" for step in steps) else ""
