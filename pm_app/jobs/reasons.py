"""Why rows or files were refused, in words of bounded length."""

from collections.abc import Sequence

from pm_app.records.readings import Rejection

REASONS_KEPT = 20
MOST_CHARACTERS = 2000


def summarise(rejections: Sequence[Rejection]) -> str:
    """Like reasons added up, most rows first."""
    rows: dict[str, int] = {}
    for rejection in rejections:
        rows[rejection.reason] = rows.get(rejection.reason, 0) + rejection.rows
    most = sorted(rows.items(), key=lambda counted: -counted[1])[:REASONS_KEPT]
    return shorten("; ".join(f"{count} rows: {reason}" for reason, count in most))


def shorten(text: str) -> str:
    """At most MOST_CHARACTERS of a text."""
    return text if len(text) <= MOST_CHARACTERS else f"{text[: MOST_CHARACTERS - 3]}..."
