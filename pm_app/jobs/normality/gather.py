"""Rows that normal behaviour is learned from: features of a bounded number of cutoffs, and which
of them may teach."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from pm_app.errors import NotEnoughData
from pm_app.features.frame import build_frame, select_features
from pm_app.features.panes.panes import no_panes
from pm_app.jobs.retrain.dataset import (
    DatasetSource,
    all_failures,
    choose_features,
    join_frames,
)
from pm_app.jobs.retrain.extent import Past, asset_groups, past_until
from pm_app.learning.normality.inputs import readable_features
from pm_app.learning.normality.learn import HealthyRows
from pm_app.learning.normality.teaching import (
    LeftSpan,
    TeachingRows,
    event_spans,
    teaching_rows,
)
from pm_app.records.features import FeatureSpec, Frame
from pm_app.records.normality import PhysicalLimits
from pm_app.records.readings import take_events
from pm_app.settings.plant import Settings
from pm_app.times import HOUR_NS

LeftRows = tuple[tuple[str, int], ...]
# Beyond this many rows what is normal is known no surer.
MOST_ROWS: Final = 60_000
# So many times fewer assets are read at once than for a retraining, whose rows take more anyway.
_SMALLER_GROUPS: Final = 4
# Where the time before failures leaves less than this share of what else would teach, it is cut
# down to the longest horizon: failures come too often to wait for an untouched month.
LEAST_SHARE: Final = 1 / 3


def gather_normal(
    source: DatasetSource,
    settings: Settings,
    *,
    as_of_ns: int,
    alarms: Sequence[LeftSpan] = (),
    like: FeatureSpec | None = None,
) -> tuple[HealthyRows, LeftRows]:
    """Cutoffs up to `as_of_ns`, thinned evenly in time where there are too many; and why rows are
    left out, with how many.

    like: features of what scores, whose regimes stay where they are found again. Raises as
    `gather_dataset`.
    """
    source = replace(source, events=take_events(source.events, source.events.time <= as_of_ns))
    past = past_until(source.history, source.segments, as_of_ns // source.history.pane_ns - 1)
    if not len(past.keys.pane):
        raise NotEnoughData("not enough data: no readings yet, some are needed to learn from")
    spec, _ = choose_features(source, past, settings, like)
    stride = -(-len(past.keys.pane) // MOST_ROWS)
    groups = tuple(asset_groups(past.keys, _SMALLER_GROUPS * len(spec.seen)))
    # Of a fleet keys alone are a hundred megabytes.
    past = replace(past, keys=no_panes(past.keys.pane_ns))
    limits = _physical_limits(settings)
    frame = _frame(source, past, spec, groups=groups, stride=stride, limits=limits)
    teaching = _teaching(source, settings, frame, spec, alarms, as_of_ns)
    return HealthyRows(frame, teaching.healthy, spec, limits), teaching.left_out


def _physical_limits(settings: Settings) -> tuple[PhysicalLimits, ...]:
    """What sensors can read at all, by name."""
    return tuple(
        (name, each.limits.get("low"), each.limits.get("high"))
        for name, each in sorted(settings.sensors.items())
        if each.limits
    )


def _frame(
    source: DatasetSource,
    past: Past,
    spec: FeatureSpec,
    *,
    groups: Sequence[Sequence[str]],
    stride: int,
    limits: Sequence[PhysicalLimits],
) -> Frame:
    """Some assets at a time, of the rows that stay the features alone that may be looked at."""
    features, built = readable_features(spec, limits), []
    for assets in groups:
        panes = past.read(set(assets))
        stays = np.flatnonzero(panes.pane % stride == 0)
        if len(stays):
            whole = build_frame(
                panes, source.events, spec, first_seen=source.first_seen, wanted=stays
            )
            built.append(select_features(whole, features))
    return join_frames(built)


def _teaching(
    source: DatasetSource,
    settings: Settings,
    frame: Frame,
    spec: FeatureSpec,
    alarms: Sequence[LeftSpan],
    as_of_ns: int,
) -> TeachingRows:
    """What may teach, with the life that is not told apart left out before failures."""
    confirmed = source.confirmed_failures
    events = all_failures(source.events, confirmed, settings, known_until=as_of_ns).events
    window_ns = spec.windows_ns[-1] if spec.windows_ns else spec.pane_ns
    horizon = settings.target.horizons_hours[-1]
    longest = settings.target.cap_hours if horizon else 0.0

    def rows(before_hours: float) -> TeachingRows:
        left = event_spans(
            events, before_ns=round(before_hours * HOUR_NS), renewals=settings.renewals
        )
        return teaching_rows(
            frame, [*alarms, *left], window_ns=window_ns, first_seen=source.first_seen
        )

    whole, least = rows(longest), rows(horizon)
    enough = whole.healthy.sum() >= LEAST_SHARE * least.healthy.sum()
    return whole if enough else least
