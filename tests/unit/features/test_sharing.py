from dataclasses import replace

import numpy as np
import pytest
from factories import HOUR, SPEC, random_readings

from pm_app.features.frame import build_frame, select_features
from pm_app.features.limits import limit_features
from pm_app.features.panes.panes import build_panes
from pm_app.features.panes.readings import order_rows, take_readings
from pm_app.features.sharing import shared_groups, shared_spec
from pm_app.records.features import FeatureLimits, RunningRule
from pm_app.records.readings import no_events

NARROW = replace(SPEC, sensors=SPEC.sensors[:2], error_codes=())
LIMITED = replace(NARROW, limits=FeatureLimits(highest=(("age", 3.0),)))


def build(spec):
    readings = random_readings()
    panes = build_panes(take_readings(*order_rows(readings)), pane_ns=HOUR)
    first_seen = dict.fromkeys(panes.assets, int(panes.first_row_time.min()))
    return build_frame(panes, no_events(), spec, first_seen=first_seen)


@pytest.mark.parametrize("specs", [(SPEC, LIMITED), (LIMITED, SPEC)])
def test_one_frame_holds_to_the_bit_what_each_spec_builds_by_itself(specs):
    wide = shared_spec(specs)
    assert wide is not None
    whole = build(wide)

    for spec in specs:
        own = build(spec)
        found = select_features(limit_features(whole, spec.limits), own.features)
        np.testing.assert_array_equal(found.values, own.values)
    assert np.isnan(build(LIMITED).values[:, build(LIMITED).features.index("age")]).any()


@pytest.mark.parametrize(
    "other",
    [
        replace(SPEC, windows_ns=(2 * HOUR, 12 * HOUR)),
        replace(SPEC, running=RunningRule("sensor-0", 1.0)),
        replace(SPEC, renewals=("overhaul",)),
        replace(NARROW, error_codes=("stop",)),
    ],
    ids=["windows", "running", "renewals", "each has some the other has not"],
)
def test_specs_that_differ_in_what_features_are_share_no_frame(other):
    assert shared_spec((SPEC, other)) is None
    assert shared_spec((other, SPEC)) is None


def test_specs_that_cannot_share_one_frame_still_share_with_those_that_can():
    narrow = replace(SPEC, sensors=SPEC.sensors[:1], own_minima=True)
    wide = replace(SPEC, own_minima=True)
    other = replace(wide, windows_ns=(7 * HOUR, 14 * HOUR))

    groups = shared_groups([narrow, other, wide])

    assert groups == [(replace(wide, limits=None), (0, 2)), (replace(other, limits=None), (1,))]
    assert shared_groups([]) == []
