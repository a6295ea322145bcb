"""The output store: predictions, the ledger, the lineage of versions, in one database."""

from pm_app.store.alarms.outbox import AlarmNews
from pm_app.store.alarms.people import AlarmEventRow, AlarmRow, VerdictRow
from pm_app.store.database.identity import DatabaseState
from pm_app.store.opening import Store, open_reader, open_store
from pm_app.store.predictions.changes import PageEnd
from pm_app.store.predictions.fleet import FleetQuery, FleetRow
from pm_app.store.predictions.series import PredictionSeries
from pm_app.store.predictions.staging import require_whole, write_staged
from pm_app.store.rows import (
    Balance,
    BatchRow,
    Committed,
    ImportanceRow,
    PeakRow,
    PredictionRow,
    PromotionRow,
    RetrainingRow,
    Source,
    VersionRow,
    segments_of,
)
from pm_app.store.users import ROLES, Actor, AuditRow, SessionRow, TokenRow, UserRow, may

__all__ = [
    "ROLES",
    "Actor",
    "AlarmEventRow",
    "AlarmRow",
    "AuditRow",
    "Balance",
    "BatchRow",
    "Committed",
    "PredictionSeries",
    "FleetQuery",
    "FleetRow",
    "ImportanceRow",
    "AlarmNews",
    "PageEnd",
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
    "VersionRow",
    "may",
    "open_reader",
    "open_store",
    "require_whole",
    "segments_of",
    "write_staged",
]
