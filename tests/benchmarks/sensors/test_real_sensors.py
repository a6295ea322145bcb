"""Sensor quality on real sets: machines that fail, and no word against their sensors.

    python -m pytest -m benchmark tests/benchmarks/sensors/test_real_sensors.py

PM_APP_TEST_DATA names the folder of the sets; without it, or without them, nothing is asked.
"""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pm_app.features.panes.panes import build_panes
from pm_app.features.sensor_quality.grading import QualityRules, grade_sensors, look_back
from pm_app.records.readings import Readings
from pm_app.times import HOUR_NS, NS

DATA = Path(os.environ.get("PM_APP_TEST_DATA", Path(__file__).parents[4] / "shared" / "data"))
CUTS = (0.5, 0.7, 0.85, 1.0)
LATE = 2**62
pytestmark = pytest.mark.benchmark


def table(path: Path, **options) -> pd.DataFrame:
    if not path.exists():
        pytest.skip(f"{path} is not there")
    return pd.read_csv(path, **options)


def looks(time, columns: dict[str, np.ndarray], pane_ns: int):
    """Sensors judged, and remarks, as it was known at some moments."""
    names = tuple(sorted(columns))
    values = np.array([columns[name] for name in names], dtype=float)
    judged, remarks = 0, []
    for cut in CUTS:
        size = int(len(time) * cut)
        readings = Readings(
            ("a",), np.zeros(size, np.int32), np.asarray(time[:size]), names, values[:, :size]
        )
        panes = build_panes(readings, pane_ns=pane_ns)
        panes = panes.take(panes.pane > panes.pane.max() - look_back(pane_ns))
        for quality in grade_sensors(panes, QualityRules(), now=LATE):
            judged += quality.judged
            remarks += quality.remarks
    return judged, remarks


def nanoseconds(column) -> np.ndarray:
    return pd.to_datetime(column).to_numpy("datetime64[ns]").astype(np.int64)


@pytest.mark.parametrize("minutes", [10, 60])
def test_a_machine_that_shuts_down_and_fails_has_a_sound_sensor(minutes):
    given = table(DATA / "nab_machine_temperature" / "machine_temperature_system_failure.csv")
    given.columns = ["timestamp", "value"]
    given = given.sort_values("timestamp", kind="stable")
    columns = {"value": given.value.to_numpy()}
    judged, remarks = looks(nanoseconds(given.timestamp), columns, minutes * HOUR_NS // 60)

    assert (judged, remarks) == (len(CUTS), [])


@pytest.mark.parametrize("seconds", [1, 5, 10])
def test_a_healthy_water_loop_has_sound_sensors(seconds):
    given = table(DATA / "skab" / "anomaly-free" / "anomaly-free.csv.gz", sep=";")
    given = given.sort_values("datetime", kind="stable")
    columns = {name: given[name].to_numpy() for name in given if name != "datetime"}
    judged, remarks = looks(nanoseconds(given.datetime), columns, seconds * NS)

    assert judged >= 7 * len(CUTS) and remarks == []


@pytest.mark.parametrize("seconds", [1, 5, 10])
def test_a_robot_that_stops_itself_has_sound_sensors(seconds):
    path = DATA / "ur3_cobotops" / "dataset_02052023.csv"
    given = table(path, sep=";", decimal=",", usecols=range(1, 22))
    stamps = pd.to_datetime(given.pop("Timestamp").str.strip('"'), format="ISO8601", utc=True)
    order = np.argsort(stamps.dt.tz_localize(None).to_numpy(), kind="stable")
    columns = {name: pd.to_numeric(given[name]).to_numpy()[order] for name in given}
    time = stamps.dt.tz_localize(None).to_numpy("datetime64[ns]").astype(np.int64)[order]
    judged, remarks = looks(time, columns, seconds * NS)

    assert judged >= 40 and remarks == []


@pytest.mark.parametrize("name", ["FD001", "FD003"])
def test_engines_that_wear_out_have_sound_sensors(name):
    given = table(DATA / "cmapss" / f"train_{name}.txt.gz", sep=r"\s+", header=None)
    counts = [
        looks(
            np.arange(len(engine), dtype=np.int64) * HOUR_NS,
            {f"s{at:02d}": engine[at].to_numpy() for at in range(2, 26)},
            HOUR_NS,
        )
        for _, engine in given.groupby(0)
    ]

    assert sum(judged for judged, _ in counts) > 1_000
    assert [remark for _, remarks in counts for remark in remarks] == []
