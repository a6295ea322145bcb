"""What a retraining may look at: all of the past, nothing of the future."""

import json
from dataclasses import replace

import numpy as np
import pytest
from factories import HOUR, START, make_card, random_readings

from pm_app.errors import BadSettings, NotEnoughData
from pm_app.features.frame import build_frame
from pm_app.features.panes.panes import build_panes, merge_panes
from pm_app.features.panes.readings import concat_readings, take_readings
from pm_app.features.sharing import have_equal_values
from pm_app.jobs.retrain import dataset as dataset_module
from pm_app.jobs.retrain import extent as extent_module
from pm_app.jobs.retrain.dataset import DatasetSource, gather_dataset
from pm_app.learning.data.failures import ConfirmedFailure
from pm_app.learning.data.labels import count_failures
from pm_app.learning.ranking import ChampionVersion, remarks_on
from pm_app.records.features import RunningRule
from pm_app.records.labels import FailureModes
from pm_app.records.readings import (
    Readings,
    events_as_rows,
    events_from_rows,
    sort_events,
)
from pm_app.settings.plant import parse_settings
from pm_app.state.panes import History

HOURS = 60
PUMPS = ("pump-0", "pump-1", "pump-2")


def make_settings(**tables):
    defaults = {
        "features": {"pane": "1h", "windows": ["2h", "6h"]},
        "target": {"horizons": ["6h", "12h"], "rul_cap": "2d"},
    }
    return parse_settings({**defaults, **tables}, folder=".", origin="plant.toml")


def make_events(*rows):
    """Events from (asset, hours after START, kind, code)."""
    assets, hours, kinds, codes = ([*column] for column in zip(*rows, strict=True))
    return sort_events(
        np.array(assets, dtype=object),
        START + np.round(np.array(hours, dtype=float) * HOUR).astype(np.int64),
        np.array(kinds, dtype=object),
        np.array(codes, dtype=object),
    )


EVENTS = make_events(
    ("pump-0", 20.5, "failure", "seal"),
    ("pump-0", 22.0, "maintenance", "seal"),
    ("pump-1", 10.0, "maintenance", "seal"),
    ("pump-2", 12.0, "maintenance", "seal"),
    *(("pump-1", at, "error", "trip") for at in (3.0, 8.5, 15.2)),
    ("pump-1", 33.3, "failure", "seal"),
    ("pump-2", 52.0, "failure", "seal"),
)


def keep(tmp_path, readings, *, parts=3):
    """Readings as segments of a history: times in order, some a segment."""
    history = History(tmp_path / "panes", pane_ns=HOUR)
    bounds = np.quantile(readings.time, np.linspace(0, 1, parts + 1)[1:-1]).astype(np.int64)
    # Whole hours, so that no pane is in two segments.
    part = np.searchsorted(bounds // HOUR, readings.time // HOUR)
    names = []
    for number in range(parts):
        chosen = take_readings(readings, part == number)
        # A sensor that says nothing yet has no column yet.
        speaks = np.flatnonzero(~np.isnan(chosen.values).all(axis=1))
        sensors = tuple(chosen.sensors[row] for row in speaks)
        chosen = replace(chosen, sensors=sensors, values=chosen.values[speaks])
        names.append(history.write(f"{number}", build_panes(chosen, pane_ns=HOUR)))
    return history, names


def gather(tmp_path, readings, events=EVENTS, *, at=36.0, settings=None, parts=3, confirmed=()):
    history, names = keep(tmp_path, readings, parts=parts)
    first_seen = dict.fromkeys(("a-pump", *PUMPS), START)
    source = DatasetSource(history, names, events, first_seen, confirmed)
    return gather_dataset(source, settings or make_settings(), as_of_ns=START + round(at * HOUR))


def facts(dataset):
    """All of what is dataset, comparable."""
    frame, labels = dataset.frame, dataset.labels
    arrays = [frame.asset, frame.cutoff, frame.values, *vars(labels).values()]
    return (
        dataset.spec,
        dataset.informative,
        frame.assets,
        frame.features,
        [(array.dtype, array.shape, array.tobytes()) for array in arrays],
    )


def changed_after(readings, at, seed=1):
    """The same readings up to a moment, others after it, a machine and a sensor more."""
    rng = np.random.default_rng(seed)
    after = readings.time >= START + round(at * HOUR)
    values = readings.values.copy()
    values[:, after] = rng.normal(1e6, 10, values[:, after].shape)
    new = Readings(
        assets=("a-pump",),
        asset=np.zeros(5, dtype=np.int32),
        time=START + round(at * HOUR) + HOUR * np.arange(5, dtype=np.int64),
        sensors=readings.sensors,
        values=np.zeros((len(readings.sensors), 5)),
    )
    same = Readings(readings.assets, readings.asset, readings.time, readings.sensors, values)
    both = concat_readings([same, new])
    later = np.where(both.time >= START + round(at * HOUR), 1.0, np.nan)
    return replace(both, sensors=(*both.sensors, "another"), values=np.vstack([both.values, later]))


@pytest.mark.parametrize("at", [24.0, 36.0, 36.5, 48.0])
def test_nothing_after_the_moment_changes_features_or_labels(tmp_path, at):
    readings = random_readings(rows=900, hours=HOURS)
    before = facts(gather(tmp_path / "one", readings, at=at))
    # A pane that is not over at the moment is not dataset yet.
    whole = at // 1
    later = make_events(
        *(("pump-0", at + hours, "failure", "new") for hours in (0.1, 3, 9)),
        *(("pump-1", at + hours, "maintenance", "new") for hours in (0.1, 3, 9)),
        *(("pump-2", at + hours, "error", "new") for hours in (0.1, 3, 9)),
    )
    old = EVENTS.time <= START + round(at * HOUR)
    events = sort_events(
        *(
            np.concatenate([getattr(EVENTS, name)[old], getattr(later, name)])
            for name in ("asset", "time", "kind", "code")
        )
    )

    after = facts(gather(tmp_path / "two", changed_after(readings, whole), events, at=at))

    assert after == before


def test_something_before_the_moment_does_change_them(tmp_path):
    readings = random_readings(rows=900, hours=HOURS)
    before = gather(tmp_path / "one", readings)
    after = gather(tmp_path / "two", changed_after(readings, 34))

    assert facts(after) != facts(before)


def test_a_failure_after_the_moment_is_censored_not_foreseen(tmp_path):
    dataset = gather(tmp_path, random_readings(rows=900, hours=HOURS), at=30.0)
    mine = np.array(dataset.frame.assets, dtype=object)[dataset.frame.asset] == "pump-1"

    assert not dataset.labels.failed[mine].any()
    end = (dataset.frame.cutoff[mine] - START) / HOUR + dataset.labels.duration_hours[mine]
    assert end.max() <= 30.0


def test_readings_since_failures_are_told_of_no_more_teach_nothing(tmp_path):
    stopped = make_events(*(("pump-1", at, "failure", "seal") for at in (2.0, 3.0, 4.0, 5.0)))
    dataset = gather(tmp_path, random_readings(rows=900, hours=HOURS), events=stopped, at=60.0)
    usable = dataset.labels.usable

    assert usable.any()
    assert dataset.frame.cutoff[usable].max() <= START + 5 * HOUR
    assert "told of since 2023-08-14 13:00 UTC" in remarks_on(dataset, [])[0]


def test_the_last_cutoff_is_the_last_pane_that_is_over(tmp_path):
    readings = random_readings(rows=2000, hours=HOURS)
    for at, last in ((36.0, 36), (36.9, 36), (37.0, 37)):
        dataset = gather(tmp_path / str(at), readings, at=at)
        assert int(dataset.frame.cutoff.max() - START) // HOUR == last


def test_the_frame_is_that_of_all_readings_in_one_go(tmp_path):
    readings = random_readings(rows=900, hours=HOURS)
    dataset = gather(tmp_path, readings, at=HOURS, parts=5)
    panes = build_panes(readings, pane_ns=HOUR)

    whole = build_frame(panes, EVENTS, dataset.spec, first_seen=dict.fromkeys(PUMPS, START))

    assert dataset.frame.values.tobytes() == whole.values.tobytes()
    np.testing.assert_array_equal(dataset.frame.cutoff, whole.cutoff)


def test_groups_of_assets_make_no_difference(tmp_path, monkeypatch):
    readings = random_readings(rows=900, hours=HOURS)
    before = facts(gather(tmp_path / "one", readings))
    monkeypatch.setattr(extent_module, "GROUP_CELLS", 1)

    assert facts(gather(tmp_path / "two", readings)) == before


def test_too_many_rows_are_thinned_and_those_that_stay_are_the_same(tmp_path, monkeypatch):
    readings = random_readings(rows=900, hours=HOURS)
    whole = gather(tmp_path / "one", readings, at=HOURS).frame
    monkeypatch.setattr(dataset_module, "MOST_ROWS", 60)
    thin = gather(tmp_path / "two", readings, at=HOURS).frame

    assert 0.5 * 60 < len(thin.cutoff) < 1.5 * 60
    row_of = {key: n for n, key in enumerate(zip(whole.asset, whole.cutoff, strict=True))}
    rows = [row_of[key] for key in zip(thin.asset, thin.cutoff, strict=True)]
    assert thin.values.tobytes() == whole.values[rows].tobytes()


def test_rows_that_stay_know_all_that_the_others_tell_of_survivors(tmp_path, monkeypatch):
    readings = random_readings(rows=900, hours=HOURS)
    whole = gather(tmp_path / "one", readings, at=HOURS)
    monkeypatch.setattr(dataset_module, "MOST_ROWS", 60)
    thin = gather(tmp_path / "two", readings, at=HOURS)

    row_of = {key: n for n, key in enumerate(zip(*keys_of(whole.frame), strict=True))}
    rows = [row_of[key] for key in zip(*keys_of(thin.frame), strict=True)]
    for name in ("duration_hours", "failed", "usable", "followed_hours"):
        expected = getattr(whole.labels, name)[rows]
        np.testing.assert_array_equal(getattr(thin.labels, name), expected)
    assert not thin.labels.failed.all()


def keys_of(frame):
    return frame.asset, frame.cutoff


def test_codes_seen_too_seldom_make_no_features(tmp_path):
    spec = gather(tmp_path, random_readings(rows=300, hours=HOURS)).spec

    assert spec.maintenance_codes == ("seal",)
    assert spec.error_codes == ("trip",)
    assert gather(tmp_path / "b", random_readings(rows=300), at=10.0).spec.error_codes == ()
    assert (spec.inspections, spec.inspection_codes) == (False, ())


def test_inspections_count_whatever_their_code_and_by_codes_that_are_frequent(tmp_path):
    looks = [("pump-0", float(at), "inspection", "leak" if at < 9 else "") for at in range(6, 18)]
    few = [("pump-1", 5.0, "inspection", "crack")]
    inspected = events_from_rows(events_as_rows(EVENTS) | events_as_rows(make_events(*looks, *few)))
    dataset = gather(tmp_path, random_readings(rows=300, hours=HOURS), inspected)

    assert dataset.spec.inspection_codes == ("leak",)
    group = dict(zip(dataset.frame.features, dataset.frame.sensor_of, strict=True))
    assert {name for name, own in group.items() if own == "inspections"} == {
        "since.inspection", "since.inspection.leak"
    }  # fmt: skip
    assert {"since.inspection", "since.inspection.leak"} <= set(dataset.informative)
    assert [pace.feed for pace in dataset.paces][-1] == "inspection"


def test_only_features_that_change_are_worth_learning_from(tmp_path):
    readings = random_readings(rows=900, hours=HOURS, missing=0.0)
    readings.values[1] = 7.0
    dataset = gather(tmp_path, readings)
    of = dict(zip(dataset.frame.features, dataset.frame.sensor_of, strict=True))

    assert [name for name in dataset.informative if of[name] == "sensor-1"] == ["sensor-1.last"]
    assert len([name for name in dataset.informative if of[name] == "sensor-0"]) > 5
    assert [n for n in dataset.frame.features if n in dataset.informative] == list(
        dataset.informative
    )


def test_before_the_first_reading_there_is_nothing_to_learn(tmp_path):
    with pytest.raises(NotEnoughData, match="no readings yet"):
        gather(tmp_path, random_readings(rows=100), at=0.5)


def test_named_sensors_are_the_only_ones(tmp_path):
    settings = make_settings(readings={"sensors": ["sensor-2"]})
    dataset = gather(tmp_path, random_readings(rows=300), settings=settings)

    assert dataset.spec.sensors == ("sensor-2",)


# Regimes.


def switching_plant(*, levels=(70.0, 100.0), hours=240, seed=0, setpoint=False):
    """Three pumps whose load jumps between levels; a sensor follows it, another does not."""
    rng = np.random.default_rng(seed)
    rows = 4 * hours
    switch = rng.random((3, rows)) < 1 / 12
    switch[:, 0] = True
    kept = np.maximum.accumulate(np.where(switch, np.arange(rows), 0), axis=1)
    drawn = rng.integers(len(levels), size=(3, rows))
    load = np.array(levels)[np.take_along_axis(drawn, kept, axis=1)].ravel()
    columns = {
        "current": 0.3 * load + rng.normal(size=load.size),
        "load": load + 0.5 * rng.normal(size=load.size),
        "weather": rng.normal(size=load.size),
    }
    if setpoint:
        columns["setpoint"] = load
    return Readings(
        assets=PUMPS,
        asset=np.repeat(np.arange(3, dtype=np.int32), rows),
        time=np.tile(START + np.arange(rows) * (HOUR // 4), 3),
        sensors=tuple(columns),
        values=np.array(list(columns.values())),
    )


def gather_plant(tmp_path, readings, *, champion=None, at=240.0, **features):
    history, names = keep(tmp_path, readings, parts=4)
    settings = make_settings(features={"pane": "1h", "windows": ["2h", "6h"], **features})
    source = DatasetSource(history, names, EVENTS, dict.fromkeys(PUMPS, START))
    return gather_dataset(source, settings, as_of_ns=START + round(at * HOUR), champion=champion)


def test_regimes_are_found_in_the_past_and_sensors_normalised_within_them_stand_beside(tmp_path):
    dataset = gather_plant(tmp_path, switching_plant())
    raw, current = (
        dataset.frame.values[:, dataset.frame.features.index(name)]
        for name in ("current.mean.6h", "current.mean.6h.in_regime")
    )

    assert dataset.spec.regimes.columns == ("load",)
    assert dataset.regimes.startswith("2 regimes by load: 70")
    assert dataset.champion_frame is None
    assert np.abs(np.nanmean(current)) < 0.3
    assert np.nanstd(current) < 0.8
    assert 20 < np.nanmean(raw) < 30
    within = [name for name in dataset.informative if name.endswith(".in_regime")]
    assert {name.partition(".")[0] for name in within} == {"current"}
    # What is missing is told once.
    assert not any(".missing." in name for name in within)


def test_a_champion_whose_regimes_stood_in_place_is_seen_apart(tmp_path):
    champion = replace(gather_plant(tmp_path / "one", switching_plant()).spec, beside=())
    dataset = gather_plant(tmp_path / "two", switching_plant(), champion=champion)

    assert dataset.spec.regimes == champion.regimes
    assert dataset.spec.beside == ("current",)
    own, ours = dataset.champion_frame, dataset.frame
    mean = own.values[:, own.features.index("current.mean.6h")]
    within = ours.values[:, ours.features.index("current.mean.6h.in_regime")]
    np.testing.assert_array_equal(mean, within)


def test_regimes_named_or_switched_off_are_those(tmp_path):
    off = gather_plant(tmp_path / "off", switching_plant(), regime_columns=[])
    named = gather_plant(tmp_path / "on", switching_plant(setpoint=True), regime_columns=["load"])

    assert (off.spec.regimes, off.regimes) == (None, "switched off")
    assert named.spec.regimes.columns == ("load",)


def test_a_regime_column_that_is_not_there_is_named_with_those_that_are(tmp_path):
    with pytest.raises(BadSettings, match="'speed' is not among.*current, load, weather"):
        gather_plant(tmp_path, switching_plant(), regime_columns=["speed"])


def test_nothing_after_the_moment_changes_regimes(tmp_path):
    readings = switching_plant()
    before = gather_plant(tmp_path / "one", readings, at=200.0)
    readings.values[:, readings.time >= START + 200 * HOUR] *= 3.0
    after = gather_plant(tmp_path / "two", readings, at=200.0)

    assert before.spec.regimes is not None
    assert facts(after) == facts(before)


def test_the_champions_regimes_stay_where_they_are_found_again(tmp_path):
    champion = gather_plant(tmp_path / "one", switching_plant(), at=150.0).spec
    dataset = gather_plant(tmp_path / "two", switching_plant(setpoint=True), champion=champion)
    alone = gather_plant(tmp_path / "three", switching_plant(setpoint=True))

    assert dataset.champion_frame is None
    assert dataset.spec.regimes.columns == ("load",)
    assert dataset.spec.regimes.centres == champion.regimes.centres
    assert dataset.spec.regimes.sensors == ("current", "weather", "setpoint")
    assert alone.spec.regimes.columns == ("setpoint",)


@pytest.mark.parametrize("levels", [(70.0, 85.0, 100.0), (85.0, 85.0)])
def test_where_regimes_changed_the_champion_sees_the_same_cutoffs_its_own_way(tmp_path, levels):
    champion = gather_plant(tmp_path / "one", switching_plant()).spec
    readings = switching_plant(levels=levels)
    dataset = gather_plant(tmp_path / "two", readings, champion=champion)
    panes = build_panes(readings, pane_ns=HOUR)

    own = build_frame(panes, EVENTS, champion, first_seen=dict.fromkeys(PUMPS, START))

    assert dataset.spec.regimes != champion.regimes
    assert dataset.champion_frame.values.tobytes() == own.values.tobytes()
    np.testing.assert_array_equal(dataset.champion_frame.cutoff, dataset.frame.cutoff)
    assert dataset.champion_frame.values.tobytes() != dataset.frame.values.tobytes()


def test_a_champion_without_regimes_is_no_reason_to_go_without(tmp_path):
    champion = gather_plant(tmp_path / "one", switching_plant(), regime_columns=[]).spec
    dataset = gather_plant(tmp_path / "two", switching_plant(), champion=champion)

    assert dataset.spec.regimes is not None
    assert dataset.champion_frame is not None


def test_weights_are_continued_only_where_features_mean_the_same(tmp_path):
    first = gather_plant(tmp_path / "one", switching_plant())
    card = make_card(spec=first.spec, features=first.informative)
    again = gather_plant(tmp_path / "two", switching_plant(seed=1), champion=card.spec)
    other = switching_plant(levels=(70.0, 85.0, 100.0))
    changed = gather_plant(tmp_path / "three", other, champion=card.spec)

    assert set(card.features) <= set(changed.frame.features)
    assert ChampionVersion(card, b"", b"").can_continue(again)
    assert not ChampionVersion(card, b"", b"").can_continue(changed)
    apart = replace(again, modes=FailureModes(("bearing", "seal")))
    assert not ChampionVersion(card, b"", b"").can_continue(apart)
    apart_before = replace(card, head=replace(card.head, modes=("bearing", "seal")))
    assert ChampionVersion(apart_before, b"", b"").can_continue(apart)
    assert not ChampionVersion(apart_before, b"", b"").can_continue(again)


def test_regimes_do_not_depend_on_how_history_is_cut(tmp_path, monkeypatch):
    from pm_app.jobs.retrain import extent as regimes_module

    monkeypatch.setattr(regimes_module, "MOST_PANES", 400)
    readings = switching_plant()
    settings = make_settings()
    specs = []
    for parts in (1, 5):
        history, names = keep(tmp_path / str(parts), readings, parts=parts)
        source = DatasetSource(history, names, EVENTS, dict.fromkeys(PUMPS, START))
        specs.append(gather_dataset(source, settings, as_of_ns=START + 240 * HOUR).spec)

    assert specs[0].regimes is not None
    assert specs[0] == specs[1]


# Columns.


def column_settings(**target):
    return make_settings(target={"kind": "column", "column": "sensor-1", **target})


def table_of(values):
    """A row an asset, all at one time."""
    count = values.shape[1]
    return Readings(
        assets=tuple(f"row-{number:03d}" for number in range(count)),
        asset=np.arange(count, dtype=np.int32),
        time=np.zeros(count, dtype=np.int64),
        sensors=tuple(f"sensor-{number}" for number in range(len(values))),
        values=values,
    )


def gather_table(tmp_path, readings, settings):
    history = History(tmp_path / "panes", pane_ns=HOUR)
    name = history.write("a", build_panes(readings, pane_ns=HOUR))
    first_seen = dict.fromkeys(readings.assets, 0)
    source = DatasetSource(history, [name], EVENTS, first_seen)
    return gather_dataset(source, settings, as_of_ns=START)


def test_the_label_column_is_no_feature(tmp_path):
    values = np.random.default_rng(0).normal(size=(3, 50))
    values[1] = values[1] > 0
    values[1, :5] = np.nan
    dataset = gather_table(tmp_path, table_of(values), column_settings())

    assert dataset.frame.sensors[:2] == ("sensor-0", "sensor-2")
    assert not any(name.startswith("sensor-1") for name in dataset.frame.features)
    np.testing.assert_array_equal(dataset.labels.value, values[1])
    np.testing.assert_array_equal(dataset.labels.usable, ~np.isnan(values[1]))


def test_a_table_has_no_windows(tmp_path):
    values = np.random.default_rng(0).normal(size=(3, 50))
    dataset = gather_table(tmp_path, table_of(values), column_settings(task="regression"))

    assert dataset.spec.windows_ns == ()
    assert dataset.informative == ("sensor-0.last", "sensor-2.last")
    np.testing.assert_array_equal(dataset.frame.values[:, :2], values[[0, 2]].T.astype(np.float32))


def test_a_label_column_that_is_not_there_is_named_with_those_that_are(tmp_path):
    settings = make_settings(target={"kind": "column", "column": "wear"})
    values = np.zeros((3, 5))
    with pytest.raises(BadSettings, match="'wear' is no numeric column.*sensor-0, sensor-1"):
        gather_table(tmp_path, table_of(values), settings)


def test_settings_survive_the_journey_to_the_trainer():
    settings = column_settings(task="regression")
    sent = json.loads(json.dumps(settings.model_dump(mode="json")))

    arrived = parse_settings(sent, folder=".", origin="plant.toml")

    assert arrived == settings
    assert arrived.digest == settings.digest


def test_merging_segments_in_any_number_of_parts_is_the_same(tmp_path):
    readings = random_readings(rows=600, hours=HOURS)
    whole = build_panes(readings, pane_ns=HOUR)
    history, names = keep(tmp_path, readings, parts=4)
    merged = merge_panes(list(history.read(names)), pane_ns=HOUR)

    np.testing.assert_array_equal(merged.pane, whole.pane)
    assert merged.total.tobytes() == whole.total.tobytes()


def test_rows_at_which_a_machine_is_off_are_not_learned_from(tmp_path):
    readings = random_readings(rows=3000, missing=0)
    bound = float(np.median(readings.values[1]))
    settings = make_settings(readings={"running": f"sensor-1 > {bound}"})
    before = gather(tmp_path / "all", readings)
    found = gather(tmp_path / "running", readings, settings=settings)

    assert found.spec.running == RunningRule("sensor-1", bound)
    off = found.frame.off
    assert off.any() and not off.all()
    np.testing.assert_array_equal(found.labels.usable, before.labels.usable & ~off)
    np.testing.assert_array_equal(found.frame.values, before.frame.values)


def test_what_tells_running_has_to_be_a_sensor(tmp_path):
    settings = make_settings(readings={"running": "speed > 5"})
    with pytest.raises(BadSettings, match="readings.running: 'speed' is no numeric column"):
        gather(tmp_path, random_readings(), settings=settings)


def confirmed_at(hours, *, given, asset="pump-2"):
    """A failure that a verdict confirms."""
    first, last = (START + round(hour * HOUR) for hour in hours)
    return ConfirmedFailure(asset, first, last, START + round(given * HOUR))


def test_a_verdict_changes_labels_and_no_feature(tmp_path):
    readings = random_readings(rows=900, hours=HOURS)
    before = gather(tmp_path / "one", readings)
    after = gather(tmp_path / "two", readings, confirmed=[confirmed_at((20, 24), given=30)])

    assert after.spec == before.spec
    assert after.frame.values.tobytes() == before.frame.values.tobytes()
    assert count_failures(after.labels) == count_failures(before.labels) + 1
    assert (before.failures_from_verdicts, after.failures_from_verdicts) == (0, 1)


def test_renewals_of_the_settings_are_in_features_and_labels(tmp_path):
    readings = random_readings(rows=400)
    renewing = make_settings(events={"renewals": ["se*"]})
    of_a_mode = make_settings(modes={"wear": {"renewals": ["se*"]}})

    before, after, mode = (
        gather(tmp_path / name, readings, settings=settings)
        for name, settings in (("before", None), ("after", renewing), ("mode", of_a_mode))
    )

    assert (before.spec.renewals, after.spec.renewals) == ((), ("se*",))
    assert (before.renews, after.renews) == (False, True)
    assert not before.labels.renewed.any()
    frame, name = after.frame, "pump-1"
    # Renewed at 10, failed at 33.3.
    rows = (frame.asset == frame.assets.index(name)) & (frame.cutoff < START + 10 * HOUR)
    assert after.labels.renewed[rows].all()
    hours = (START + 10 * HOUR - frame.cutoff[rows]) / HOUR
    np.testing.assert_array_equal(after.labels.duration_hours[rows], hours)
    assert before.labels.failed[rows].all()
    assert not have_equal_values(before.spec, after.spec)
    # Of a mode: lives end, and the asset is as old as it is.
    np.testing.assert_array_equal(mode.labels.renewed, after.labels.renewed)
    np.testing.assert_array_equal(mode.labels.duration_hours, after.labels.duration_hours)
    assert (mode.spec.renewals, mode.spec.mode_renewals) == ((), (("wear", ("se*",)),))
    ages = [
        each.frame.values[:, each.frame.features.index(name)]
        for each, name in (
            (before, "age"),
            (mode, "age"),
            (after, "age"),
            (mode, "since.renewal.wear"),
        )
    ]
    np.testing.assert_array_equal(ages[0], ages[1])
    np.testing.assert_array_equal(ages[2], ages[3])
    assert not have_equal_values(before.spec, mode.spec)


def test_a_verdict_given_after_the_moment_changes_nothing(tmp_path):
    readings = random_readings(rows=900, hours=HOURS)
    before = facts(gather(tmp_path / "one", readings))
    after = facts(
        gather(tmp_path / "two", readings, confirmed=[confirmed_at((20, 24), given=36.1)])
    )

    assert after == before


def test_an_event_whose_span_ends_after_the_moment_changes_nothing(tmp_path):
    readings = random_readings(rows=900, hours=HOURS)
    before = facts(gather(tmp_path / "one", readings))
    rows = events_as_rows(EVENTS) | {
        ("pump-2", START + 37 * HOUR, "failure", "seal", START + 20 * HOUR)
    }
    after = facts(gather(tmp_path / "two", readings, events_from_rows(rows)))

    assert after == before


def test_features_know_of_an_uncertain_event_only_when_it_has_happened(tmp_path):
    readings = random_readings(rows=900, hours=HOURS)
    spans = [(20.0, 24.0), (24.0, 24.0)]
    frames = [
        gather(
            tmp_path / str(begin),
            readings,
            events_from_rows(
                events_as_rows(EVENTS)
                | {
                    (
                        "pump-2",
                        START + round(end * HOUR),
                        "failure",
                        "",
                        START + round(begin * HOUR),
                    )
                }
            ),
        ).frame
        for begin, end in spans
    ]

    assert frames[0].values.tobytes() == frames[1].values.tobytes()


def test_a_retraining_tells_failures_by_who_told_of_them(tmp_path):
    readings = random_readings(rows=900, hours=HOURS)
    silent = gather(tmp_path / "one", readings)
    dataset = gather(tmp_path / "two", readings, confirmed=[confirmed_at((20, 22), given=30)])
    failures = count_failures(dataset.labels)

    assert f"{failures} failures: {failures - 1} from events, 1 from verdicts" in remarks_on(
        dataset, ()
    )
    assert not any("verdicts" in remark for remark in remarks_on(silent, ()))


def test_further_classes_of_a_column_are_modes_of_what_happens(tmp_path):
    values = np.random.default_rng(0).normal(size=(2, 300))
    values[1] = np.arange(300) % 10 // 7 * (1 + np.arange(300) % 3)
    values[1, :2] = 9.0

    dataset = gather_table(tmp_path, table_of(values), column_settings())

    labels, modes = dataset.labels, dataset.modes
    assert modes.names == ("1", "2", "3", "other")
    assert modes.text.endswith("too few to be a mode, 10 needed: 9 2")
    assert np.bincount(labels.mode[labels.value == 1.0]).tolist() == list(modes.failures)
    assert set(labels.mode[labels.value == 0.0]) == {-1}
