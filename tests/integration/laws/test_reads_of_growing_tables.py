"""Tables that grow for years are looked up by the jobs that write them, never read whole."""

from factories import NOW, drop, opened, readings_table
from query_plans import whole_table_reads

from pm_app.jobs.score.run import score

TABLE = readings_table(assets=3, hours=40, a_pane=1, sensors=2)


def test_a_look_reads_no_growing_table_whole(new_plant):
    config = new_plant({"a.parquet": TABLE.slice(0, 60)})
    with opened(config) as plant:
        score(plant, now=NOW)
        drop(config, "b.parquet", TABLE.slice(60))
        with whole_table_reads(plant.store) as found:
            assert score(plant, now=NOW).committed.new > 0

    assert found == []
