"""What every database must tell a program that comes back for what is new."""

from datetime import UTC, datetime, timedelta

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import event, update

from pm_app.store.schema.predictions import prediction_history, predictions

DAY = datetime(2026, 3, 1, tzinfo=UTC)


def hour(number: int) -> datetime:
    return DAY + timedelta(hours=number)


def say(store, make_predictions, risks: dict[tuple[str, int], float], at: int = 0) -> None:
    risks_at = {(asset, hour(cutoff), 24.0): risk for (asset, cutoff), risk in risks.items()}
    store.writer.commit_predictions([make_predictions(risks_at)], scored_at=hour(at))


def read_all(store, limit: int, **asked) -> list[tuple[str, datetime, float, int]]:
    """Every page until there is none."""
    rows, after = [], None
    while page := store.changes.page(limit=limit, after=after, **asked):
        assert len(page) <= limit
        rows += [(row.asset_id, row.cutoff, row.risk, row.revision) for _, row in page]
        after = page[-1][0]
    return rows


def test_pages_hold_every_row_once_in_the_order_it_was_said(store, make_predictions):
    say(store, make_predictions, {("b", 1): 0.1, ("a", 2): 0.2, ("a", 1): 0.3})
    say(store, make_predictions, {("c", 0): 0.4}, at=-5)

    for limit in (1, 2, 3, 10):
        assert read_all(store, limit) == [
            ("a", hour(1), 0.3, 1),
            ("a", hour(2), 0.2, 1),
            ("b", hour(1), 0.1, 1),
            ("c", hour(0), 0.4, 1),
        ]


def test_who_comes_back_gets_what_is_new_and_what_was_revised(store, make_predictions):
    say(store, make_predictions, {("a", 1): 0.1, ("b", 1): 0.2})
    end = store.changes.page(limit=10)[-1][0]
    assert store.changes.page(limit=10, after=end) == []
    say(store, make_predictions, {("a", 1): 0.5, ("b", 1): 0.2, ("b", 2): 0.3}, at=-9)

    new = [
        (row.asset_id, row.risk, row.revision) for _, row in store.changes.page(limit=9, after=end)
    ]
    assert new == [("a", 0.5, 2), ("b", 0.3, 1)]


def test_rows_from_before_commits_were_numbered_come_first(store, make_predictions):
    say(store, make_predictions, {("a", 1): 0.1, ("b", 1): 0.2, ("c", 1): 0.3})
    with store._database.writing() as connection:
        old = update(predictions).where(predictions.c.asset_id != "a")
        connection.execute(old.values(commit_number=0))

    assert [row[0] for row in read_all(store, 1)] == ["b", "c", "a"]
    assert [row[0] for row in read_all(store, 2)] == ["b", "c", "a"]


def test_an_asset_and_a_span_of_cutoffs_can_be_asked_for(store, make_predictions):
    say(store, make_predictions, {(name, at): 0.1 for name in "ab" for at in range(4)})

    assert {row[0] for row in read_all(store, 3, asset="b")} == {"b"}
    span = read_all(store, 3, since=hour(1), until=hour(3))
    assert [row[1] for row in span] == [hour(1), hour(2)] * 2


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    commits=st.lists(
        st.dictionaries(
            st.tuples(st.sampled_from("ab"), st.integers(0, 3)),
            st.sampled_from([0.1, 0.2]),
            min_size=1,
        ),
        max_size=5,
    ),
    limit=st.integers(1, 4),
)
def test_who_goes_on_from_every_page_knows_in_the_end_what_the_table_says(
    store, make_predictions, commits, limit
):
    with store._database.writing() as connection:
        for table in (predictions, prediction_history):
            connection.execute(table.delete())
    collected, after = {}, None
    for commit in commits:
        say(store, make_predictions, commit)
        for end, row in store.changes.page(limit=limit, after=after):
            collected[row.asset_id, row.cutoff] = row
            after = end
    while page := store.changes.page(limit=limit, after=after):
        collected |= {(row.asset_id, row.cutoff): row for _, row in page}
        after = page[-1][0]

    assert collected == {
        (row.asset_id, row.cutoff): row for _, row in store.changes.page(limit=10**6)
    }


def test_a_page_far_into_the_table_is_found_by_an_index(store, make_predictions):
    if store._database.engine.dialect.name != "sqlite":
        return
    asked = []
    event.listen(
        store._database.engine,
        "before_cursor_execute",
        lambda connection, cursor, statement, values, *rest: asked.append((statement, values)),
    )
    say(store, make_predictions, {("a", 1): 0.1})
    end = store.changes.page(limit=1)[-1][0]
    store.changes.page(limit=1, after=end)
    statement, values = asked[-1]
    with store._database.reading() as connection:
        plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values).all()
    assert any("predictions_commit_number" in row[3] for row in plan), plan
    assert not any("TEMP B-TREE" in row[3] for row in plan), plan
