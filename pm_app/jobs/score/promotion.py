"""Promotion and rollback by a person, of a version of either kind that is able to speak."""

from datetime import datetime

from pm_app.jobs.plant import Plant
from pm_app.jobs.score.champion import load_recorded
from pm_app.jobs.score.normal_champion import load_recorded_normal
from pm_app.state.registry import Registry
from pm_app.store import Actor
from pm_app.store.lineage import Lineage, version_before
from pm_app.store.rows import VersionKind


def promote(plant: Plant, number: int, *, at: datetime, reason: str, actor: Actor) -> None:
    """Make a version the champion of its kind. Raises as `load_recorded`."""
    _require_able(plant.store.lineage, plant.registry, number)
    plant.store.lineage.promote(number, at=at, reason=reason, actor=actor)


def roll_back(
    plant: Plant, *, at: datetime, reason: str, actor: Actor, kind: VersionKind = "failure"
) -> int:
    """Make the version of a kind that was live before the champion live again, and return it.

    Raises as `load_recorded`, and TerminalError where there was none before; the champion
    then stays.
    """
    lineage = plant.store.lineage
    _require_able(lineage, plant.registry, version_before(lineage.promotions(kind=kind)))
    return lineage.rollback(at=at, reason=reason, actor=actor, kind=kind)


def _require_able(lineage: Lineage, registry: Registry, number: int) -> None:
    row = lineage.version(number)
    normal = row is not None and row.kind == "normal"
    load = load_recorded_normal if normal else load_recorded
    load(lineage, registry, number)
