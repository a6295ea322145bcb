"""Columns and tags that name machine and sensor both, as historians export them."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.csv.readings import CsvReadings
from connectors.parquet.plan import ReadingsFormat
from connectors.parquet.readings import ParquetReadings
from connectors.parquet.side_by_side import part_machines
from pm_app.errors import BadBatch
from pm_app.records.readings import Readings
from pm_app.settings.values import asset_and_sensor

TIMES = [datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=n) for n in range(4)]
WIDE = {
    "P101.Vib": [1.0, 2.0, None, None],
    "P101.Temp": [10.0, None, None, None],
    "K7.Vib": [5.0, None, 7.0, None],
    "Ambient": [20.0] * 4,
}
# By time, then asset; the last moment has no value, and one row that says so.
CELLS = {
    ("P101", 0): {"Vib": 1.0, "Temp": 10.0},
    ("K7", 0): {"Vib": 5.0},
    ("P101", 1): {"Vib": 2.0},
    ("K7", 2): {"Vib": 7.0},
    ("K7", 3): {},
}


def put(folder, columns, ending):
    table = pa.table(columns)
    if ending == "csv":
        texts = [time.isoformat() for time in TIMES] if table.num_rows == len(TIMES) else None
        table = table if texts is None else table.set_column(0, "timestamp", pa.array(texts))
        pa.csv.write_csv(table, folder / "a.csv")
        return CsvReadings
    pq.write_table(table, folder / "a.parquet")
    return ParquetReadings


def cells_of(chunks):
    found = {}
    for chunk in chunks:
        readings = chunk.readings
        for row, time in enumerate(readings.time.tolist()):
            minute = (time - int(TIMES[0].timestamp()) * 10**9) // (60 * 10**9)
            values = dict(zip(readings.sensors, readings.values[:, row].tolist(), strict=True))
            key = (readings.assets[readings.asset[row]], minute)
            found[key] = {name: value for name, value in values.items() if not np.isnan(value)}
    return found


@pytest.mark.parametrize("ending", ["parquet", "csv"])
@pytest.mark.parametrize("most_cells", [3, 1000])
def test_columns_of_machines_side_by_side_are_rows_of_each(tmp_path, ending, most_cells):
    kind = put(tmp_path, {"timestamp": pa.array(TIMES, pa.timestamp("us", "UTC")), **WIDE}, ending)
    form = ReadingsFormat(tags=("{asset}.{sensor}",), dates="auto" if ending == "csv" else None)
    source = kind(str(tmp_path), form, most_cells=most_cells)
    batch = next(source.list())
    chunks = list(source.read(batch))

    assert cells_of(chunks) == CELLS
    assert sum(int(chunk.readings.source_rows.sum()) for chunk in chunks) == len(TIMES)
    assert [(each.name, each.reason) for each in chunks[0].left] == [
        ("Ambient", "fits no pattern of readings.tags")
    ]


@pytest.mark.parametrize("ending", ["parquet", "csv"])
def test_tags_of_a_long_file_name_machine_and_sensor(tmp_path, ending):
    rows = [
        (time.isoformat(), tag, value)
        for tag, values in WIDE.items()
        for time, value in zip(TIMES, values, strict=True)
        if value is not None
    ]
    times, tags, values = zip(*rows, strict=True)
    stamps = pa.array([datetime.fromisoformat(time) for time in times], pa.timestamp("us", "UTC"))
    columns = {"timestamp": stamps if ending == "parquet" else times, "tag": tags, "value": values}
    kind = put(tmp_path, columns, ending)
    form = ReadingsFormat(
        layout="long", tags=("{asset}.{sensor}",), dates="auto" if ending == "csv" else None
    )
    source = kind(str(tmp_path), form)
    chunks = list(source.read(next(source.list())))

    assert cells_of(chunks) == {key: cells for key, cells in CELLS.items() if cells}
    refused = {each.reason: each.rows for chunk in chunks for each in chunk.rejections}
    assert refused == {"tag 'Ambient' fits no pattern of readings.tags": 4}


def test_sensors_and_ignore_are_about_the_sensor_that_machines_share(tmp_path):
    kind = put(
        tmp_path, {"timestamp": pa.array(TIMES, pa.timestamp("us", "UTC")), **WIDE}, "parquet"
    )
    sensors = {}
    for key, value in (("sensors", ("Temp",)), ("ignore", ("Temp",))):
        form = ReadingsFormat(**{"tags": ("{asset}.{sensor}",), key: value})
        source = kind(str(tmp_path), form)
        chunks = list(source.read(next(source.list())))
        sensors[key] = {name for chunk in chunks for name in chunk.readings.sensors}

    assert sensors == {"sensors": {"Temp"}, "ignore": {"Vib"}}


def test_machines_that_share_no_sensor_take_no_more_room_than_was_asked_for(tmp_path):
    table = {"timestamp": pa.array(TIMES, pa.timestamp("us", "UTC"))}
    table |= {f"m{n}.s{n}": [1.0] * len(TIMES) for n in range(10)}
    kind = put(tmp_path, table, "parquet")
    source = kind(str(tmp_path), ReadingsFormat(tags=("{asset}.{sensor}",)), most_cells=200)
    chunks = list(source.read(next(source.list())))

    assert sum(len(chunk.readings.time) for chunk in chunks) == 10 * len(TIMES)
    assert max(chunk.readings.values.size for chunk in chunks) <= 200


def test_a_file_whose_columns_fit_no_pattern_says_so(tmp_path):
    kind = put(
        tmp_path, {"timestamp": pa.array(TIMES, pa.timestamp("us", "UTC")), **WIDE}, "parquet"
    )
    source = kind(str(tmp_path), ReadingsFormat(tags=("Line/{asset}/{sensor}",)))

    with pytest.raises(BadBatch, match=r"'P101.Vib' fits no pattern of readings\.tags"):
        list(source.read(next(source.list())))


@pytest.mark.parametrize(
    ("tag", "patterns", "found"),
    [
        ("P1_Druck_Ein", ["{asset}_{sensor}"], ("P1", "Druck_Ein")),
        ("Line3.P1.Vib", ["*.{asset}.{sensor}"], ("P1", "Vib")),
        ("Vib@P1", ["{sensor}@{asset}"], ("P1", "Vib")),
        ("P1 Vib", ["{asset}.{sensor}", "{asset} {sensor}"], ("P1", "Vib")),
        ("P1", ["{asset}.{sensor}"], None),
        ("P1.", ["{asset}.{sensor}"], None),
    ],
)
def test_the_first_pattern_that_fits_tells_asset_and_sensor(tag, patterns, found):
    assert asset_and_sensor(tag, patterns) == found


@given(st.data())
def test_parted_machines_say_each_value_once(data):
    rows, machines = data.draw(st.integers(1, 6)), data.draw(st.integers(1, 4))
    names = [f"m{m}.{s}" for m in range(machines) for s in ("x", "y")]
    cell = st.sampled_from([np.nan, 1.0, 2.0])
    values = np.array(
        data.draw(
            st.lists(
                st.lists(cell, min_size=rows, max_size=rows),
                min_size=len(names),
                max_size=len(names),
            )
        )
    )
    before = Readings(("-",), np.zeros(rows, np.int32), np.arange(rows), tuple(names), values)
    after = part_machines(before, ("{asset}.{sensor}",))

    assert int(after.source_rows.sum()) == rows
    there = ~np.isnan(after.values)
    found = {
        (after.time[row], f"{after.assets[after.asset[row]]}.{after.sensors[at]}"): value
        for (at, row), value in zip(np.argwhere(there), after.values[there], strict=True)
    }
    wanted = {
        (row, names[at]): values[at, row] for at, row in np.argwhere(~np.isnan(values)).tolist()
    }
    assert found == wanted
