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
    choose_features,
    join_frames,
)
from pm_app.jobs.retrain.extent import Past, asset_groups, past_until
from pm_app.jobs.retrain.normal import teaching_of
from pm_app.learning.normality.inputs import readable_features
from pm_app.learning.normality.learn import HealthyRows
from pm_app.learning.normality.teaching import LeftSpan
from pm_app.records.features import FeatureSpec, Frame
from pm_app.records.normality import PhysicalLimits
from pm_app.records.readings import take_events
from pm_app.settings.plant import Settings

LeftRows = tuple[tuple[str, int], ...]
# Beyond this many rows what is normal is known no surer.
MOST_ROWS: Final = 60_000


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
    groups = tuple(asset_groups(past.keys, len(spec.seen)))
    # Of a fleet keys alone are a hundred megabytes.
    past = replace(past, keys=no_panes(past.keys.pane_ns))
    limits = _physical_limits(settings)
    frame = _frame(source, past, spec, groups=groups, stride=stride, limits=limits)
    teaching = teaching_of(source, settings, frame, spec, alarms, as_of_ns)
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
