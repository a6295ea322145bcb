"""Wait for the first version: what is missing, how far it is, and what a person can do."""

from typing import Final

from pm_app.store import RetrainingRow
from pm_app.store.lineage import Lineage
from pm_app.wording import waits_text

NOTHING_LEARNED: Final = (
    "nothing has been learned. pm-app run learns by its schedule, pm-app retrain at once."
)
_MORE_FAILURES: Final = (
    "What helps: older failures, with the readings before them; verdicts on alarms; waiting, "
    "for the daemon looks again by its schedule"
)


def first_version_text(lineage: Lineage) -> str:
    """Why no version scores yet, as people say it; "" where one does."""
    if lineage.champion() is not None:
        return ""
    newest = next(iter(lineage.retrainings(limit=1)), None)
    text = f"No model yet: {_wait(lineage, newest) if newest else NOTHING_LEARNED}"
    normal = lineage.champion("normal")
    if normal is None:
        return text
    return f"{text} Until then every machine is watched for unusual behaviour (version {normal})."


def _wait(lineage: Lineage, newest: RetrainingRow) -> str:
    number = newest.version
    if number is None:
        return f"{newest.reason}. {_MORE_FAILURES}; a smaller retraining.minimum_failures."
    if newest.metrics.get("waits"):
        waits = lineage.waiting() is not None
        return f"version {number} {waits_text(number) if waits else 'was rejected'}."
    # What ranking and drift say comes before, and is no news where nothing scores.
    kept_out = newest.reason.partition("kept out: ")[2] or newest.reason
    return (
        f"version {number} is kept out: {kept_out}. {_MORE_FAILURES}; or, where you trust it, "
        f"pm-app promote {number}."
    )
