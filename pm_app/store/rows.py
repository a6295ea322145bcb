"""Rows of the store as frozen records; times are aware UTC."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal

BatchStatus = Literal["ingested", "quarantined", "duplicate", "lost", "retried"]
Source = Literal["readings", "events"]
# What a version knows: which failures come, or what is normal.
VersionKind = Literal["failure", "normal"]


# Of one file; why each is left, and of how many files, is noted once for all.
LEFT_NAMED: Final = 20


@dataclass(frozen=True)
class LedgerBalance:
    """Rows of all files together; those of quarantined files are not counted."""

    rows_used: int
    rows_rejected: int


@dataclass(frozen=True)
class BatchRow:
    """What became of one delivered file.

    rows counts what was kept, rejected what was refused; reason says why, "" where all is
    well. first_time and last_time bound its rows. segments names the files on disk that
    carry its panes, reader is the digest of the settings it was read by. A batch is lost when
    none of its segments is left, nor the file; one that is retried was refused, and its file is
    read again.
    left_columns: names of columns that nothing uses, the first LEFT_NAMED of them.
    A joined segment carries several batches and is named by each.
    sequence (the order of ingestion), scored_at and settled (1 once compaction has come by) are
    the store's to set.
    """

    source: Source
    name: str
    digest: str
    size_bytes: int
    modified_ns: int
    rows: int
    rejected: int
    status: BatchStatus
    ingested_at: datetime
    reason: str = ""
    first_time: datetime | None = None
    last_time: datetime | None = None
    segments: tuple[str, ...] = ()
    sequence: int = 0
    scored_at: datetime | None = None
    reader: str = ""
    settled: int = 0
    left_columns: tuple[str, ...] = ()


def segments_of(rows: Iterable[BatchRow]) -> list[str]:
    """The segments that carry these batches, each once, in the order of the rows."""
    return list(dict.fromkeys(name for row in rows for name in row.segments))


@dataclass(frozen=True)
class VersionRow:
    """One trained version: where its files lie, their digest, and a summary as JSON values."""

    version: int
    path: str
    digest: str
    created_at: datetime
    strategy: str
    parameters: int
    status: str
    summary: Mapping[str, object] = field(default_factory=dict)
    kind: VersionKind = "failure"


@dataclass(frozen=True)
class RetrainingRow:
    """One retraining: what was decided, why in words, and the figures behind it.

    version is the one it made, None where it made none. id is the store's to set. kind: of what
    was learned.
    """

    started_at: datetime
    finished_at: datetime
    as_of: datetime
    decision: str
    reason: str
    version: int | None = None
    metrics: Mapping[str, object] = field(default_factory=dict)
    id: int = 0
    kind: VersionKind = "failure"


@dataclass(frozen=True)
class ImportanceRow:
    """What one sensor was worth to a version, and what the network gave it; rank 1 leads."""

    version: int
    sensor: str
    share: float
    spread: float
    rank: int
    tier: str
    units: int
    l1: float


@dataclass(frozen=True)
class PromotionRow:
    """One move of the champion pointer."""

    id: int
    version: int
    at: datetime
    reason: str
    kind: Literal["promote", "rollback"]


@dataclass(frozen=True)
class PredictionRow:
    """A row of the predictions table, in the order of its columns.

    mode_risks, mode_sensors: JSON, failure mode to risk and to the sensors that speak for it; None
    as mode is: no risk, or a version without modes. deviation, deviation_sensors: None where no
    normal behaviour was learned, or nothing can be said; normal_version 0 where none was.
    """

    asset_id: str
    cutoff: datetime
    horizon_hours: float
    status: str
    risk: float | None
    rul_hours: float | None
    rul_low_hours: float | None
    rul_high_hours: float | None
    value: float | None
    top_sensors: str
    model_version: int
    revision: int
    scored_at: datetime
    attention: str
    extrapolated: float | None
    mode: str | None
    mode_risks: str | None
    mode_sensors: str | None
    deviation: float | None
    deviation_sensors: str | None
    normal_version: int


@dataclass(frozen=True)
class PeakRow:
    """The riskiest of the `cutoffs` of one asset, UTC day and horizon that are kept no longer.

    Where none has a risk, the one that deviates most. deviation: the highest of the day, whichever
    cutoff it was at, with its sensors.
    """

    asset_id: str
    day: datetime
    horizon_hours: float
    cutoff: datetime
    status: str
    risk: float | None
    rul_hours: float | None
    top_sensors: str
    model_version: int
    cutoffs: int
    deviation: float | None
    deviation_sensors: str | None


@dataclass(frozen=True)
class CommitCounts:
    """How many predictions a commit added, revised, or found to be there already."""

    new: int = 0
    revised: int = 0
    unchanged: int = 0

    def __add__(self, other: "CommitCounts") -> "CommitCounts":
        """Both together."""
        return CommitCounts(
            self.new + other.new,
            self.revised + other.revised,
            self.unchanged + other.unchanged,
        )
