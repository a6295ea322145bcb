"""The champion as a retraining meets it: to be compared with, and to go on from."""

from dataclasses import dataclass
from datetime import datetime

from pm_app.jobs.site import to_nanoseconds
from pm_app.records.features import Frame
from pm_app.records.learning import VersionCard


@dataclass(frozen=True, eq=False)
class Rival:
    """A version as the trainer needs it."""

    card: VersionCard
    onnx: bytes
    keras: bytes

    @property
    def trained_until_ns(self) -> int:
        """The newest cutoff it learned from, in nanoseconds UTC."""
        return to_nanoseconds(datetime.fromisoformat(self.card.trained_until))

    def can_read(self, frame: Frame) -> bool:
        """Whether its features can still be made."""
        return set(self.card.features) <= set(frame.features)
