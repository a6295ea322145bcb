"""Large work is shared by threads, unless processes share it already; nothing else changes."""

import threading

import numpy as np
from factories import HOUR, random_readings

from pm_app.features.frame import build_frame
from pm_app.features.panes.panes import build_panes
from pm_app.records.features import FeatureSpec
from pm_app.records.readings import no_events
from pm_app.scoring.contributions import contributions
from pm_app.threads import one_thread

FEATURES = 400


class Remembering:
    """A model that remembers which threads asked it."""

    def __init__(self):
        self.asked_by = set()

    def signal(self, values):
        self.asked_by.add(threading.get_ident())
        return values.astype(float).sum(axis=1)


def explain(model):
    values = np.random.default_rng(0).normal(size=(9000, FEATURES)).astype(np.float32)
    owner = [f"sensor-{number % 4}" for number in range(FEATURES)]
    return contributions(model, values, owner, [0.0] * FEATURES)


def test_explanations_are_shared_by_threads_and_by_none_where_processes_share_already():
    shared, alone = Remembering(), Remembering()

    by_threads = explain(shared)
    with one_thread():
        by_one = explain(alone)

    assert threading.get_ident() not in shared.asked_by
    assert alone.asked_by == {threading.get_ident()}
    np.testing.assert_array_equal(by_threads, by_one)


def test_a_frame_is_the_same_whoever_makes_its_parts():
    readings = random_readings(rows=60_000, assets=40, sensors=12, hours=2000, missing=0.1)
    panes = build_panes(readings, pane_ns=HOUR)
    spec = FeatureSpec(readings.sensors, HOUR, (6 * HOUR, 24 * HOUR), (), (), None, change=True,
                       beginning_ns=48 * HOUR)  # fmt: skip
    first = dict.fromkeys(panes.assets, int(panes.pane.min()) * HOUR)

    shared = build_frame(panes, no_events(), spec, first_seen=first)
    with one_thread():
        alone = build_frame(panes, no_events(), spec, first_seen=first)

    assert shared.values.tobytes() == alone.values.tobytes()
