"""Previews of files of events: what each row would become, what is left over, and why."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class PreviewedRow:
    """A row of a file, and the event it would become; reason: why it would not, "" where it would.

    words: kind, code and text as delivered. since, time: nanoseconds since 1970 UTC, as `Events`
    has them.
    """

    words: tuple[str, str, str]
    asset: str
    since: int
    time: int
    kind: str
    code: str
    order: str
    reason: str


@dataclass(frozen=True)
class SuggestedPattern:
    """A pattern that would know texts that none knows: how many rows, and some of their texts.

    setting: that it is for; what the texts mean is for a person to say.
    """

    setting: str
    pattern: str
    rows: int
    examples: tuple[str, ...]


@dataclass(frozen=True)
class EventsPreview:
    """The rows of a file in its order, and patterns for what is left over, most rows first."""

    rows: tuple[PreviewedRow, ...]
    suggestions: tuple[SuggestedPattern, ...]


@dataclass(frozen=True)
class ProposedSettings:
    """Keys of a section of plant.toml that read a file, and units of its columns by name.

    zoned: whether its times say where their clock stood. remarks: what a person has to say.
    """

    keys: Mapping[str, Any]
    units: Mapping[str, str]
    zoned: bool
    remarks: tuple[str, ...]
