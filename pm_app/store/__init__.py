"""The output store: predictions, the ledger, the lineage of versions, in one database."""

from pm_app.store.alarms.alarms import AlarmEventRow, AlarmRow, VerdictRow
from pm_app.store.alarms.outbox import OutboxRow
from pm_app.store.database.identity import DatabaseState
from pm_app.store.opening import Store, open_reader, open_store
from pm_app.store.predictions.changes import ChangeCursor
from pm_app.store.predictions.fleet import FleetQuery, FleetRow
from pm_app.store.predictions.series import PredictionSeries
from pm_app.store.predictions.staging import require_whole, write_staged
from pm_app.store.rows import (
    BatchRow,
    CommitCounts,
    ImportanceRow,
    LedgerBalance,
    PeakRow,
    PredictionRow,
    PromotionRow,
    RetrainingRow,
    Source,
    VersionKind,
    VersionRow,
    segments_of,
)
from pm_app.store.users import (
    ROLES,
    Actor,
    AuditRow,
    SessionRow,
    TokenRow,
    UserRow,
    highest_role,
    may,
)

__all__ = [
    "ROLES",
    "Actor",
    "AlarmEventRow",
    "AlarmRow",
    "AuditRow",
    "LedgerBalance",
    "BatchRow",
    "CommitCounts",
    "PredictionSeries",
    "FleetQuery",
    "FleetRow",
    "ImportanceRow",
    "OutboxRow",
    "ChangeCursor",
    "PeakRow",
    "PredictionRow",
    "PromotionRow",
    "RetrainingRow",
    "SessionRow",
    "Source",
    "DatabaseState",
    "Store",
    "TokenRow",
    "UserRow",
    "VerdictRow",
    "VersionKind",
    "VersionRow",
    "highest_role",
    "may",
    "open_reader",
    "open_store",
    "require_whole",
    "segments_of",
    "write_staged",
]
