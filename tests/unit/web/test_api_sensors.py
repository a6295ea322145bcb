"""Sensors of a prediction as data, held against the texts of the table."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pm_app.scoring.contributions import top_sensors_text
from pm_app.web.api.sensors import (
    SensorDeviation,
    SensorShare,
    sensor_deviations,
    sensor_shares,
)

NAMES = st.lists(
    st.text("abÄ -,%()[]", min_size=1, max_size=9).map(lambda name: f"s{name}s"),
    min_size=1,
    max_size=5,
    unique=True,
)


@given(names=NAMES, data=st.data())
def test_the_text_of_a_scorer_is_read_back_as_it_was_meant(names, data):
    amounts = data.draw(st.lists(st.floats(0, 1), min_size=len(names), max_size=len(names)))
    (text,) = top_sensors_text(np.array([amounts]), names)

    found = sensor_shares(text)

    shares = dict(zip(names, np.array(amounts) / (sum(amounts) or 1), strict=True))
    assert ", ".join(f"{each.sensor} {round(100 * each.share)} %" for each in found) == text
    assert all(abs(shares[each.sensor] - each.share) <= 0.0051 for each in found)
    assert [each.share for each in found] == sorted((s.share for s in found), reverse=True)


def test_names_with_blanks_commas_and_units_stay_whole():
    assert sensor_shares("Druck, hinten [bar] 62 %, load 21 %") == (
        SensorShare("Druck, hinten [bar]", 0.62),
        SensorShare("load", 0.21),
    )
    assert sensor_shares("") == ()


def test_a_deviation_names_how_far_and_which_share():
    assert sensor_deviations("bearing_temp +9.1 (71 %), oil, rear -2.0e+03 (20 %)") == (
        SensorDeviation("bearing_temp", 9.1, 0.71),
        SensorDeviation("oil, rear", -2000.0, 0.2),
    )
    assert sensor_deviations("") == ()
