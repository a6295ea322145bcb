"""A plant of six load regimes is learned as well as the same plant at one load."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.ensemble import ExtraTreesClassifier

from pm_app.features.frame import build_frame
from pm_app.features.panes.panes import build_panes
from pm_app.features.regimes.search import find_regimes, followers
from pm_app.learning.data.labels import life_labels
from pm_app.learning.importance.forest import average_precision
from pm_app.records.features import FeatureSpec
from pm_app.records.readings import Readings
from pm_app.simulator import PlantPlan, simulate
from pm_app.times import HOUR_NS

PANE = 3 * HOUR_NS
WINDOWS = (12 * HOUR_NS, 24 * HOUR_NS)
HORIZON_HOURS = 48.0
PLAN = PlantPlan(
    assets=24,
    days=60,
    nuisance=2,
    typical_life_days=8.0,
    warning_days=4.0,
    change_at=1.0,
    variable_speed=True,
    regime_hours=4.0,
)


def panes_of(plant):
    assets, steps = plant.values.shape[1:]
    readings = Readings(
        assets=plant.assets,
        asset=np.repeat(np.arange(assets, dtype=np.int32), steps),
        time=np.tile(plant.time, assets),
        sensors=plant.sensors,
        values=plant.values.reshape(len(plant.sensors), -1),
    )
    return build_panes(readings, pane_ns=PANE)


def precision_of(plant, panes, regimes, *, splits):
    """Mean average precision of a forest on pumps it never saw, the other half of the plant."""
    beside = () if regimes is None else followers(regimes)
    spec = FeatureSpec(panes.sensors, PANE, WINDOWS, (), (), None, regimes, beside=beside)
    first_seen = dict.fromkeys(plant.assets, int(plant.time[0]))
    frame = build_frame(panes, plant.events, spec, first_seen=first_seen)
    labels = life_labels(frame, plant.events, known_until=None)
    fails = labels.fails_within(HORIZON_HOURS)
    usable = labels.usable & np.isfinite(fails)
    # By sensors alone: ages and errors would hide what regimes do to sensors.
    columns = [n for n, sensor in enumerate(frame.sensor_of) if sensor in spec.sensors]
    values = np.nan_to_num(frame.values[:, columns])
    precisions = []
    for seed in range(splits):
        learned = np.random.default_rng(seed).permutation(len(plant.assets))[::2]
        train = np.isin(frame.asset, learned)
        forest = ExtraTreesClassifier(
            30, min_samples_leaf=3, max_features=0.2, random_state=seed
        ).fit(values[train & usable], fails[train & usable])
        said = forest.predict_proba(values[~train & usable])[:, 1]
        truth = np.asarray(fails[~train & usable], dtype=float)
        precisions.append(average_precision(truth, said)[0])
    return float(np.mean(precisions))


def compare(seed, *, splits):
    """Average precision at one load, at six with regimes, and at six without."""
    one, six = (simulate(replace(PLAN, regimes=regimes, seed=seed)) for regimes in (1, 6))
    panes_one, panes_six = panes_of(one), panes_of(six)
    found_one, found_six = (
        find_regimes(panes, columns=None, stretch_panes=32).regimes
        for panes in (panes_one, panes_six)
    )

    assert found_one is None
    # Six loads, and standing still.
    assert len(found_six.centres) in (6, 7)
    return (
        precision_of(one, panes_one, None, splits=splits),
        precision_of(six, panes_six, found_six, splits=splits),
        precision_of(six, panes_six, None, splits=splits),
    )


def test_six_regimes_are_learned_as_well_as_one_load_and_worse_without_regimes():
    one, regimes, without = compare(0, splits=2)

    print(f"one load {one:.3f}, six regimes {regimes:.3f}, without regimes {without:.3f}")
    assert abs(regimes - one) <= 0.02
    assert without < regimes - 0.02


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_other_plants_of_six_regimes_are_learned_as_well_as_one_load(seed):
    one, regimes, without = compare(seed, splits=4)

    print(f"one load {one:.3f}, six regimes {regimes:.3f}, without regimes {without:.3f}")
    assert abs(regimes - one) <= 0.02
    assert without < regimes - 0.02
