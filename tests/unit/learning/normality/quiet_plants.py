"""Small plants of machines that do nothing unusual, but for what a test does to them."""

from collections.abc import Callable

import numpy as np

from pm_app.features.frame import build_frame
from pm_app.features.panes.panes import build_panes
from pm_app.learning.normality.learn import HealthyRows, LearnedNormal, learn_normal
from pm_app.progress import silent
from pm_app.records.features import FeatureSpec, Frame, RunningRule
from pm_app.records.normality import NormalCard, PhysicalLimits
from pm_app.records.readings import Readings, no_events
from pm_app.scoring.deviation import DeviationPredictor
from pm_app.settings.deviation import DeviationSettings
from pm_app.times import HOUR_NS

SENSORS = ("load", "noise", "oil", "temperature")
START = 1_704_067_200 * 10**9
SPEC = FeatureSpec(
    sensors=SENSORS,
    pane_ns=HOUR_NS,
    windows_ns=(3 * HOUR_NS, 12 * HOUR_NS),
    maintenance_codes=(),
    error_codes=(),
    clock=None,
    change=True,
    beginning_ns=24 * HOUR_NS,
    smooth_ns=(24 * HOUR_NS,),
    own_minima=True,
    running=RunningRule("load", 5.0),
)
Harm = Callable[[np.ndarray, np.ndarray], None]


def quiet_values(assets: int, hours: int, seed: int = 0) -> np.ndarray:
    """(n_sensors, n_assets, n_hours): temperature follows load, oil follows temperature."""
    rng = np.random.default_rng(seed)
    day = np.sin(2 * np.pi * np.arange(hours) / 24)
    load = 60 + 8 * day + rng.normal(0, 4, (assets, hours))
    temperature = 20 + 0.5 * load + rng.normal(0, 1, (assets, 1)) + rng.normal(0, 0.5, load.shape)
    oil = temperature - 5 + rng.normal(0, 0.3, load.shape)
    return np.stack([load, rng.normal(50, 5, load.shape), oil, temperature])


def quiet_frame(
    assets: int = 6, days: int = 20, *, seed: int = 0, harm: Harm | None = None
) -> Frame:
    """Every feature of such a plant. harm(values, hours) changes values in place."""
    hours = 24 * days
    values = quiet_values(assets, hours, seed)
    if harm is not None:
        harm(values, np.arange(hours))
    time = START + HOUR_NS * np.arange(hours, dtype=np.int64) + 60 * 10**9
    names = tuple(f"pump-{number}" for number in range(assets))
    readings = Readings(
        names,
        np.repeat(np.arange(assets), hours).astype(np.int32),
        np.tile(time, assets),
        SENSORS,
        values.reshape(len(SENSORS), -1),
    )
    panes = build_panes(readings, pane_ns=HOUR_NS)
    return build_frame(panes, no_events(), SPEC, first_seen=dict.fromkeys(names, int(time[0])))


def learn(frame: Frame, healthy: np.ndarray | None = None, **given: object) -> LearnedNormal:
    """What is normal in a frame; all of it is healthy where nobody says otherwise."""
    settings = DeviationSettings(**given)
    chosen = np.ones(len(frame.cutoff), dtype=bool) if healthy is None else healthy
    return learn_again(frame, chosen, settings)


def learn_again(
    frame: Frame,
    healthy: np.ndarray,
    settings: DeviationSettings | None = None,
    *,
    before: NormalCard | None = None,
    limits: tuple[PhysicalLimits, ...] = (),
    speaks: LearnedNormal | None = None,
) -> LearnedNormal:
    """The same after a normal of before; speaks: that it is measured beside."""
    return learn_normal(
        HealthyRows(frame, healthy, SPEC, limits),
        settings=settings or DeviationSettings(),
        before=before if speaks is None else speaks.card,
        seed=0,
        progress=silent,
        raw_before=None if speaks is None else DeviationPredictor(speaks.onnx, speaks.card).raw,
    )
