"""What lies beside the store: panes, events and versions, where this machine has them."""

from dataclasses import dataclass
from functools import cached_property

from pm_app.settings.plant import Settings
from pm_app.state.events import EventHistory
from pm_app.state.panes import History
from pm_app.state.registry import Registry


@dataclass(frozen=True, eq=False)
class StateFolder:
    """The plant's state folder, only read. A server of pages may run where there is none."""

    settings: Settings

    @property
    def here(self) -> bool:
        """Whether all of it lies on this machine."""
        state = self.settings.state
        return all((state / name).is_dir() for name in ("panes", "events", "versions"))

    @cached_property
    def history(self) -> History:
        """Panes. Only where the folder is here."""
        return History(self.settings.state / "panes", pane_ns=self.settings.features.pane_ns)

    @cached_property
    def events(self) -> EventHistory:
        """Events. Only where the folder is here."""
        return EventHistory(self.settings.state / "events")

    @cached_property
    def registry(self) -> Registry:
        """Versions. Only where the folder is here."""
        return Registry(self.settings.state / "versions")
