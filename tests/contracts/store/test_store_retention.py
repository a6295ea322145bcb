"""Days that are kept no longer leave the riskiest cutoff of each asset and horizon."""

from datetime import UTC, datetime, timedelta

import pytest
from instants import listening

from pm_app.errors import StoreUnavailable

DAY = datetime(2026, 3, 1, tzinfo=UTC)
HOURS = (0, 5, 23.75)
HORIZONS = (24.0, 72.0)


def risks_of(days, *, seed=0):
    """A risk for each asset, some cutoffs of each day, and horizon; some abstain."""
    risks = {}
    for asset in ("p-1", "p-2"):
        for day in range(days):
            for hour in HOURS:
                for horizon in HORIZONS:
                    number = (hash((day, hour, horizon, seed)) + int(asset[-1])) % 1000
                    key = (asset, DAY + timedelta(days=day, hours=hour), horizon)
                    risks[key] = None if number % 7 == 0 else number / 1000
    return risks


def say(store, make_predictions, risks):
    store.writer.commit_predictions([make_predictions(risks)], scored_at=DAY)


def kept_days(store):
    rows = [row for table in store.tables.predictions() for row in table.to_pylist()]
    return sorted({row["cutoff"].date() for row in rows})


def expected_peaks(risks, days):
    """By asset, day and horizon: the riskiest first cutoff and how many there were."""
    found = {}
    for (asset, cutoff, horizon), risk in risks.items():
        day = cutoff.replace(hour=0, minute=0)
        if (day - DAY).days in days:
            found.setdefault((asset, day, horizon), []).append((cutoff, risk))
    return {
        key: (
            *min(rows, key=lambda row: (-(-1.0 if row[1] is None else row[1]), row[0])),
            len(rows),
        )
        for key, rows in found.items()
    }


def test_a_retired_day_leaves_its_peaks(store, make_predictions):
    risks = risks_of(4)
    say(store, make_predictions, risks)
    latest = store.tables.latest_predictions()
    gone = [store.retention.retire_day(DAY + timedelta(days=day)) for day in (0, 1)]
    peaks = {
        (row.asset_id, row.day, row.horizon_hours): (row.cutoff, row.risk, row.cutoffs)
        for row in store.retention.peaks()
    }

    assert gone == [12, 12]
    assert kept_days(store) == [(DAY + timedelta(days=day)).date() for day in (2, 3)]
    assert peaks == expected_peaks(risks, {0, 1})
    assert store.tables.latest_predictions().equals(latest)
    assert store.retention.retired_until() == DAY + timedelta(days=2)
    assert [row.asset_id for row in store.retention.peaks(asset="p-2")] == ["p-2"] * 4


def test_a_day_without_risks_leaves_its_most_unusual_cutoff(store, make_predictions):
    keys = [("p-1", DAY + timedelta(hours=hour), 24.0) for hour in HOURS]
    unusual = dict(zip(keys, (0.25, 1.5, 0.75), strict=True))
    watched = make_predictions(dict.fromkeys(keys), version=0, deviations=unusual, normal=1)
    risky = {("p-2", cutoff, horizon): risk for (_, cutoff, horizon), risk in unusual.items()}
    also = {("p-2", *key[1:]): 2.0 - value for key, value in unusual.items()}
    scored = make_predictions({k: v / 2 for k, v in risky.items()}, deviations=also, normal=1)
    store.writer.commit_predictions([watched, scored], scored_at=DAY)
    store.retention.retire_day(DAY)

    first, second = store.retention.peaks()
    assert (first.cutoff, first.risk, first.deviation) == (keys[1][1], None, 1.5)
    assert first.deviation_sensors == "heat +13.5 (71 %)"
    assert (second.cutoff, second.risk, second.deviation) == (keys[1][1], 0.75, 1.75)
    assert second.deviation_sensors == "heat +15.8 (71 %)"


def test_what_was_superseded_goes_with_its_day(store, make_predictions):
    for seed in (0, 1):
        say(store, make_predictions, risks_of(2, seed=seed))
    before = sum(table.num_rows for table in store.tables.superseded())
    store.retention.retire_day(DAY)
    left = [row for table in store.tables.superseded() for row in table.to_pylist()]

    assert before > len(left) > 0
    assert {row["cutoff"].date() for row in left} == {(DAY + timedelta(days=1)).date()}


@pytest.mark.parametrize(
    ("before", "expected"), [(0.9, None), (1.0, 0), (7.3, 0)], ids=["too new", "whole", "old"]
)
def test_only_whole_days_are_old_enough(store, make_predictions, before, expected):
    assert store.retention.oldest_day(DAY + timedelta(days=before)) is None
    say(store, make_predictions, risks_of(2))
    oldest = store.retention.oldest_day(DAY + timedelta(days=before))

    assert oldest == (None if expected is None else DAY)


def test_a_retirement_that_is_cut_short_leaves_all(store, make_predictions):
    say(store, make_predictions, risks_of(2))

    def fail(instant):
        if instant.step == "commit":
            raise StoreUnavailable("cut short")

    with listening(fail), pytest.raises(StoreUnavailable):
        store.retention.retire_day(DAY)

    assert len(kept_days(store)) == 2
    assert list(store.retention.peaks()) == []
    assert store.retention.retired_until() is None


def test_what_was_kept_of_a_day_stays_when_it_is_retired_again(store, make_predictions):
    say(store, make_predictions, risks_of(3))
    for day in (0, 1):
        store.retention.retire_day(DAY + timedelta(days=day))
    first = list(store.retention.peaks())
    say(store, make_predictions, {key: 0.999 for key in risks_of(3) if key[0] == "p-1"})
    store.retention.retire_day(DAY)

    assert list(store.retention.peaks()) == first
    assert DAY.date() not in kept_days(store)
