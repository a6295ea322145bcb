"""Messages to and from the trainer process: plain values, as JSON."""

from dataclasses import dataclass, field
from typing import Any

from pydantic import TypeAdapter

from pm_app.learning.data.failures import ConfirmedFailure
from pm_app.learning.normality.teaching import LeftSpan

# The trainer's exit code for an error that was met on purpose; its last words name it.
REFUSED = 3


@dataclass(frozen=True)
class OfferedNormal:
    """A version of normal behaviour, and the folder it lies in."""

    version: int
    folder: str


@dataclass(frozen=True, kw_only=True)
class LearningRequest:
    """Request to a process that learns: what there is to learn from, and where the result goes.

    settings are the tables of plant.toml but for the store, whose address may hold a password;
    folder is where it lies. Only readings before as_of_ns (nanoseconds UTC) and events up to it
    exist. first_seen: nanoseconds of each asset's first reading. now: ISO text. champion is the
    version that says risks, None before the first. staging is the folder to fill when a version is
    made. confirmed_failures: by verdicts up to then. indices: columns of files that are row
    numbers. alarms: spans of alarms, of which nothing normal is learned.
    """

    settings: dict[str, Any]
    folder: str
    segments: tuple[str, ...]
    event_segments: tuple[str, ...]
    first_seen: dict[str, int]
    as_of_ns: int
    now: str
    champion: int | None
    staging: str
    confirmed_failures: tuple[ConfirmedFailure, ...] = ()
    indices: tuple[str, ...] = ()
    alarms: tuple[LeftSpan, ...] = ()


@dataclass(frozen=True, kw_only=True)
class TrainingRequest(LearningRequest):
    """Request to the trainer. in_a_row_before to force: as in `Evidence`.

    engine: the name of what tries networks beside the trainer. normal: the normal behaviour whose
    deviation is offered as a feature; None without one.
    """

    in_a_row_before: int
    failures_before: int
    failures_last: int
    force: bool
    engine: str | None = None
    normal: OfferedNormal | None = None


@dataclass(frozen=True)
class TrainingResponse:
    """Response of the trainer.

    decision: "first", "keep", "refit", "rebuild" or "not_enough_data". has_version says whether
    the staging folder holds one, promote whether it should score. failures_from_verdicts: how
    many of the failures they confirmed. metrics are for the record of the retraining. missing
    is the path of a segment that has to be rebuilt first.
    """

    decision: str
    reason: str
    has_version: bool = False
    promote: bool = False
    in_a_row: int = 0
    failures: int = 0
    failures_from_verdicts: int = 0
    metrics: dict[str, Any] = field(default_factory=dict)
    missing: str = ""


REQUEST = TypeAdapter(TrainingRequest)
RESPONSE = TypeAdapter(TrainingResponse)
