import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pm_app.scoring.contributions import (
    attention_text,
    contributions,
    stands_out,
    top_sensors_text,
)

SENSOR_OF = ("heat", "heat", "load", "age")
REFERENCE = (1.0, 1.0, 0.0, 0.0)


class WeightedSum:
    """A model whose signal is a weighted sum, and which remembers its largest block."""

    def __init__(self, weights):
        self.weights = np.array(weights, float)
        self.most_rows = 0

    def signal(self, values):
        self.most_rows = max(self.most_rows, len(values))
        return values.astype(float) @ self.weights


def test_each_sensor_adds_what_it_is_away_from_healthy():
    model = WeightedSum([1.0, 2.0, -3.0, 0.5])
    values = np.array([[2.0, 3.0, 1.0, 4.0]], dtype=np.float32)

    found = contributions(model, values, SENSOR_OF, REFERENCE)

    assert found == pytest.approx(np.array([[1 + 4, -3, 2]]))


def test_blocks_do_not_change_the_answer_and_bound_the_rows():
    model = WeightedSum([1.0, 2.0, -3.0, 0.5])
    values = np.random.default_rng(0).normal(size=(9000, 4)).astype(np.float32)

    found = contributions(model, values, SENSOR_OF, REFERENCE)
    one = np.vstack(
        [contributions(model, values[i : i + 1], SENSOR_OF, REFERENCE) for i in (0, 8999)]
    )

    assert found[[0, 8999]] == pytest.approx(one)
    assert model.most_rows <= 8192


def test_no_rows_give_no_contributions():
    found = contributions(
        WeightedSum([1, 1, 1, 1]), np.empty((0, 4), np.float32), SENSOR_OF, REFERENCE
    )

    assert found.shape == (0, 3)


def test_text_names_only_what_raises_risk():
    shares = np.array([[3.0, -5.0, 1.0], [-1.0, -1.0, 0.0]])

    assert top_sensors_text(shares, ("heat", "load", "age")) == ["heat 75 %, age 25 %", ""]


def test_ties_keep_the_order_of_sensors():
    assert top_sensors_text(np.ones((1, 3)), ("b", "a", "c"), most=2) == ["b 33 %, a 33 %"]


def test_crumbs_are_left_out():
    assert top_sensors_text(np.array([[97.0, 3.0]]), ("heat", "load")) == ["heat 97 %"]


def test_attention_spread_over_many_sensors_names_its_leaders():
    attention = np.full((1, 40), 0.97 / 39, dtype=np.float32)
    attention[0, 7] = 0.03
    sensors = [f"s{number}" for number in range(40)]

    assert attention_text(attention, sensors) == ["s7 3 %, s0 2 %, s1 2 %"]


def test_attention_that_differs_by_rounding_alone_is_a_tie():
    attention = np.array([[0.4, 0.30001, 0.3], [0.4, 0.3, 0.30001]], dtype=np.float32)

    assert attention_text(attention, ("b", "a", "c")) == ["b 40 %, a 30 %, c 30 %"] * 2


@given(
    shares=st.lists(st.lists(st.floats(-1e3, 1e3), min_size=4, max_size=4), min_size=1, max_size=5)
)
def test_named_shares_never_exceed_the_whole(shares):
    for text in top_sensors_text(np.array(shares), ("a", "b", "c", "d")):
        named = [int(part.split()[1]) for part in text.split(", ") if part]
        assert sum(named) <= 101


def test_a_risk_that_does_not_stand_out_from_the_usual_has_nothing_to_explain():
    risk = np.array([0.001, 0.08, 0.0801, 0.9, np.nan])

    assert stands_out(risk, 0.08).tolist() == [False, False, True, True, True]
    assert stands_out(risk, None).all()
