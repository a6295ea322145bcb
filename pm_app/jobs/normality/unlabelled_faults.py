"""Faults that nobody told of, in the history that normal behaviour was learned from."""

from collections.abc import Mapping

from pm_app.store.lineage import Lineage


def unlabelled_faults_text(lineage: Lineage) -> str:
    """How many episodes look like faults to what says deviations, and what to do; "" if none."""
    number = lineage.champion("normal")
    version = None if number is None else lineage.version(number)
    level = {} if version is None else version.summary.get("level") or {}
    faults = level.get("faults") if isinstance(level, Mapping) else None
    if not faults:
        return ""
    return (
        f"The history that normal behaviour was learned from (version {number}) holds {faults} "
        "episodes that look like faults: tell of events that are missing, or give verdicts on "
        "their alarms. Until then the alarm level rests on the other time, and is set high."
    )
