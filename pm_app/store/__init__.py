"""The output store: predictions, the ledger, the lineage of versions, in one database."""

from pm_app.store.opening import Store, open_reader, open_store
from pm_app.store.rows import (
    BatchRow,
    Committed,
    ImportanceRow,
    PeakRow,
    PromotionRow,
    RetrainingRow,
    Source,
    VersionRow,
)

__all__ = [
    "BatchRow",
    "Committed",
    "ImportanceRow",
    "PeakRow",
    "PromotionRow",
    "RetrainingRow",
    "Source",
    "Store",
    "VersionRow",
    "open_reader",
    "open_store",
]
