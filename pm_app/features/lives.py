"""Lives of assets: since when each leads its present one, by its past events; point in time.

A life begins with the asset's first reading, ends with a failure, and the next one begins with
the repair: the first maintenance at or after the failure and before the next one, the rule by
which time to failure is taught too. Between failure and repair the life that began with the
failure counts. Maintenance without a failure goes on with the same machine: codes do not say
whether a filter was changed or a gearbox, and a part as good as new shows in the readings.
"""

from collections.abc import Mapping

import numpy as np

from pm_app.features.events import Keys, events_among, newest_until
from pm_app.features.runs import places_among
from pm_app.records.readings import Events, Int64


def life_starts(
    keys: Keys, events: Events, *, first_seen: Mapping[str, int], pane_ns: int
) -> Int64:
    """The pane from which the life counts that each cutoff lies in, shape (n_rows,).

    The first pane that begins at or after the event: one that holds readings of both sides
    belongs to neither life, and the cutoff at its end has the life before it still to come.
    An event at the very cutoff counts as known.
    """
    assets, asset, cutoff = keys
    begun = np.array([first_seen[name] // pane_ns for name in assets], dtype=np.int64)
    event_asset, event_time = _turns(assets, events)
    newest, some = newest_until(event_asset, event_time, asset, cutoff)
    return np.where(some, -(-newest // pane_ns), begun[asset])


def _turns(assets: tuple[str, ...], events: Events) -> tuple[Int64, Int64]:
    """Asset number and time of every failure and every repair, by asset, then time."""
    events = events_among(events, assets)
    numbers = places_among(events.asset.tolist(), assets)
    failure = np.asarray(events.kind == "failure", dtype=bool)
    kept = (numbers >= 0) & (failure | np.asarray(events.kind == "maintenance", dtype=bool))
    # Of one time the failure comes first: events are sorted by kind last.
    numbers, times, failure = numbers[kept], events.time[kept], failure[kept]
    after_failure = np.zeros(len(times), dtype=bool)
    after_failure[1:] = failure[:-1] & (numbers[1:] == numbers[:-1])
    turns = failure | after_failure
    return numbers[turns], times[turns]
