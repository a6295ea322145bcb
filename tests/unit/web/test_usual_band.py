"""Which moments tell what a sensor usually reads."""

import numpy as np

from pm_app.store import PredictionSeries
from pm_app.web.pages.asset.sensors import quiet


def test_a_watched_asset_is_quiet_where_its_deviation_is_low():
    nan = np.full(5, np.nan)
    texts = np.array([""] * 5, dtype=object)
    risk = np.array([0.1, 0.5, np.nan, np.nan, np.nan])
    deviation = np.array([2.0, 0.1, 0.4, 1.5, np.nan])
    predictions = PredictionSeries(np.arange(5), texts, risk, nan, nan, nan, nan, deviation, texts)

    assert quiet(np.arange(6), predictions).tolist() == [True, False, True, False, False, False]
