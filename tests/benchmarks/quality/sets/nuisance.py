"""Sensors that carry no news of a machine's health, added to a fold.

Of three kinds in turn: a value that wanders and comes back (an autoregression of its own speed),
white noise, and a real sensor as another engine had it. The first two go through the product's
own panes and windows; of the third the whole block of features is taken, row by row from one
engine at a random place of its life, going round: it keeps how features of a sensor hang together
and how they run, and knows nothing of the engine it is given to.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from benchmarks.quality.sets.folds import Fold
from scipy.signal import lfilter

from pm_app.features.frame import build_frame, select_features
from pm_app.features.panes.panes import build_panes
from pm_app.records.features import FeatureSpec, Frame
from pm_app.records.readings import Readings, no_events
from pm_app.times import HOUR_NS

# What the import of C-MAPSS sets; a real sensor's features are picked from what these make.
WINDOWS_HOURS = (5, 20, 60)
BEGINNING_HOURS = 24
# Hours in which a wandering value forgets half of what it was.
HALF_LIVES_HOURS = (3.0, 100.0)
KINDS = 3
# Sensors simulated at once, and hours between two engines after which nothing is remembered.
_AT_ONCE = 20
_APART_HOURS = 1_000


def add_nuisance(fold: Fold, count: int, *, seed: int) -> Fold:
    """The fold with that many further sensors, of as many features as its largest real ones."""
    if not count:
        return fold
    parts = [fold.frame, *_nuisance(fold.frame, count, np.random.default_rng(seed))]
    frame = replace(
        fold.frame,
        features=tuple(name for part in parts for name in part.features),
        sensor_of=tuple(name for part in parts for name in part.sensor_of),
        values=np.concatenate([part.values for part in parts], axis=1),
    )
    return replace(fold, frame=frame)


def largest_sensors(frame: Frame) -> tuple[str, ...]:
    """Sensors with the most features, in order of column."""
    sizes = Counter(frame.sensor_of)
    return tuple(name for name in frame.sensors if sizes[name] == max(sizes.values()))


def borrow_rows(asset: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """For each row of an asset a row of another, the same other one for all, (n_rows,).

    asset: (n_rows,), rows of an asset together. Consecutive rows stay consecutive, from a random
    place on; after the other's last row comes its first.
    """
    _, first, owner, rows = np.unique(
        asset, return_index=True, return_inverse=True, return_counts=True
    )
    assets = len(first)
    order = rng.permutation(assets)
    lender = np.empty(assets, dtype=np.intp)
    lender[order] = np.roll(order, 1)
    start = rng.integers(0, rows[lender])
    place = np.arange(len(asset)) - first[owner]
    other = lender[owner]
    return np.asarray(first[other] + (start[owner] + place) % rows[other])


def _nuisance(frame: Frame, count: int, rng: np.random.Generator) -> Iterator[Frame]:
    models = largest_sensors(frame)
    numbers = np.arange(count)
    borrowed = numbers[numbers % KINDS == KINDS - 1]
    simulated = numbers[numbers % KINDS != KINDS - 1]
    for begin in range(0, len(simulated), _AT_ONCE):
        yield _simulate(frame, simulated[begin : begin + _AT_ONCE], models[0], rng)
    for number in borrowed:
        model = models[rng.integers(len(models))]
        yield _borrow(frame, name_of(int(number)), model, rng)


def name_of(number: int) -> str:
    """What a nuisance sensor is called, by its number from 0."""
    return f"nuisance{number:03d}"


def _borrow(frame: Frame, name: str, model: str, rng: np.random.Generator) -> Frame:
    columns = [at for at, sensor in enumerate(frame.sensor_of) if sensor == model]
    suffixes = [frame.features[at].removeprefix(f"{model}.") for at in columns]
    return replace(
        frame,
        features=tuple(f"{name}.{suffix}" for suffix in suffixes),
        sensor_of=(name,) * len(columns),
        values=frame.values[borrow_rows(frame.asset, rng)[:, None], columns],
    )


def _simulate(frame: Frame, numbers: np.ndarray, model: str, rng: np.random.Generator) -> Frame:
    """Sensors of these numbers, with the features that the model sensor has."""
    names = tuple(name_of(int(number)) for number in numbers)
    time = frame.cutoff - HOUR_NS
    readings = Readings(
        frame.assets, frame.asset, time, names, _values(frame.asset, numbers % KINDS == 0, rng)
    )
    spec = FeatureSpec(
        sensors=names,
        pane_ns=HOUR_NS,
        windows_ns=tuple(hours * HOUR_NS for hours in WINDOWS_HOURS),
        maintenance_codes=(),
        error_codes=(),
        clock=None,
        change=True,
        beginning_ns=BEGINNING_HOURS * HOUR_NS,
        own_minima=True,
    )
    first = np.unique(frame.asset, return_index=True)[1]
    seen = {frame.assets[frame.asset[row]]: int(time[row]) for row in first}
    panes = build_panes(readings, pane_ns=HOUR_NS)
    built = build_frame(panes, no_events(), spec, first_seen=seen)
    suffixes = [
        feature.removeprefix(model)
        for feature, sensor in zip(frame.features, frame.sensor_of, strict=True)
        if sensor == model
    ]
    return select_features(built, tuple(f"{name}{end}" for name in names for end in suffixes))


def _values(asset: np.ndarray, wanders: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Readings (n_sensors, n_rows), each of mean 0 and deviation 1; some wander, others jump."""
    owner = np.unique(asset, return_inverse=True)[1]
    hour = _APART_HOURS + np.arange(len(asset)) + _APART_HOURS * owner
    series = np.empty((len(wanders), len(asset)))
    for at, wandering in enumerate(wanders):
        half_life = np.exp(rng.uniform(*np.log(HALF_LIVES_HOURS)))
        keeps = 0.5 ** (1.0 / half_life) if wandering else 0.0
        noise = rng.normal(size=int(hour[-1]) + 1)
        series[at] = lfilter([np.sqrt(1.0 - keeps**2)], [1.0, -keeps], noise)[hour]
    return series
