"""Left files: what lies in the folders of a source and is not read, by reason, for people."""

from dataclasses import dataclass
from typing import Final

from pm_app.ports import BatchSource
from pm_app.store import Source

_MOST_REASONS: Final = 20
_MOST_NAMES: Final = 5


@dataclass(frozen=True)
class LeftFiles:
    """Files of a source that are not read for one reason: how many, and the first by name."""

    source: Source
    reason: str
    files: int
    names: tuple[str, ...]

    @property
    def words(self) -> str:
        """How many of what they are, which, and why they are left."""
        count = "1 file" if self.files == 1 else f"{self.files:,} files"
        verb = "is" if self.files == 1 else "are"
        more = self.files - len(self.names)
        also = f" and {more:,} more" if more else ""
        names = f"{', '.join(self.names)}{also}"
        return f"{count} of {self.source} {verb} not read: {names}: {self.reason}"


def count_left(source: Source, port: BatchSource) -> tuple[LeftFiles, ...]:
    """What a source leaves now, most files first; flat in memory.

    Raises SourceUnavailable.
    """
    counts: dict[str, int] = {}
    names: dict[str, list[str]] = {}
    for left in port.left_files():
        reason = left.reason
        if reason not in counts and len(counts) >= _MOST_REASONS:
            reason = "other reasons"
        counts[reason] = counts.get(reason, 0) + 1
        names[reason] = sorted([*names.get(reason, ()), left.name])[:_MOST_NAMES]
    found = (LeftFiles(source, why, n, tuple(names[why])) for why, n in counts.items())
    return tuple(sorted(found, key=lambda left: (-left.files, left.reason)))
