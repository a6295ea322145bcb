"""Versions that wait for a person's word: told on pages, in status and by an alarm of the plant."""

from collections.abc import Sequence
from typing import Final

from pm_app.records.alarms import APPROVAL, PlantCondition
from pm_app.store import RetrainingRow
from pm_app.store.lineage import Lineage
from pm_app.wording import waits_text

_OF: Final = {"failure": "failures", "normal": "normal behaviour"}


def waiting_versions(lineage: Lineage) -> tuple[RetrainingRow, ...]:
    """What made the versions that wait, one a kind at most."""
    rows = (lineage.waiting("failure"), lineage.waiting("normal"))
    return tuple(row for row in rows if row is not None)


def approval_texts(lineage: Lineage) -> tuple[str, ...]:
    """What waits and why, in words; a first version of failures is told as such elsewhere."""
    rows = waiting_versions(lineage)
    if rows and lineage.champion() is None:
        rows = tuple(row for row in rows if row.kind != "failure")
    return tuple(f"{_text(row)}." for row in rows)


def approval_condition(rows: Sequence[RetrainingRow]) -> PlantCondition:
    """What the alarm of the plant goes by.

    It names no version: each night a newer one may take the place of one that waits, and that is
    no news.
    """
    if not rows:
        return PlantCondition(APPROVAL, stands=False, note="no version waits any more")
    return PlantCondition(
        APPROVAL,
        stands=True,
        note="; ".join(f"{_OF[row.kind]}: {row.reason.removesuffix(_how(row))}" for row in rows),
        about=tuple(_OF[row.kind] for row in rows),
        cutoff=max(row.finished_at for row in rows),
    )


def _text(row: RetrainingRow) -> str:
    return f"Version {row.version} of {_OF[row.kind]} waits for a person: {_why(row)}"


def _why(row: RetrainingRow) -> str:
    """The reason says by itself that it waits, and how to accept it."""
    why = row.reason.removeprefix("waits for a person: ").removesuffix(_how(row))
    return f"{why}; pm-app promote {row.version} accepts it"


def _how(row: RetrainingRow) -> str:
    return f"; {waits_text(row.version or 0)}"
