import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pm_app.learning.data.sufficiency import LEAST_STEPS, name_some, too_fine_for_float32


@given(st.floats(1e-20, 1e25), st.sampled_from([-1.0, 1.0]))
def test_a_range_is_blurred_below_so_many_steps_of_its_size(size, sign):
    low = sign * float(np.float32(size))
    step = float(np.spacing(np.float32(size)))
    ranges = np.array([0.0, LEAST_STEPS / 2, LEAST_STEPS * 2]) * step
    ends = np.sort(np.stack([np.full(3, low), low + sign * ranges]), axis=0)

    np.testing.assert_array_equal(too_fine_for_float32(ends[0], ends[1]), [False, True, False])


def test_a_sensor_without_a_value_is_not_blurred():
    assert not too_fine_for_float32(np.array([np.nan]), np.array([np.nan])).any()


@pytest.mark.parametrize(
    ("names", "told"),
    [([], ""), (["a"], "a"), (list("abc"), "a, b, c"), ("abcde", "a, b, c and 2 more")],
)
def test_the_first_names_stand_for_many(names, told):
    assert name_some(list(names)) == told
