"""Modes of failures: by settings or by code, the rare ones among `other`, in rows and in words."""

from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pm_app.learning.data.labels import failures_ahead, life_labels
from pm_app.learning.data.modes import choose_modes
from pm_app.records.features import Frame
from pm_app.records.readings import sort_events
from pm_app.settings.modes import OTHER, ModeSettings
from pm_app.times import HOUR_NS

START = 1_700_000_000 * 1_000_000_000


def failures(**counts: int) -> list[tuple[str, ...]]:
    return [(code.replace("_", ""),) for code, count in counts.items() for _ in range(count)]


def modes(**patterns: tuple[str, ...]) -> dict[str, ModeSettings]:
    return {name: ModeSettings(codes=codes) for name, codes in patterns.items()}


def test_every_code_with_enough_failures_is_a_mode_and_the_rest_is_other():
    found = choose_modes(failures(seal=4, bearing=3, fan=2, _=1), {}, minimum=3)

    assert found.names == ("bearing", "seal", OTHER)
    assert found.failures == (3, 4, 3)
    assert found.of_failure == (1,) * 4 + (0,) * 3 + (2,) * 3
    assert found.text == (
        "failures of bearing 3, seal 4, other 3; too few to be a mode, 3 needed: fan 2"
    )


def test_settings_name_modes_by_patterns_in_their_order():
    named = modes(wear=("B*", "seal"), drive=("E-??",))
    found = choose_modes(failures(B1=1, wear=1, seal=1, drive=2, gland=2), named, minimum=2)

    assert found.names == ("wear", "drive", OTHER)
    assert found.failures == (3, 2, 2)
    assert found.text == "failures of wear 3, drive 2, other 2"


def test_a_plant_of_one_mode_tells_nothing_apart():
    alone = choose_modes(failures(seal=30), {}, minimum=10)
    nearly = choose_modes(failures(seal=30, fan=9), {}, minimum=10)

    assert alone.names == nearly.names == ()
    assert nearly.text == (
        "one mode alone: failures of seal 30, other 9; too few to be a mode, 10 needed: fan 9"
    )
    assert choose_modes(failures(_=30), {}, minimum=10).text == ""
    assert choose_modes([], modes(wear=("B*",)), minimum=10).text == ""


def test_other_is_a_mode_beside_one_where_it_has_enough():
    found = choose_modes(failures(seal=10, fan=9, belt=9), {}, minimum=10)

    assert found.names == ("seal", OTHER)


def test_of_several_codes_of_one_failure_the_first_mode_counts():
    booked = [("alarm 17", "seal", "bearing")] * 2 + [("bearing",), ("seal",)]

    assert choose_modes(booked, {}, minimum=2).of_failure == (0, 0, 1, 1)
    found = choose_modes(booked, modes(bearing=(), seal=()), minimum=1)
    assert found.names == ("bearing", "seal")
    assert found.of_failure == (0, 0, 0, 1)


def test_a_failure_of_a_mode_that_is_too_rare_belongs_to_its_other_one():
    booked = [("bearing", "seal")] * 2 + [("seal",)] * 3 + [("fan",)] * 5

    found = choose_modes(booked, modes(bearing=(), seal=(), fan=()), minimum=4)

    assert found.names == ("seal", "fan")
    assert found.failures == (5, 5)


booked_codes = st.lists(st.lists(st.sampled_from(["", "a", "b", OTHER]), min_size=1, max_size=3))


@given(booked_codes, st.integers(1, 4))
def test_every_failure_has_one_mode_and_named_ones_have_enough(booked, minimum):
    found = choose_modes([tuple(each) for each in booked], {}, minimum=minimum)
    counts = np.bincount(found.of_failure, minlength=len(found.names)).tolist()

    assert counts == list(found.failures)
    if found.names:
        assert sum(counts) == len(booked)
        assert sum(count >= minimum for count in counts) >= 2
        enough = zip(found.names, counts, strict=True)
        assert all(count >= minimum for name, count in enough if name != OTHER)


def make_frame(cutoffs: dict[str, list[int]]) -> Frame:
    assets = tuple(sorted(cutoffs))
    hours = [hour for name in assets for hour in cutoffs[name]]
    asset = [number for number, name in enumerate(assets) for _ in cutoffs[name]]
    cutoff = START + np.array(hours, dtype=np.int64) * HOUR_NS
    values = np.zeros((len(asset), 1), dtype=np.float32)
    return Frame(assets, np.array(asset, dtype=np.int32), cutoff, ("load.mean",), ("load",), values)


def test_rows_bear_the_mode_of_the_failure_they_come_before():
    rows = [("a", 7, "failure", "seal"), ("a", 7, "failure", "alarm"), ("a", 8, "maintenance", "")]
    rows += [("a", 17, "failure", ""), ("b", 6, "failure", "bearing"), ("gone", 3, "failure", "x")]
    asset, hour, kind, code = (np.array(each, dtype=object) for each in zip(*rows, strict=True))
    events = sort_events(asset, START + hour.astype(np.int64) * HOUR_NS, kind, code)
    frame = make_frame({"a": [0, 5, 10, 15, 20], "b": [0, 5], "c": [0]})
    labels = life_labels(frame, events, known_until=None)
    ahead = failures_ahead(frame, labels, events)
    found = choose_modes(ahead.codes, modes(bearing=(), seal=()), minimum=1)

    labels = replace(labels, mode=found.of_rows(ahead.number))

    assert sorted(ahead.codes) == [("",), ("alarm", "seal"), ("bearing",)]
    assert found.names == ("bearing", "seal", OTHER)
    assert labels.mode.tolist() == [1, 1, 2, 2, -1, 0, 0, -1]
    censored = replace(labels, failed=labels.failed & (np.arange(8) != 1))
    assert censored.mode.tolist() == [1, -1, 2, 2, -1, 0, 0, -1]
