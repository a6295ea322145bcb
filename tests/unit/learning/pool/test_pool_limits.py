"""Law 12 in a pool: what stops coming never becomes evidence, for the forest as for the network."""

from dataclasses import replace

import numpy as np
import pytest
from factories import HOUR, START, make_card, make_graph, task_of

from pm_app.features.frame import build_frame, feature_names
from pm_app.features.limits import learn_limits, limit_features
from pm_app.features.panes.panes import build_panes
from pm_app.jobs.score.champion import Champion
from pm_app.jobs.score.predict import predict_frame
from pm_app.learning.data.labels import life_labels
from pm_app.learning.data.targets import choose_head
from pm_app.learning.pool import forest as growing
from pm_app.learning.pool.forest import fit_forest
from pm_app.learning.pool.graph import pool_graph
from pm_app.records.features import FeatureSpec, Frame
from pm_app.records.labels import Split
from pm_app.records.readings import Events, Readings, sort_events
from pm_app.scoring.predictor import Predictor

ASSETS, LEARNED, HOURS = 6, 100, 300
SPEC = FeatureSpec(("heat",), HOUR, (3 * HOUR,), ("seal",), ("E1",), None, inspections=True)
BY_EVENTS = ("age", "since.maintenance.seal", "since.inspection")


def make_events() -> Events:
    """Per asset a failure and its repair, and the last words on it, by hour LEARNED."""
    rows = [
        (f"pump-{number}", at + 2.0 * number, kind, code)
        for number in range(ASSETS)
        for at, kind, code in (
            (20.0, "inspection", ""),
            (40.0, "failure", ""),
            (41.0, "maintenance", "seal"),
            (60.0, "inspection", ""),
            (80.0, "failure", ""),
            (81.0, "maintenance", "seal"),
        )
    ]
    assets, hours, kinds, codes = zip(*rows, strict=True)
    time = START + np.array(hours).astype(np.int64) * HOUR
    columns = (np.array(each, dtype=object) for each in (kinds, codes))
    return sort_events(np.array(assets, dtype=object), time, *columns)


@pytest.fixture(scope="module")
def frame() -> Frame:
    """Hourly readings that say nothing, long after the last event."""
    readings = Readings(
        assets=tuple(f"pump-{number}" for number in range(ASSETS)),
        asset=np.repeat(np.arange(ASSETS, dtype=np.int32), HOURS),
        time=np.tile(START + np.arange(HOURS) * HOUR, ASSETS),
        sensors=("heat",),
        values=np.random.default_rng(0).normal(size=(1, ASSETS * HOURS)),
    )
    first_seen = dict.fromkeys(readings.assets, START)
    panes = build_panes(readings, pane_ns=HOUR)
    return build_frame(panes, make_events(), SPEC, first_seen=first_seen)


@pytest.fixture(scope="module")
def champion(frame) -> Champion:
    """A pool in equal shares, whose forest learned from the first hours, gaps of feeds included."""
    until = START + LEARNED * HOUR
    labels = life_labels(frame, make_events(), known_until=until)
    rows = np.flatnonzero(labels.usable & (frame.cutoff <= until))
    limits = learn_limits(frame, rows, ())
    head = choose_head(labels, rows, task="life", horizons_hours=(12.0, 24.0), cap_hours=60.0)
    split = Split(rows, rows, rows, rows, group=frame.asset, how="by asset")
    task = task_of(limit_features(frame, limits), labels, split, "life", (12.0, 24.0), head)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(growing, "TREES", 12)
        forest = fit_forest(task, rows, seed=0)
    features = feature_names(SPEC)[0]
    network = make_graph(len(features), edges=len(head.edges_hours))
    card = make_card(replace(SPEC, limits=limits), head=head)
    graph = pool_graph(network, {"network": 0.5, "forest": 0.5}, forest=forest)
    predictor = Predictor(graph, head=head, calibration=card.calibration, features=features)
    return Champion(1, card, predictor)


def risks(frame: Frame, champion: Champion) -> np.ndarray:
    """Risks within both horizons as scoring has them, (n_rows, 2)."""
    return predict_frame(frame, champion).risk.reshape(-1, 2)


def test_age_and_hours_since_events_beyond_training_are_as_good_as_missing_to_a_pool(
    frame, champion
):
    limits = champion.card.spec.limits
    late = frame.take(np.flatnonzero(frame.cutoff > START + 200 * HOUR))
    unknown = late.values.copy()
    unknown[:, [late.features.index(name) for name in BY_EVENTS]] = np.nan

    limited = limit_features(late, limits)

    np.testing.assert_array_equal(limited.values[:, : late.features.index("age")],
                                  late.values[:, : late.features.index("age")])  # fmt: skip
    assert np.isnan(limited.values[:, [late.features.index(name) for name in BY_EVENTS]]).all()
    own = limit_features(replace(late, values=unknown), limits)
    np.testing.assert_array_equal(risks(limited, champion), risks(own, champion))
    # Without limits they would have a say in both members.
    assert (np.abs(risks(late, champion) - risks(own, champion)) > 0.01).any()


@pytest.mark.parametrize("errors", [50.0, 5e6])
def test_a_storm_of_errors_is_no_more_to_a_pool_than_the_worst_it_learned_from(
    frame, champion, errors
):
    at = frame.features.index("errors.E1.3h")
    limits = replace(champion.card.spec.limits, highest=(("errors.E1.3h", 4.0),))
    worst, storm = (
        replace(frame, values=np.where(np.arange(frame.values.shape[1]) == at, count, frame.values))
        for count in (np.float32(4.0), np.float32(errors))
    )

    said = [risks(limit_features(each, limits), champion) for each in (worst, storm)]

    np.testing.assert_array_equal(*said)
    assert not np.array_equal(risks(storm, champion), said[0])
