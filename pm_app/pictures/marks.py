"""SVG marks of all pictures: lines, text, and round numbers along an axis."""

from html import escape
from math import ceil, floor, log10

_TICKS = 5


def line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    """A straight line. kind: its class in the page's style."""
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def text(
    x: float, y: float, label: str, kind: str = "", *, anchor: str = "start", hint: str = ""
) -> str:
    """A label on one line. hint: shown where a pointer rests on it."""
    extra = f' class="{kind}"' if kind else ""
    about = f"<title>{escape(hint)}</title>" if hint else ""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{extra}>{about}{escape(label)}</text>'
    )


def ticks(low: float, high: float, *, most: int = _TICKS) -> list[float]:
    """A few round numbers in [low, high]."""
    rough = (high - low) / most
    scale = 10 ** floor(log10(rough)) if rough > 0 else 1.0
    step = next((scale * each for each in (1, 2, 5, 10) if scale * each >= rough), scale * 10)
    first = ceil(low / step - 1e-9)
    found = []
    while first * step <= high + step * 1e-9:
        found.append(round(first * step, 10))
        first += 1
    return found


def spread_out(values: list[float], *, zero: bool = False) -> tuple[float, float]:
    """The least and the greatest of some values (with 0), apart even where they are one."""
    low, high = min(values), max(values)
    low = min(low, 0.0) if zero else low
    return (low, high) if high > low else (low, low + 1)
