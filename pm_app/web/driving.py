"""Which sensors a risk rests on, read back from the words that the table keeps."""

import re
from collections.abc import Sequence
from typing import Final

import numpy as np

from pm_app.store import Course

_SHARE: Final = re.compile(r"(.+?) (\d{1,3}) %(?:, |$)", re.DOTALL)


def shares_of(words: str) -> dict[str, float]:
    """Shares by sensor, the greatest first: "vibration 62 %, load 21 %"."""
    return {name: int(percent) / 100 for name, percent in _SHARE.findall(words)}


def shares_over_time(course: Course, edges: Sequence[int]) -> list[dict[str, float]]:
    """Shares at the riskiest row between each two edges; empty where none was scored."""
    risk = np.where(np.isnan(course.risk), -1.0, course.risk)
    columns = []
    for first, last in zip(edges[:-1], edges[1:], strict=True):
        at = first + int(np.argmax(risk[first:last])) if last > first else -1
        words = str(course.top_sensors[at]) if at >= 0 and risk[at] >= 0 else ""
        columns.append(shares_of(words))
    return columns


def leading(columns: Sequence[dict[str, float]], *, most: int) -> list[str]:
    """The sensors with the largest shares over all columns together, then by name."""
    totals: dict[str, float] = {}
    for column in columns:
        for name, share in column.items():
            totals[name] = totals.get(name, 0.0) + share
    return sorted(totals, key=lambda name: (-totals[name], name))[:most]
