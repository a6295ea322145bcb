"""What is usual of a feed: learned from how old its newest time was whenever a file came."""

from datetime import UTC, datetime, timedelta

import pytest

from pm_app.daemon.freshness import usual_age
from pm_app.store.ledger.deliveries import DeliveredFile

MONDAY = datetime(2026, 3, 2, tzinfo=UTC)
HOUR = timedelta(hours=1)


def came(arrived: datetime, last: datetime) -> DeliveredFile:
    return DeliveredFile(arrived, last - HOUR, last, 60)


def hours_of(count, *, every=1.0, late=0.0):
    """Files that come every so many hours, their newest reading so many hours old."""
    times = [MONDAY + number * every * HOUR for number in range(count)]
    return [came(at, at - late * HOUR) for at in times]


@pytest.mark.parametrize(
    ("every", "late", "usual"), [(1, 0, 1), (24, 6, 30), (0.25, 0, 0.25), (1, 48, 49)]
)
def test_usual_is_how_old_the_newest_reading_gets_before_the_next_file(every, late, usual):
    assert usual_age(hours_of(40, every=every, late=late)) == pytest.approx(3600 * usual)


def test_a_hundred_files_within_a_minute_of_each_hour_are_an_hour_apart():
    files = [
        came(each.arrived + number * timedelta(seconds=0.5), each.last + timedelta(seconds=number))
        for each in hours_of(20)
        for number in range(50)
    ]

    assert 3500 < usual_age(files) <= 3600


def test_weekends_without_readings_are_usual():
    hours = hours_of(24 * 7 * 5)

    assert usual_age([each for each in hours if each.arrived.weekday() < 5]) == 49 * 3600


def test_one_outage_is_not_usual():
    hours = hours_of(300)

    assert usual_age(hours[:100] + hours[200:]) == 3600


def test_a_past_that_is_read_at_once_tells_by_its_own_times():
    files = [
        came(MONDAY + number * timedelta(seconds=1), MONDAY - (900 - number) * timedelta(days=1))
        for number in range(30)
    ]

    assert usual_age(files) == pytest.approx(86_400)


def test_a_clock_that_runs_ahead_makes_nothing_newer_than_its_arrival():
    ahead = [came(each.arrived, each.last + timedelta(days=400)) for each in hours_of(40)]

    assert usual_age(ahead) == 3600
    assert ahead[-1].newest == ahead[-1].arrived


def test_late_files_between_others_change_nothing():
    hours = hours_of(40)
    late = [came(each.arrived + HOUR / 2, each.last - 100 * HOUR) for each in hours]

    mixed = sorted(hours + late, key=lambda each: each.arrived)
    assert usual_age(mixed) == usual_age(hours)


def test_with_few_files_nothing_is_usual_yet():
    assert usual_age(hours_of(3)) is None
    assert usual_age([]) is None
