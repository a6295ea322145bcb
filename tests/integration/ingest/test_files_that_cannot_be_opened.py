"""What a plant sends that cannot be right: told, kept out, and never in the way of the rest."""

import json
import os
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from factories import (
    NOW,
    PLANT_TOML,
    START,
    drop,
    events_table,
    opened,
    readings_table,
    said,
)

from pm_app.cli.app import app
from pm_app.errors import BadSettings, SourceUnavailable
from pm_app.features.panes.readings import take_readings
from pm_app.jobs.ingest import panes as panes_module
from pm_app.jobs.ingest.batch import SETTLED_SECONDS
from pm_app.jobs.ingest.crash_guard import MOST_ENDS, crash_guard
from pm_app.jobs.ingest.run import ingest
from pm_app.jobs.score.run import score
from pm_app.records.readings import Batch

GOOD = readings_table(hours=6, missing=0)
SECOND = 10**9
DAY = 86400 * SECOND
NOW_NS = int(NOW.timestamp()) * SECOND


@pytest.fixture
def new_url(on_both_databases):
    return on_both_databases


def at(*moments, asset="pump-00"):
    """Readings of one asset at these nanoseconds."""
    count = len(moments)
    columns = {
        "asset_id": pa.array([asset] * count),
        "timestamp": pa.array(moments, pa.timestamp("ns", "UTC")),
    }
    return pa.table(columns | {f"sensor-{n}": pa.array(np.full(count, 50.0)) for n in range(3)})


def rows_of(plant):
    return {row.name: row for row in plant.store.ledger.batches()}


# Times that cannot be.


def test_a_stray_clock_does_not_pin_an_asset_to_the_future(new_plant):
    stray = pa.concat_tables([GOOD, at(NOW_NS + 173 * 365 * DAY)])
    clean, mixed = (new_plant({"a.parquet": table}) for table in (GOOD, stray))
    seen = []
    for config in (clean, mixed):
        with opened(config) as plant:
            score(plant, now=NOW)
            seen.append((said(plant.store), plant.store.tables.latest_predictions().to_pylist()))
            row = rows_of(plant)["a.parquet"]

    assert seen[0] == seen[1]
    assert (row.status, row.rows, row.rejected) == ("ingested", len(GOOD), 1)
    assert "1 rows: timestamp is more than readings.future = '1d' ahead of its coming" in row.reason
    assert "first 2196-" in row.reason


@pytest.mark.parametrize(
    ("moment", "kept"),
    [
        (NOW_NS + DAY, True),
        (NOW_NS + DAY + 1, False),
        (946_684_800 * SECOND, True),  # the first instant of 2000
        (946_684_800 * SECOND - 1, False),
        (START // 1000, False),  # microseconds taken for nanoseconds
    ],
)
def test_the_limits_belong_to_what_is_kept(new_plant, moment, kept):
    with opened(new_plant({"a.parquet": pa.concat_tables([GOOD, at(moment)])})) as plant:
        ingest(plant, now=NOW)

        assert rows_of(plant)["a.parquet"].rejected == (0 if kept else 1)


def test_a_file_of_nothing_else_is_quarantined(new_plant):
    with opened(new_plant({"a.parquet": at(NOW_NS + 40 * DAY, NOW_NS + 41 * DAY)})) as plant:
        done = ingest(plant, now=NOW)
        row = rows_of(plant)["a.parquet"]

    assert (done.quarantined, row.status) == (1, "quarantined")
    assert "no usable row: 2 rows: timestamp is more than" in row.reason


def test_what_was_too_early_to_be_stays_refused_when_it_is_put_in_order_later(new_plant):
    ahead = NOW_NS + 3 * DAY
    config = new_plant({"a.parquet": pa.concat_tables([GOOD, at(ahead)])})
    with opened(config) as plant:
        score(plant, now=NOW)
        # Its hour has come; a late file makes the first one be read again.
        drop(config, "b.parquet", at(ahead + SECOND, START + 1, asset="pump-00"))
        score(plant, now=NOW + timedelta(days=4))
        drop(config, "c.parquet", at(ahead, asset="pump-00"))
        score(plant, now=NOW + timedelta(days=4))
        refused = {name: row.rejected for name, row in rows_of(plant).items()}

    assert refused == {"a.parquet": 1, "b.parquet": 0, "c.parquet": 0}


def test_events_of_a_stray_clock_are_refused_too(new_plant):
    hours = (NOW_NS - START) / (3600 * SECOND)
    table = events_table([("pump-00", 5, "failure", ""), ("pump-01", hours + 100, "failure", "")])
    with opened(new_plant({"a.parquet": GOOD}, events={"e.parquet": table})) as plant:
        ingest(plant, now=NOW)
        row = rows_of(plant)["e.parquet"]

    assert (row.rows, row.rejected) == (1, 1)
    assert "readings.future" in row.reason


# Files that cannot be opened.


class Closed:
    """A source some of whose files cannot be fetched; counts who was asked for."""

    watched_folder = None

    def __init__(self, source, closed):
        self._source, self._closed, self.asked = source, closed, []

    def list(self):
        """As the source."""
        return self._source.list()

    def left_files(self):
        """None."""
        return iter(())

    def digest(self, batch):
        """Raises SourceUnavailable for those that are closed."""
        self.asked.append(batch.name)
        if batch.name in self._closed:
            raise SourceUnavailable(f"{batch.name}: permission denied")
        return self._source.digest(batch)

    def read(self, batch):
        """As the source."""
        return self._source.read(batch)


def with_closed(plant, names):
    return replace(plant, readings=Closed(plant.readings, names))


def test_files_that_cannot_be_opened_keep_no_other_waiting(new_plant):
    files = {f"{n:02d}.parquet": GOOD.slice(n, 1) for n in range(30)} | {"z.parquet": GOOD}
    closed = set(sorted(files)[:30])
    with opened(new_plant(files)) as plant:
        done = ingest(with_closed(plant, closed), now=NOW)
        row = rows_of(plant)["z.parquet"]

        assert len(done.unavailable) == 30
        assert (row.status, row.rows) == ("ingested", len(GOOD))
        assert ingest(plant, now=NOW).batches == 30


def test_a_source_that_answers_late_each_time_is_left_for_the_next_look(new_plant):
    files = {f"{n:02d}.parquet": GOOD.slice(n, 1) for n in range(30)}
    ticks = iter(range(0, 10_000, 3))
    with opened(new_plant(files)) as plant:
        plant = with_closed(plant, set(files))
        ingest(plant, now=NOW, clock=lambda: float(next(ticks)))

        assert len(plant.readings.asked) == 6


# A way back.


def torn(config, name):
    path = drop(config, name, GOOD)
    path.write_bytes(path.read_bytes()[:-40])


def test_a_file_refused_by_a_setting_is_taken_once_the_setting_is_mended(new_plant):
    wrong = PLANT_TOML + '\n[readings]\nsensors = ["sensor-9"]\n'
    config = new_plant({"a.parquet": GOOD}, toml=wrong)
    with opened(config) as plant:
        score(plant, now=NOW)
        assert rows_of(plant)["a.parquet"].status == "quarantined"
    config.write_text(config.read_text().replace('["sensor-9"]', '["sensor-0", "sensor-1"]'))
    with opened(config) as plant:
        first, second = ingest(plant, now=NOW), ingest(plant, now=NOW)
        statuses = [row.status for row in plant.store.ledger.batches()]

    assert (first.batches, second.batches) == (1, 0)
    assert statuses == ["ingested", "retried"]


def test_what_no_setting_can_mend_is_read_again_only_once(new_plant):
    config = new_plant({"a.parquet": GOOD})
    torn(config, "b.parquet")
    with opened(config) as plant:
        ingest(plant, now=NOW)
    config.write_text(config.read_text() + '\n[readings]\nfuture = "2d"\n')
    with opened(config) as plant:
        looks = [ingest(plant, now=NOW).quarantined for _ in range(3)]

    assert looks == [1, 0, 0]


def test_quarantined_files_are_read_again_when_asked(new_plant, capsys):
    config = new_plant({"a.parquet": GOOD})
    for name in ("b.parquet", "c.parquet"):
        torn(config, name)
    with opened(config) as plant:
        assert ingest(plant, now=NOW).quarantined == 1  # the other one has the same content
    command = ["batches", "-c", str(config)]
    app([*command, "--retry", "b.parquet"], standalone_mode=False)
    said_it = capsys.readouterr().out
    with opened(config) as plant:
        again = ingest(plant, now=NOW)
    app([*command, "--quarantined", "--json"], standalone_mode=False)
    listed = json.loads(capsys.readouterr().out)

    assert "1 files are read again" in said_it
    assert (again.batches, again.quarantined) == (2, 1)
    assert [row["status"] for row in listed] == ["quarantined"]


def test_a_name_that_is_not_quarantined_is_told(new_plant):
    config = new_plant({"a.parquet": GOOD})
    with opened(config) as plant:
        ingest(plant, now=NOW)

    with pytest.raises(BadSettings, match=r"no quarantined file of that name: a\.parquet"):
        app(["batches", "--retry", "a.parquet", "-c", str(config)], standalone_mode=False)
    with pytest.raises(BadSettings, match="names go with --retry"):
        app(["batches", "a.parquet", "-c", str(config)], standalone_mode=False)


def test_mended_bytes_under_the_same_name_need_no_retry(new_plant):
    config = new_plant()
    torn(config, "a.parquet")
    with opened(config) as plant:
        ingest(plant, now=NOW)
        pq.write_table(GOOD, config.parent / "readings" / "a.parquet")

        assert ingest(plant, now=NOW).rows == len(GOOD)


# Files on their way.


def at_mtime(path, moment):
    stamp = int(moment.timestamp() * SECOND)
    os.utime(path, ns=(stamp, stamp))


def test_a_file_that_is_still_being_written_is_waited_for(new_plant):
    config = new_plant({"b.parquet": GOOD})
    path = config.parent / "readings" / "a.parquet"
    path.write_bytes((config.parent / "readings" / "b.parquet").read_bytes()[:-40])
    at_mtime(path, NOW - timedelta(seconds=SETTLED_SECONDS - 1))
    with opened(config) as plant:
        first = ingest(plant, now=NOW)
        pq.write_table(GOOD.slice(0, 7), path)
        second = ingest(plant, now=NOW)

    assert (first.batches, first.arriving, first.unavailable) == (1, 1, ())
    assert (second.batches, second.rows, second.quarantined) == (1, 7, 0)


def test_a_torn_file_that_stands_still_is_quarantined(new_plant):
    config = new_plant()
    torn(config, "a.parquet")
    at_mtime(config.parent / "readings" / "a.parquet", NOW)
    with opened(config) as plant:
        looks = [ingest(plant, now=NOW + timedelta(seconds=s)) for s in (0, SETTLED_SECONDS, 99)]

    assert [(look.arriving, look.quarantined) for look in looks] == [(1, 0), (0, 1), (0, 0)]


# Files that end their reader.


class Deadly:
    """A source one of whose files ends the process, as an abort in a decoder does."""

    watched_folder = None

    def __init__(self, source, name):
        self._source, self._name = source, name

    def list(self):
        """As the source."""
        return self._source.list()

    def left_files(self):
        """None."""
        return iter(())

    def digest(self, batch):
        """As the source."""
        return self._source.digest(batch)

    def count(self, batch):
        """As the source."""
        return self._source.count(batch)

    def read(self, batch):
        """Ends the process at the file of that name."""
        if batch.name == self._name:
            os._exit(6)
        return self._source.read(batch)


def test_a_file_that_ends_its_reader_is_set_aside_and_the_others_are_read(new_plant):
    config = new_plant({"a.parquet": GOOD, "z.parquet": GOOD.slice(0, 9)})

    def look():
        with opened(config) as plant:
            return ingest(replace(plant, readings=Deadly(plant.readings, "a.parquet")), now=NOW)

    codes = []
    for _ in range(MOST_ENDS):
        child = os.fork()
        if not child:
            look()
            os._exit(0)
        codes.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    done = look()
    with opened(config) as plant:
        rows = rows_of(plant)

    assert codes == [6] * MOST_ENDS
    assert (done.batches, done.quarantined) == (2, 1)
    assert "a.parquet: needed a file that can be read, got one" in rows["a.parquet"].reason
    assert rows["z.parquet"].rows == 9
    assert not (config.parent / "state" / "reading.json").exists()


def test_ends_of_the_process_for_other_reasons_are_not_added_up(new_plant):
    config = new_plant({"a.parquet": GOOD})
    with opened(config) as plant:
        for batch in (Batch("a.parquet", 1, 2), Batch("b.parquet", 1, 2)) * 2 * MOST_ENDS:
            with crash_guard(plant.settings.state, batch):
                content = (plant.settings.state / "reading.json").read_bytes()
            # As if the process had ended there.
            (plant.settings.state / "reading.json").write_bytes(content)

        assert ingest(plant, now=NOW).rows == len(GOOD)


# What a file may be without, and what it may bring.


REQUIRED = PLANT_TOML + '\n[readings]\nrequired = ["sensor-0"]\n'


def test_a_file_without_a_required_sensor_is_refused_and_others_may_be_missing(new_plant):
    files = {
        "a.parquet": GOOD,
        "b.parquet": GOOD.slice(0, 9).drop_columns(["sensor-0"]),
        "c.parquet": GOOD.slice(1, 9).drop_columns(["sensor-1"]),
        "d.parquet": GOOD.slice(2, 9).set_column(2, "sensor-0", pa.nulls(9, pa.float64())),
    }
    assert GOOD.column_names[2] == "sensor-0"
    with opened(new_plant(files, toml=REQUIRED)) as plant:
        ingest(plant, now=NOW)
        rows = rows_of(plant)

    status = {name: row.status for name, row in sorted(rows.items())}
    assert list(status.values()) == ["ingested", "quarantined", "ingested", "quarantined"]
    assert "needed values of 'sensor-0' (readings.required), got none in 9 rows" in (
        rows["d.parquet"].reason
    )


def test_rows_that_get_lost_on_the_way_are_an_error_and_no_batch(new_plant, monkeypatch):
    def lose(plant, readings, came):
        return take_readings(readings, np.arange(len(readings.time)) > 0), []

    monkeypatch.setattr(panes_module, "readings_in_time", lose)
    with opened(new_plant({"a.parquet": GOOD})) as plant:
        ingest(plant, now=NOW)
        row = rows_of(plant)["a.parquet"]

    assert row.status == "quarantined"
    told = f"{len(GOOD)} rows came, but {len(GOOD) - 1} were used and 0 rejected"
    assert told in row.reason


def test_more_assets_than_a_plant_has_are_refused(new_plant, monkeypatch):
    monkeypatch.setattr(panes_module, "MOST_ASSETS", 2)
    with opened(new_plant({"a.parquet": GOOD})) as plant:
        ingest(plant, now=NOW)
        row = rows_of(plant)["a.parquet"]

        assert row.status == "quarantined"
        assert "needed at most 2 different asset_id, got more" in row.reason
        assert not list(plant.history.folder.iterdir())


def test_a_reason_has_an_end_and_a_name_that_is_no_text_has_one(new_plant):
    config = new_plant({"a.parquet": GOOD.rename_columns(["x" * 900, "y", "z", "w", "v"])})
    folder = os.fsencode(config.parent / "readings")
    os.rename(folder + b"/a.parquet", folder + b"/caf\xe9.parquet")
    drop(config, "b.parquet", GOOD.rename_columns(["x" * 900, "y", "z", "w", "v"]))
    with opened(config) as plant:
        looks = [ingest(plant, now=NOW).quarantined for _ in range(2)]
        rows = rows_of(plant)

    assert looks == [2, 0]
    assert rows["caf\\xe9.parquet"].reason == "caf\\xe9.parquet: needed a file name in UTF-8"
    assert 100 < len(rows["b.parquet"].reason) <= 2000
