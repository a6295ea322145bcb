"""The output store: predictions, the ledger, the lineage of versions, in one database."""

from pm_app.store.fleet import FleetQuery, FleetRow
from pm_app.store.identity import Standing
from pm_app.store.opening import Store, open_reader, open_store
from pm_app.store.rows import (
    Balance,
    BatchRow,
    Committed,
    ImportanceRow,
    PeakRow,
    PromotionRow,
    RetrainingRow,
    Source,
    VersionRow,
    segments_of,
)

__all__ = [
    "Balance",
    "BatchRow",
    "Committed",
    "FleetQuery",
    "FleetRow",
    "ImportanceRow",
    "PeakRow",
    "PromotionRow",
    "RetrainingRow",
    "Source",
    "Standing",
    "Store",
    "VersionRow",
    "open_reader",
    "open_store",
    "segments_of",
]
