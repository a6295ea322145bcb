"""What predictions are made from beside the plant's own: its panes and events, other memories."""

from collections.abc import Callable
from dataclasses import dataclass

from pm_app.jobs.ground import GroundLedger
from pm_app.jobs.site import unwatched
from pm_app.settings.plant import Settings
from pm_app.state.events import EventHistory
from pm_app.state.memory import Memories
from pm_app.state.panes import History


@dataclass(frozen=True, eq=False)
class WorkerGround:
    """A `jobs.ground.Ground` without sources and store."""

    settings: Settings
    history: History
    event_history: EventHistory
    memories: Memories
    ledger: GroundLedger
    beat: Callable[[], None] = unwatched
