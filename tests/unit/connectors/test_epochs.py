"""Times that are numbers: Unix times of any unit, and counts from a start."""

from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.columns.epochs import START_NS, times_of_numbers
from connectors.columns.times import TimeRules, read_times
from connectors.csv.readings import CsvReadings
from connectors.events.form import EventsFormat
from connectors.events.source import FileEvents
from connectors.parquet.plan import ReadingsFormat
from connectors.parquet.readings import ParquetReadings
from pm_app.errors import BadBatch
from pm_app.times import HOUR_NS, NS, to_nanoseconds

WHEN = to_nanoseconds(datetime(2024, 2, 3, 14, 5, tzinfo=UTC))
UNITS = {"s": NS, "ms": 1_000_000, "us": 1000, "ns": 1}


@given(
    st.integers(to_nanoseconds(datetime(1980, 1, 1, tzinfo=UTC)), 2**62), st.sampled_from("smun")
)
def test_the_size_of_a_whole_number_tells_its_unit(stamp, letter):
    unit = {"s": "s", "m": "ms", "u": "us", "n": "ns"}[letter]
    ticks = stamp // UNITS[unit]
    time, wrong = times_of_numbers(np.array([ticks]), None)

    assert not wrong.any()
    assert time[0] == pd.Timestamp(ticks, unit=unit).as_unit("ns").value


@given(st.floats(0, 1e6), st.sampled_from([NS, HOUR_NS]))
def test_counts_go_on_from_the_start(count, step):
    time, wrong = times_of_numbers(np.array([count]), step)

    assert not wrong.any()
    assert abs(int(time[0]) - START_NS - count * step) <= 1000


@pytest.mark.parametrize("number", [np.nan, np.inf, -1.0, 12.5, 1e30])
def test_what_is_no_time_is_told_with_what_a_count_would_need(number):
    column = pa.array([WHEN / NS, number, None])
    found = read_times(column, "ts", TimeRules("Europe/Berlin", None, section="readings"))

    assert found.time.tolist() == [WHEN, 0, 0]
    assert [why for _, why in found.refused][:1] == ["ts is null"]
    assert f"ts is {number}; needed a time" in found.refused[1][1]
    assert 'readings.counts = "1h"' in found.refused[1][1]


def put(folder, column, ending):
    table = pa.table(
        {"asset_id": ["p"] * len(column), "timestamp": column, "x": [1.0] * len(column)}
    )
    if ending == "parquet":
        pa.parquet.write_table(table, folder / "a.parquet")
        return ParquetReadings
    pa.csv.write_csv(table, folder / "a.csv")
    return CsvReadings


@pytest.mark.parametrize("ending", ["parquet", "csv"])
@pytest.mark.parametrize("unit", UNITS)
def test_files_with_unix_times_need_no_settings(tmp_path, ending, unit):
    ticks = [WHEN // UNITS[unit], (WHEN + HOUR_NS) // UNITS[unit]]
    source = put(tmp_path, pa.array(ticks), ending)(str(tmp_path), ReadingsFormat(dates="auto"))
    (chunk,) = source.read(next(source.list()))

    assert chunk.readings.time.tolist() == [WHEN, WHEN + HOUR_NS]


@pytest.mark.parametrize("ending", ["parquet", "csv"])
def test_files_with_counts_are_read_by_how_long_one_is(tmp_path, ending):
    source = put(tmp_path, pa.array([0.0, 1.5, 20240203.0]), ending)
    by_hours = source(str(tmp_path), ReadingsFormat(dates="auto", counts=HOUR_NS))
    (chunk,) = by_hours.read(next(by_hours.list()))
    hours = [(time - START_NS) / HOUR_NS for time in chunk.readings.time.tolist()]

    assert hours == [0, 1.5, 20240203.0][: len(hours)]


def test_a_file_of_counts_that_nobody_has_spoken_of_says_what_to_set(tmp_path):
    source = put(tmp_path, pa.array([0.0, 1.5]), "csv")(str(tmp_path), ReadingsFormat(dates="auto"))

    with pytest.raises(BadBatch, match=r"is 0(\.0)?; needed a time.*readings\.counts"):
        list(source.read(next(source.list())))


@pytest.mark.parametrize(
    ("text", "counts", "hours"),
    [("1706969100000", None, None), ("36.5", "1h", 36.5), ("7", "1d", 168)],
)
def test_lists_of_events_may_number_their_times(tmp_path, text, counts, hours):
    (tmp_path / "stops.csv").write_text(f"asset_id,timestamp\np,{text}\n")
    form = EventsFormat(default_kind="failure", counts=counts)
    source = FileEvents(str(tmp_path), form)
    events, reasons = source.read(next(source.list()))

    wanted = WHEN if hours is None else START_NS + round(hours * HOUR_NS)
    assert (events.time.tolist(), reasons) == ([wanted], ())


def test_eight_digits_are_a_date_unless_numbers_count():
    column = pa.array(["20240203"])
    day = read_times(column, "ts", TimeRules("UTC", None, order="auto"))
    count = read_times(column, "ts", TimeRules("UTC", None, order="auto", counts=NS))

    assert day.time[0] == to_nanoseconds(datetime(2024, 2, 3, tzinfo=UTC))
    assert count.time[0] == START_NS + 20240203 * NS
