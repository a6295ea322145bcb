"""What a worker makes predictions from: the state folder, and a ledger that it was told."""

from collections.abc import Callable
from dataclasses import dataclass

from pm_app.event_history import EventHistory
from pm_app.history import History
from pm_app.jobs.ground import Known
from pm_app.jobs.site import unwatched
from pm_app.memories import Memories
from pm_app.settings import Settings


@dataclass(frozen=True, eq=False)
class WorkerGround:
    """A `jobs.ground.Ground` without sources and store."""

    settings: Settings
    history: History
    event_history: EventHistory
    memories: Memories
    ledger: Known
    beat: Callable[[], None] = unwatched
