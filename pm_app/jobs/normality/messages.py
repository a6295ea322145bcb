"""Messages to and from the process that learns normal behaviour: plain values, as JSON."""

from dataclasses import dataclass, field
from typing import Any

from pydantic import TypeAdapter

from pm_app.learning.data.failures import ConfirmedFailure
from pm_app.learning.normality.teaching import LeftSpan


@dataclass(frozen=True)
class NormalRequest:
    """Request to learn what is normal, and where the result goes.

    settings, folder, segments, event_segments, first_seen, as_of_ns, confirmed_failures, indices,
    staging: as of `TrainingRequest`. now: ISO text. champion: the failure model that scores,
    whose features are taken where they would do; before: the normal behaviour that scores; None
    without one. alarms: spans that must not teach for them.
    """

    settings: dict[str, Any]
    folder: str
    segments: tuple[str, ...]
    event_segments: tuple[str, ...]
    first_seen: dict[str, int]
    as_of_ns: int
    now: str
    champion: int | None
    before: int | None
    staging: str
    alarms: tuple[LeftSpan, ...] = ()
    confirmed_failures: tuple[ConfirmedFailure, ...] = ()
    indices: tuple[str, ...] = ()


@dataclass(frozen=True)
class NormalResponse:
    """Response: what was learned, and whether a person has to say yes.

    decision: "first", "renewed", "kept" or "not_enough_data". has_version: whether the staging
    folder holds one; publish: whether it may speak without a person. metrics: for the record.
    missing: the path of a segment that has to be rebuilt first.
    """

    decision: str
    reason: str
    has_version: bool = False
    publish: bool = False
    metrics: dict[str, Any] = field(default_factory=dict)
    missing: str = ""


NORMAL_REQUEST = TypeAdapter(NormalRequest)
NORMAL_RESPONSE = TypeAdapter(NormalResponse)
