"""What sensors add to a risk: exact where it can be, with its error where it is sampled."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pm_app.scoring.shapley import MOST_EXACT, explain


class Curved:
    """A signal with products of sensors in it."""

    def __init__(self, weights, pairs=()):
        self.weights, self.pairs = np.asarray(weights, float), pairs

    def signal(self, values):
        values = values.astype(float)
        crossed = sum(values[:, a] * values[:, b] for a, b in self.pairs)
        return values @ self.weights + crossed


def by_hand(model, row, sensor_of, reference):
    """Every order that sensors can join in, one after the other."""
    sensors = list(dict.fromkeys(sensor_of))
    added = dict.fromkeys(sensors, 0.0)
    orders = list(permutations(sensors))
    for order in orders:
        now = np.array(reference, float)
        for sensor in order:
            before = model.signal(now[None])[0]
            mine = [at for at, name in enumerate(sensor_of) if name == sensor]
            now[mine] = row[mine]
            added[sensor] += (model.signal(now[None])[0] - before) / len(orders)
    return [added[sensor] for sensor in sensors]


numbers = st.integers(-4, 4).map(float)


@given(
    row=st.lists(numbers, min_size=5, max_size=5),
    reference=st.lists(numbers, min_size=5, max_size=5),
    weights=st.lists(numbers, min_size=5, max_size=5),
    pairs=st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), max_size=3),
)
def test_few_sensors_are_told_exactly(row, reference, weights, pairs):
    model, sensor_of = Curved(weights, pairs), ("heat", "load", "heat", "flow", "age")
    (found,) = explain(model, np.array(row, np.float32), sensor_of, reference)

    assert found.sensors == ("heat", "load", "flow", "age")
    assert found.added == pytest.approx(by_hand(model, np.array(row), sensor_of, reference))
    assert not found.error.any()


@pytest.mark.parametrize("count", [1, MOST_EXACT, MOST_EXACT + 1, 40])
def test_what_sensors_add_is_the_whole_difference(count):
    rng = np.random.default_rng(count)
    pairs = [(a, (a * 7 + 1) % count) for a in range(count)]
    model = Curved(rng.normal(size=count), pairs)
    row = rng.normal(size=count).astype(np.float32)
    (found,) = explain(model, row, [f"s{n}" for n in range(count)], rng.normal(size=count))

    assert found.added.sum() == pytest.approx(found.signal - found.base, abs=1e-9)
    assert found.signal == pytest.approx(model.signal(row[None])[0])


def test_many_sensors_are_told_within_their_stated_error():
    count = 14
    rng = np.random.default_rng(3)
    pairs = [(a, b) for a in range(count) for b in range(a) if rng.random() < 0.2]
    model = Curved(rng.normal(size=count), pairs)
    row = rng.normal(size=count).astype(np.float32)
    # Of a sum of products the values are known: half of each product's change goes to each.
    truth = model.weights * row
    for a, b in pairs:
        truth[[a, b]] += row[a] * row[b] / 2

    (found,) = explain(model, row, [f"s{n}" for n in range(count)], np.zeros(count))

    assert (found.error > 0).any() or np.allclose(found.added, truth, atol=1e-6)
    assert found.added == pytest.approx(truth, abs=4 * found.error.max() + 1e-5)


@pytest.mark.parametrize("count", [3, MOST_EXACT + 1])
def test_several_signals_are_told_as_each_alone(count):
    rng = np.random.default_rng(count)
    models = [Curved(rng.normal(size=count), [(0, 1)]), Curved(rng.normal(size=count))]
    row, names = rng.normal(size=count).astype(np.float32), [f"s{n}" for n in range(count)]

    class Both:
        def signal(self, values):
            return np.stack([model.signal(values) for model in models], axis=1)

    together = explain(Both(), row, names, np.zeros(count))

    for found, model in zip(together, models, strict=True):
        (alone,) = explain(model, row, names, np.zeros(count))
        assert found.added == pytest.approx(alone.added)
        assert (found.base, found.signal) == pytest.approx((alone.base, alone.signal))


def test_errors_are_as_large_as_seeds_differ():
    count = 12

    class Steep:
        """A signal that no pair of opposite orders averages out."""

        def signal(self, values):
            return np.maximum(values.astype(float).sum(axis=1) - 5, 0) ** 2

    row, names = np.ones(count, np.float32), [f"s{n}" for n in range(count)]
    rows = [explain(Steep(), row, names, np.zeros(count), seed=seed)[0] for seed in range(30)]
    scatter = np.std([one.added for one in rows], axis=0)

    assert scatter.mean() == pytest.approx(np.mean([one.error for one in rows]), rel=0.4)
    (again,) = explain(Steep(), row, names, np.zeros(count))
    assert rows[0].added.tolist() == again.added.tolist()


def test_a_sensor_that_changes_nothing_adds_nothing():
    model = Curved([1.0, 0.0, 2.0])
    (found,) = explain(model, np.array([3, 5, 1], np.float32), ("a", "b", "c"), (0.0, 0.0, 0.0))

    assert found.added.tolist() == [3.0, 0.0, 2.0]
