import numpy as np
import pytest

from pm_app.learning.allocation.planner import embedding_width, find_gaps, make_planner
from pm_app.learning.training.revision import average_importance, revise_plan
from pm_app.records.features import Frame
from pm_app.records.learning import Importance


def make_importance(weights):
    """Importance in proportion to these weights by sensor, every sensor its own cluster."""
    total = sum(weights.values())
    shares = tuple(weight / total for weight in weights.values())
    return Importance(
        sensors=tuple(weights),
        shares=shares,
        spread=(0.0,) * len(shares),
        replicates=(shares,),
        clusters=tuple((sensor,) for sensor in weights),
        cluster_shares=shares,
        interactions=(),
        score_name="average_precision",
        score=0.9,
    )


def make_frame(values, sensor_of):
    rows = len(values)
    features = tuple(f"{sensor}.{at}" for at, sensor in enumerate(sensor_of))
    return Frame(
        ("a",),
        np.zeros(rows, dtype=np.int32),
        np.arange(rows, dtype=np.int64),
        features,
        tuple(sensor_of),
        np.asarray(values, dtype=np.float32),
    )


def make_gaps(rows=400):
    """Heat's two features are missing together, load's apart, age once, wear always."""
    values = np.ones((rows, 6))
    values[:40, 0] = values[:40, 1] = np.nan
    values[50:60, 2] = values[70:90, 3] = np.nan
    values[5, 4] = np.nan
    values[:, 5] = np.nan
    return make_frame(values, ("heat", "heat", "load", "load", "age", "wear"))


def test_gaps_get_one_indicator_a_pattern_and_rare_or_constant_ones_none():
    gaps = find_gaps(make_gaps(), np.arange(400))

    stands_for = {"heat.0": "heat.0", "heat.1": "heat.0", "load.2": "load.2", "load.3": "load.3"}
    assert gaps == stands_for


def test_only_the_rows_learned_from_decide():
    assert find_gaps(make_gaps(), np.arange(100, 400)) == {}


def test_indicators_count_as_inputs_of_their_sensor():
    importance = make_importance({"heat": 0.5, "load": 0.3, "age": 0.2, "wear": 0.0})

    planner = make_planner(make_gaps(), np.arange(400), importance, outputs=3, max_parameters=5_000)

    assert planner.inputs == {"heat": 3, "load": 4, "age": 1, "wear": 1}
    assert planner.plan("tiers").indicators == planner.indicators == ("heat.0", "load.2", "load.3")
    assert planner.plan("tiers", size=2_000).parameters <= 2_000


def test_few_features_are_embedded_more_widely():
    widths = [embedding_width(features) for features in (6, 30, 31, 120, 121, 9_000)]

    assert widths == [16, 16, 8, 8, 4, 4]


def test_members_have_kernels_of_their_own_where_features_are_few():
    values = np.random.default_rng(0).normal(size=(5_000, 31))
    few, many = (
        make_planner(
            make_frame(values[:, :count], [f"s{at}" for at in range(count)]),
            np.arange(5_000),
            make_importance({f"s{at}": 1.0 for at in range(count)}),
            outputs=1,
            max_parameters=200_000,
        )
        for count in (30, 31)
    )

    assert few.plan("uniform").packs == few.plan("uniform").members == 8
    assert many.plan("uniform").packs == 1
    assert few.size > 4 * many.size
    assert few.plan("uniform", size=3_000).packs == 1


@pytest.fixture
def planner():
    shares = {f"s{at}": share for at, share in enumerate((0.5, 0.3, 0.15, 0.05))}
    values = np.random.default_rng(0).normal(size=(50, 16))
    frame = make_frame(values, [f"s{at // 4}" for at in range(16)])
    return make_planner(
        frame, np.arange(50), make_importance(shares), outputs=3, max_parameters=9_000
    )


def test_a_revised_plan_deals_units_and_penalties_anew_within_its_parameters(planner):
    plan = planner.plan("tiers+regularized", size=9_000)
    turned = make_importance({f"s{at}": 0.1 + 0.2 * at for at in range(4)})

    revised = revise_plan(plan, turned, planner)

    assert revised.parameters <= plan.parameters
    assert [t.sensors for t in revised.tiers] == [t.sensors for t in plan.tiers]
    assert revised.tiers[0].units < plan.tiers[0].units
    assert revised.tiers[-1].units > plan.tiers[-1].units
    before, after = (dict(zip(p.sensors, p.l1, strict=True)) for p in (plan, revised))
    assert after["s3"] < before["s3"]
    assert after["s0"] > before["s0"]
    assert np.mean(list(after.values())) == pytest.approx(np.mean(list(before.values())))


def test_a_flat_penalty_stays_flat(planner):
    plan = planner.plan("tiers")

    assert revise_plan(plan, make_importance({f"s{at}": at for at in range(4)}), planner).l1 == (
        plan.l1
    )


def test_the_same_importance_moves_little(planner):
    plan = planner.plan("tiers")

    revised = revise_plan(plan, planner.importance, planner)

    assert all(abs(a.units - b.units) <= 1 for a, b in zip(plan.tiers, revised.tiers, strict=True))


def test_two_opinions_are_averaged():
    first = make_importance({"a": 1.0, "b": 0.0})
    second = make_importance({"a": 0.4, "b": 0.6})

    assert average_importance(first, second).shares == pytest.approx((0.7, 0.3))
