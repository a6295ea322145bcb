"""The size of rooms, one name for one thing, and what a leaf takes, held against the code."""

from collections import Counter

import house

MODULES = house.product()
# Jobs as they are asked for: they take the plant, and hand each leaf what it reads.
TAKE_THE_PLANT = {
    "pm_app.jobs.backfill.run:backfill",
    "pm_app.jobs.backtest.run:backtest",
    "pm_app.jobs.ingest.housekeeping:compact",
    "pm_app.jobs.ingest.repair:rebuild",
    "pm_app.jobs.ingest.repair:repairing",
    "pm_app.jobs.ingest.repair:reread_events",
    "pm_app.jobs.ingest.run:ingest",
    "pm_app.jobs.normality.run:learn_plant_normal",
    "pm_app.jobs.retrain.run:retrain",
    "pm_app.jobs.score.champion:load_champion",
    "pm_app.jobs.score.normal_champion:load_normal_champion",
    "pm_app.jobs.score.promotion:promote",
    "pm_app.jobs.score.promotion:roll_back",
    "pm_app.jobs.score.explain:provenance",
    "pm_app.jobs.score.replay:replay",
    "pm_app.jobs.score.run:score",
}
LONG_FUNCTIONS = 5


def test_a_listing_is_seen_at_a_glance():
    crowded = {
        folder: count
        for folder, count in house.files_a_folder().items()
        if count > (house.MOST_TEST_FILES if folder.startswith("tests") else house.MOST_FILES)
    }

    assert not crowded


def test_no_two_modules_of_tests_share_a_name():
    """Python would take the one for the other, as they lie in no packages."""
    names = Counter(path.name for path in (house.ROOT / "tests").rglob("test_*.py"))

    assert [name for name, count in names.items() if count > 1] == []


def test_what_only_one_file_uses_lives_in_that_file():
    assert not house.splinters(MODULES)


def test_one_name_stands_for_one_thing():
    assert not house.duplicate_classes(MODULES)


def test_no_value_bears_a_name_that_says_nothing():
    assert not house.values_named(MODULES, house.NO_NAMES)


def test_files_and_functions_are_read_in_one_sitting():
    long = [row for row in house.function_lines(MODULES) if row[0] > house.MOST_FUNCTION_LINES]

    assert not [module.place for module in MODULES if module.lines > house.MOST_LINES]
    assert len(long) <= LONG_FUNCTIONS, long


def test_more_than_six_parameters_are_a_record():
    counts = house.parameter_counts(MODULES)

    assert not [place for count, place in counts if count > house.MOST_PARAMETERS]


def test_only_the_top_of_a_job_takes_the_plant():
    takers = {taker for taker in house.takers_of(MODULES, "Plant") if ".jobs." in taker}

    assert takers <= TAKE_THE_PLANT
    assert takers >= TAKE_THE_PLANT
