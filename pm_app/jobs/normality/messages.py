"""Messages to and from the process that learns normal behaviour: plain values, as JSON."""

from dataclasses import dataclass, field
from typing import Any

from pydantic import TypeAdapter

from pm_app.jobs.retrain.messages import LearningRequest


@dataclass(frozen=True, kw_only=True)
class NormalRequest(LearningRequest):
    """Request to learn what is normal.

    before: the normal behaviour that scores, None without one. Features of the champion are taken
    where they would do.
    """

    before: int | None


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
