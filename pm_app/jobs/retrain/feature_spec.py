"""Feature specification of a retraining: which features there are, and which are informative."""

from collections import Counter
from collections.abc import Collection, Sequence

import numpy as np

from pm_app.errors import BadSettings
from pm_app.features.frame import is_rolled
from pm_app.learning.data.sufficiency import name_some, value_range
from pm_app.records.features import IN_REGIME, FeatureSpec, Frame, Panes, RunningRule
from pm_app.records.labels import Labels
from pm_app.records.readings import Events, is_row_number
from pm_app.settings.plant import Settings
from pm_app.settings.sources import matches_any
from pm_app.settings.values import read_running

# A code seen less often than this cannot be told from chance.
LEAST_CODES = 3


def make_spec(
    seen: Sequence[str],
    events: Events,
    settings: Settings,
    *,
    keys: Panes,
    indices: Collection[str] = (),
) -> FeatureSpec:
    """Specification of features, from settings and from the sensors, events and panes seen.

    indices: columns that files have told since to be row numbers; a version of before may have
    learned from them, later ones do not, nor from what the settings ignore.
    """
    sensors = settings.readings.sensors or _measuring(seen, settings.readings.ignore, indices)
    column = settings.target.column
    _require_numeric(column, seen)
    # One pane an asset is a table: windows and memory would only repeat the row.
    is_table, features = len(keys.pane) == len(keys.assets), settings.features
    return FeatureSpec(
        sensors=tuple(name for name in sensors if name != column),
        pane_ns=keys.pane_ns,
        windows_ns=() if is_table else features.windows_ns,
        maintenance_codes=_codes(events, "maintenance"),
        error_codes=_codes(events, "error"),
        inspections=int((events.kind == "inspection").sum()) >= LEAST_CODES,
        inspection_codes=tuple(code for code in _codes(events, "inspection") if code),
        renewals=settings.events.renewals,
        mode_renewals=tuple(
            (name, mode.renewals) for name, mode in settings.modes.items() if mode.renewals
        ),
        own_minima=True,
        clock=settings.plant.timezone if features.clock else None,
        life=features.life and not is_table,
        change=features.change and not is_table,
        scaled_change=features.scaled_change and not is_table,
        beginning_ns=None if is_table else features.beginning_ns,
        smooth_ns=() if is_table else features.smooth_ns,
        running=_running_rule(settings.readings.running, seen),
    )


def _require_numeric(column: str | None, seen: Sequence[str]) -> None:
    if column is not None and column not in seen:
        raise BadSettings(
            f"target.column: {column!r} is no numeric column of the readings, "
            f"which have {name_some(seen)}; text is written as numbers, classes as 0, 1 and so on"
        )


def _measuring(
    seen: Sequence[str], ignore: Sequence[str], indices: Collection[str]
) -> tuple[str, ...]:
    """Those that neither number rows nor are ignored."""
    numbering = {name for name in seen if name in indices or is_row_number(name)}
    return tuple(name for name in seen if name not in numbering and not matches_any(name, ignore))


def _running_rule(condition: str | None, seen: Sequence[str]) -> RunningRule | None:
    if condition is None:
        return None
    sensor, above = read_running(condition)
    if sensor not in seen:
        raise BadSettings(
            f"readings.running: {sensor!r} is no numeric column of the readings, "
            f"which have {name_some(seen)}"
        )
    return RunningRule(sensor, above)


def _codes(events: Events, kind: str) -> tuple[str, ...]:
    counts = Counter(events.code[events.kind == kind].tolist())
    return tuple(sorted(code for code, count in counts.items() if count >= LEAST_CODES))


def informative_features(frame: Frame, labels: Labels) -> tuple[str, ...]:
    """The features that change; of a sensor that never does, its last.

    What is missing is the same within regimes, and there once.

    Every sensor keeps a place: what is constant today may speak tomorrow. Of what is now
    there and now missing, windows tell the share: no statistic of theirs or of memory counts as
    changing for that alone, or a constant sensor's slope would, which needs two panes.
    """
    low, high = value_range(frame, labels)
    # What is missing once is the least of all.
    least = np.minimum.reduce(frame.values, axis=0, initial=np.inf, where=labels.usable[:, None])
    rolled = np.array([is_rolled(name) for name in frame.features])
    comes_and_goes = np.isnan(least) & np.isfinite(low) & ~rolled
    repeats = np.array(
        [_repeats(*pair) for pair in zip(frame.features, frame.sensor_of, strict=True)]
    )
    changes = ((high > low) | comes_and_goes) & ~repeats
    speaks = {frame.sensor_of[number] for number in np.flatnonzero(changes)}
    return tuple(
        name
        for name, sensor, change in zip(frame.features, frame.sensor_of, changes, strict=True)
        if change or (sensor not in speaks and name.endswith(".last"))
    )


def _repeats(feature: str, sensor: str) -> bool:
    return feature.endswith(IN_REGIME) and feature.startswith(f"{sensor}.missing.")
