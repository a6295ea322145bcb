"""What was said in a Delta table: every revision once, whoever dies or comes at the same time."""

from datetime import timedelta

import pyarrow as pa
import pytest
from factories import NOW, hour, opened, promote_handmade, readings_table, said
from sqlalchemy import delete, update

from pm_app.cli.app import app
from pm_app.errors import BadSettings, TerminalError, TransientError
from pm_app.jobs.backfill.run import backfill
from pm_app.jobs.operations.lake import export_to_lake
from pm_app.jobs.score.run import score
from pm_app.store.predictions.read import NUMBERED_SCHEMA
from pm_app.store.schema.predictions import counters, prediction_history, predictions

deltalake = pytest.importorskip("deltalake", reason="needs pm-app[lake]")
lakes = pytest.importorskip("connectors.lake", reason="needs pm-app[lake]")

HOURS = 12
KEY = ("asset_id", "cutoff", "horizon_hours")


@pytest.fixture
def plant(new_plant):
    """A plant that has said something once."""
    with opened(new_plant({"a.parquet": readings_table(hours=HOURS)})) as plant:
        score(plant, now=NOW)
        yield plant


@pytest.fixture
def lake(tmp_path):
    return lakes.DeltaLake(str(tmp_path / "lake"))


def rows_in(lake):
    """What the Delta table holds, by key and revision."""
    table = pa.table(deltalake.DeltaTable(lake.uri).to_pyarrow_table())
    return sorted(
        table.to_pylist(), key=lambda row: (*(row[name] for name in KEY), row["revision"])
    )


def log_in(store):
    """Every revision there is, by key and revision, with the columns of the table."""
    rows = [row for part in store.tables.superseded() for row in part.to_pylist()] + said(store)
    return sorted(rows, key=lambda row: (*(row[name] for name in KEY), row["revision"]))


def without_number(rows):
    return [{name: row[name] for name in row if name != "commit_number"} for row in rows]


def say_again(plant, *, now):
    """Another version speaks of the first hours: their rows are revised."""
    promote_handmade(plant, seed=int(now.timestamp()) % 1000)
    return backfill(plant, first=hour(0), last=hour(6), now=now)


def versions_of(lake):
    return deltalake.DeltaTable(lake.uri).version()


def test_the_lake_holds_every_revision_once_with_the_columns_of_the_table(plant, lake):
    first = export_to_lake(plant.store, lake)
    revised = say_again(plant, now=NOW + timedelta(hours=1))
    second = export_to_lake(plant.store, lake)

    assert revised.revised > 0
    assert first.rows == len(said(plant.store))
    assert second.rows == revised.revised
    assert without_number(rows_in(lake)) == log_in(plant.store)
    found = deltalake.DeltaTable(lake.uri).to_pyarrow_table().schema
    assert found.names == NUMBERED_SCHEMA.names
    newest = {tuple(row[name] for name in KEY): row for row in rows_in(lake)}
    assert without_number(newest.values()) == said(plant.store)


def test_what_was_superseded_between_two_exports_is_there_as_it_was_said(plant, lake):
    export_to_lake(plant.store, lake)
    for hours in (1, 2, 3):
        say_again(plant, now=NOW + timedelta(hours=hours))
    export_to_lake(plant.store, lake)

    assert max(row["revision"] for row in rows_in(lake)) == 4
    assert without_number(rows_in(lake)) == log_in(plant.store)


def test_a_lake_of_before_gets_a_column_that_predictions_have_since(plant, lake):
    class Older:
        """An export by a program whose predictions had no such column."""

        def __init__(self):
            self.position = lake.position

        def append(self, schema, tables, **named):
            parts = (part.drop_columns("extrapolated") for part in tables)
            lake.append(schema.remove(schema.names.index("extrapolated")), parts, **named)

    export_to_lake(plant.store, Older())
    before = rows_in(lake)
    revised = say_again(plant, now=NOW + timedelta(hours=1))
    export_to_lake(plant.store, lake)

    rows = rows_in(lake)
    assert "extrapolated" not in before[0]
    assert len(rows) == len(before) + revised.revised
    spoken = [row["revision"] > 1 and row["status"] == "scored" for row in rows]
    assert any(spoken)
    assert [row["extrapolated"] is not None for row in rows] == spoken
    assert [row["risk"] for row in rows if row["revision"] == 1] == [row["risk"] for row in before]


def test_an_export_without_news_appends_nothing(plant, lake):
    export_to_lake(plant.store, lake)
    before = versions_of(lake)

    assert export_to_lake(plant.store, lake).rows == 0
    assert versions_of(lake) == before


def test_a_clock_that_is_set_back_hides_nothing(plant, lake):
    export_to_lake(plant.store, lake)
    revised = say_again(plant, now=NOW - timedelta(days=3))

    assert export_to_lake(plant.store, lake).rows == revised.revised
    assert without_number(rows_in(lake)) == log_in(plant.store)


class Dying:
    """A lake whose process dies: while rows are on their way, or once they are committed."""

    def __init__(self, lake, when):
        self._lake, self._when, self.uri = lake, when, lake.uri

    def position(self, application):
        return self._lake.position(application)

    def append(self, schema, tables, **told):
        whole = self._half(tables) if self._when == "halfway" else tables
        self._lake.append(schema, whole, **told)
        raise KeyboardInterrupt

    def _half(self, tables):
        yield next(tables).slice(0, 3)
        raise KeyboardInterrupt


@pytest.mark.parametrize(("when", "there"), [("halfway", False), ("committed", True)])
def test_an_export_that_dies_is_repeated_without_a_double_row(plant, lake, when, there):
    with pytest.raises((KeyboardInterrupt, TransientError)):
        export_to_lake(plant.store, Dying(lake, when))
    assert deltalake.DeltaTable.is_deltatable(lake.uri) == there

    again = export_to_lake(plant.store, lake)

    assert (again.rows == 0) == there
    assert without_number(rows_in(lake)) == log_in(plant.store)


@pytest.mark.parametrize("started", [False, True], ids=["a new table", "a table"])
def test_of_two_exports_at_once_one_appends(plant, lake, started):
    if started:
        export_to_lake(plant.store, lake)
        say_again(plant, now=NOW + timedelta(hours=1))
    other = lakes.DeltaLake(lake.uri)

    class Meanwhile(Dying):
        def append(self, schema, tables, **told):
            export_to_lake(plant.store, other)
            self._lake.append(schema, tables, **told)

    with pytest.raises(TransientError):
        export_to_lake(plant.store, Meanwhile(lake, ""))
    assert without_number(rows_in(lake)) == log_in(plant.store)
    assert export_to_lake(plant.store, lake).rows == 0


def test_what_was_said_before_commits_had_numbers_goes_along_first(plant, lake):
    say_again(plant, now=NOW)
    with plant.store._database.writing() as connection:
        for table in (predictions, prediction_history):
            connection.execute(update(table).values(commit_number=0))
        connection.execute(delete(counters))

    assert export_to_lake(plant.store, lake).rows == len(log_in(plant.store))
    revised = say_again(plant, now=NOW + timedelta(hours=1))
    assert export_to_lake(plant.store, lake).rows == revised.revised
    assert without_number(rows_in(lake)) == log_in(plant.store)


def test_a_store_put_back_to_an_earlier_day_is_told(plant, lake):
    export_to_lake(plant.store, lake)
    with plant.store._database.writing() as connection:
        connection.execute(update(counters).values(newest=0))

    with pytest.raises(TerminalError, match="holds commit 1 of this plant, its store only 0"):
        export_to_lake(plant.store, lake)


def test_another_table_is_left_alone(plant, lake):
    deltalake.write_deltalake(lake.uri, pa.table({"a": [1]}))

    with pytest.raises(BadSettings, match="needs the columns of predictions"):
        export_to_lake(plant.store, lake)
    assert pa.table(deltalake.DeltaTable(lake.uri).to_pyarrow_table()).to_pydict() == {"a": [1]}


def test_the_command_says_how_many_rows_it_appended(plant, tmp_path, capsys):
    config = plant.settings.folder / "plant.toml"
    command = ["export", "--delta", str(tmp_path / "lake"), "-c", str(config)]
    app(command, standalone_mode=False)
    app([*command, "--json"], standalone_mode=False)

    rows = len(said(plant.store))
    assert capsys.readouterr().out.startswith(f"{rows:,} rows appended, up to commit 1\n{{")


@pytest.mark.parametrize("uri", ["", "nope://x/y", "s3://AKIA:SECRET@bucket/x"])
def test_an_address_that_is_none_is_told_without_its_secrets(plant, uri):
    with pytest.raises((BadSettings, TransientError)) as told:
        export_to_lake(plant.store, lakes.DeltaLake(uri))
    assert uri.split("/")[0] in str(told.value)
    assert "SECRET" not in str(told.value)
