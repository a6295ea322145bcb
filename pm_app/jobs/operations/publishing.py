"""Publishing of predictions: the newest of each asset, to brokers and web servers.

How far a channel has come is noted after it has taken what was committed until then: killed
between the two, the same is published again, and nothing is left out.
"""

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from pm_app.durable import make_folder, write_bytes
from pm_app.errors import PmAppError, TransientError
from pm_app.ports import Publisher
from pm_app.store import FleetQuery, FleetRow, Store

log = logging.getLogger(__name__)
FOLDER: Final = "published"


def publish(store: Store, state: Path, channels: Mapping[str, Publisher], *, plant: str) -> str:
    """Send each channel the assets whose prediction was said since it last took some.

    state: the state folder. Raises TransientError where a channel took nothing, after the others
    had their turn, and StoreUnavailable.
    """
    identity, newest = store.identity.state().identity, store.tables.newest_commit()
    outcome, failures = [], []
    for name, publisher in channels.items():
        mark = state / FOLDER / f"{name}.json"
        after = _commit(mark, identity, publisher.place)
        if after == newest:
            continue
        # A store that was put back to an earlier day says everything anew.
        changed = None if after > newest else store.changes.assets(after=after)
        rows = [
            row
            for row in store.fleet.rows(FleetQuery(order="asset", descending=False))
            if changed is None or row.asset_id in changed
        ]
        try:
            publisher.publish([(row.asset_id, document_of(row, plant)) for row in rows])
        except PmAppError as error:
            failures.append(str(error))
            continue
        make_folder(mark.parent)
        content = {"store": identity, "place": publisher.place, "commit": newest}
        write_bytes(mark, json.dumps(content).encode())
        outcome.append(f"{len(rows)} assets to {name}")
    if failures:
        raise TransientError("; ".join(failures))
    return ", ".join(outcome) or "nothing new"


def document_of(row: FleetRow, plant: str) -> str:
    """The prediction of an asset as JSON; what is not known is null."""
    fields: dict[str, Any] = {
        "plant": plant,
        "asset": row.asset_id,
        "cutoff": row.cutoff.isoformat(),
        "horizon_hours": row.horizon_hours,
        "status": row.status,
        "level": row.level,
        "risk": row.risk,
        "rul_hours": row.rul_hours,
        "rul_low_hours": row.rul_low_hours,
        "rul_high_hours": row.rul_high_hours,
        "mode": row.mode,
        "mode_risks": json.loads(row.mode_risks) if row.mode_risks else None,
        "deviation": row.deviation,
        "top_sensors": row.top_sensors,
        "alarm": row.alarm,
        "version": row.model_version,
        "scored_at": row.scored_at.isoformat(),
    }
    return json.dumps(fields, allow_nan=False)


def _commit(mark: Path, identity: str, place: str) -> int:
    """The commit that a channel has taken, -1 for none; another address begins anew."""
    try:
        found = json.loads(mark.read_bytes())
        ours = (found["store"], found["place"]) == (identity, place)
        return int(found["commit"]) if ours else -1
    except (OSError, ValueError, LookupError, TypeError):
        return -1
