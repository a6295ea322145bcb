"""Verdicts to failures that can be learned from."""

from collections.abc import Iterable

from pm_app.jobs.site import to_nanoseconds
from pm_app.learning.failures import ToldFailure
from pm_app.store import VerdictRow


def told_failures(rows: Iterable[VerdictRow]) -> tuple[ToldFailure, ...]:
    """The failures that confirmed verdicts tell of; others are no failure, nor its absence.

    Where the verdict names no time, it was between the cutoff that raised the alarm and the
    verdict.
    """
    return tuple(_told(row) for row in rows if row.verdict == "confirmed")


def _told(row: VerdictRow) -> ToldFailure:
    until = row.at if row.failed_until is None else row.failed_until
    since = min(row.cutoff, row.at) if row.failed_from is None else row.failed_from
    return ToldFailure(
        row.asset_id,
        to_nanoseconds(since),
        to_nanoseconds(until),
        to_nanoseconds(row.at),
        row.code,
    )
