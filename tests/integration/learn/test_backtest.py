"""A backtest speaks of the past as if it had not come yet, and leaves everything as it is."""

import json
import os
import tempfile
from dataclasses import replace
from operator import attrgetter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from dying_workers import InlineEngine
from factories import (
    NOW,
    PLANT_TOML,
    START,
    FakeTrainer,
    drop,
    events_table,
    make_spec,
    opened,
    promote_handmade,
    readings_table,
    said,
)

from pm_app.cli import app as cli
from pm_app.errors import BadSettings, NotEnoughData, TransientError
from pm_app.jobs.backtest import workers as backtest_workers
from pm_app.jobs.backtest.fold import FoldTrainers
from pm_app.jobs.backtest.folds import BacktestOptions
from pm_app.jobs.backtest.report import deviation_text, report_on
from pm_app.jobs.backtest.run import backtest
from pm_app.jobs.ingest.run import ingest
from pm_app.jobs.retrain import process as trainer_process
from pm_app.jobs.score.alarm_rules import threshold_of
from pm_app.learning.evaluation import boosters
from pm_app.learning.evaluation.boosters import Booster
from pm_app.records.learning import Head
from pm_app.state.segments import MissingSegment

ASSETS, HOURS = 20, 60
HOUR = 3_600_000_000_000
TOML = (
    PLANT_TOML.replace('["24h", "72h"]', '["2h", "4h"]').replace('"10d"', '"1d"')
    + "\n[retraining]\nminimum_failures = 4\n"
)
HEAD = Head("hazard", (1.0, 2.0, 4.0, 24.0), (2.0, 4.0))


def failures(seed=0):
    """Every asset fails once, at an hour of its own, and is repaired an hour later."""
    rng = np.random.default_rng(seed)
    hours = np.sort(rng.uniform(8, HOURS - 4, ASSETS))
    rows = [(f"pump-{n:02d}", float(at), "failure", "seal") for n, at in enumerate(hours)]
    return [*rows, *((name, at + 1, "maintenance", "seal") for name, at, *_ in rows)]


@pytest.fixture
def plant(new_plant):
    """Readings of all assets and their failures, taken in."""
    config = new_plant(toml=TOML, champion=False)
    drop(config, "a.parquet", readings_table(assets=ASSETS, hours=HOURS, missing=0, seed=1))
    drop(config, "e.parquet", events_table(failures()), source="events")
    with opened(config) as live:
        ingest(live, now=NOW)
    return config


def first_feature(lesson):
    """A peer that needs no learning, and says what it was shown."""

    def answer(values):
        return np.full(len(values), 0.25), np.full(len(values), float(len(lesson.frame.cutoff)))

    return Booster("a constant", answer)


def run(live, *, trainer=None, folds=3, **options):
    trainer = trainer or FakeTrainer(spec=make_spec(live.settings), head=HEAD)
    trainers = FoldTrainers(trainer, first_feature)
    return backtest(live, BacktestOptions(folds), now=NOW, trainers=trainers, **options)


def facts(folder, store):
    """All that a backtest could leave behind."""
    files = sorted(str(path) for path in folder.rglob("*") if "pm.sqlite" not in path.name)
    lineage = store.lineage
    rows = (lineage.versions(), lineage.retrainings(), lineage.promotions(), said(store))
    return files, *rows, store.ledger.batches(status=None, limit=100)


def test_every_cutoff_after_the_first_origin_is_spoken_of_once_by_the_fold_before_it(plant):
    with opened(plant) as live:
        trainer = FakeTrainer(spec=make_spec(live.settings), head=HEAD)
        predictions = run(live, trainer=trainer)

    origins = [fold.origin for fold in predictions.folds]
    assert [order.as_of_ns for order in trainer.orders] == origins
    assert all(order.champion is None for order in trainer.orders)
    end = START + HOURS * HOUR
    expected = {
        (number, cutoff)
        for number in range(ASSETS)
        for cutoff in range(origins[0] + HOUR, end + 1, HOUR)
    }
    found = list(zip(predictions.asset.tolist(), predictions.cutoff.tolist(), strict=True))
    assert sorted(found) == sorted(expected)
    bounds = [*origins, end]
    for number in range(3):
        cutoffs = predictions.cutoff[predictions.fold == number]
        assert bounds[number] < cutoffs.min()
        assert cutoffs.max() <= bounds[number + 1]
    assert np.isfinite(predictions.ours.risk).any()
    assert np.array_equal(np.isnan(predictions.ours.risk), np.isnan(predictions.theirs.risk))


def test_failures_are_dealt_evenly_over_the_folds(plant):
    with opened(plant) as live:
        predictions = run(live, folds=4)

    assert predictions.folds[0].past_failures == 8
    coming = [fold.failures for fold in predictions.folds]
    # Those of one pane stay together.
    assert sum(coming) == 12
    assert max(coming) - min(coming) <= 2


def test_what_comes_later_changes_nothing_that_was_said_before(plant, new_plant):
    with opened(plant) as live:
        before = run(live)
    later = before.folds[1].origin
    table = readings_table(assets=ASSETS, hours=HOURS, missing=0, seed=1)
    other = readings_table(assets=ASSETS, hours=HOURS, missing=0, seed=2)
    when = table["timestamp"].cast(pa.int64()).to_numpy()
    since = other["timestamp"].cast(pa.int64()).to_numpy()
    mixed = pa.concat_tables([table.filter(when < later), other.filter(since >= later)])
    config = new_plant(toml=TOML, champion=False)
    drop(config, "a.parquet", mixed)
    drop(config, "e.parquet", events_table(failures()), source="events")
    with opened(config) as live:
        ingest(live, now=NOW)
        after = run(live)

    for name in ("asset", "cutoff", "ours.risk", "ours.rul", "theirs.rul"):
        one, two = (attrgetter(name)(each)[each.fold == 0] for each in (before, after))
        np.testing.assert_array_equal(one, two)
    changed = [each.ours.risk[each.fold > 0] for each in (before, after)]
    assert not np.array_equal(*changed, equal_nan=True)


def test_a_backtest_changes_nothing_and_leaves_nothing_behind(plant, tmp_path, monkeypatch):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    with opened(plant) as live:
        promote_handmade(live)
        before = facts(plant.parent, live.store)
        run(live)

        assert facts(plant.parent, live.store) == before
    assert not list(scratch.iterdir())


def test_a_trainer_that_dies_ends_the_backtest_and_nothing_else(plant, tmp_path, monkeypatch):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))

    class Mortal(FakeTrainer):
        def __call__(self, *args):
            if self.orders:
                raise TransientError("the trainer was killed")
            super().__call__(*args)

    with opened(plant) as live:
        before = facts(plant.parent, live.store)
        with pytest.raises(TransientError, match="killed"):
            run(live, trainer=Mortal(spec=make_spec(live.settings), head=HEAD))

        assert facts(plant.parent, live.store) == before
    assert not list(scratch.iterdir())


def test_a_fold_that_cannot_be_learned_is_told_and_the_others_go_on(plant):
    class Slow(FakeTrainer):
        def __call__(self, *args):
            self.answer = replace(
                self.answer, has_version=bool(self.orders), reason="not enough data"
            )
            super().__call__(*args)

    with opened(plant) as live:
        predictions = run(live, trainer=Slow(spec=make_spec(live.settings), head=HEAD))
        report = report_on(predictions, live.settings)
        with pytest.raises(NotEnoughData, match="no fold could be learned: first, for a reason"):
            run(live, trainer=FakeTrainer(made=False))

    assert predictions.decisions == ("not enough data", "", "")
    assert set(predictions.fold.tolist()) == {1, 2}
    assert report.folds[0].note == "not enough data"


def test_deviations_are_those_of_what_was_normal_before_the_fold(plant):
    config = plant.read_text().replace(
        "[features]", '[deviation]\nminimum_history = "6h"\n[features]'
    )
    plant.write_text(config)
    with opened(plant) as live:
        predictions = run(live)
        report = report_on(predictions, live.settings)

    told = np.isfinite(predictions.deviation)
    assert told.any() and (predictions.deviation[told] >= 0).all()
    assert report.deviation.failures == report.ours.best.failures
    assert "Alarms of deviations, which need no failure to learn from" in deviation_text(report)


def test_without_deviations_a_backtest_says_nothing_of_them(plant):
    plant.write_text(f"{plant.read_text()}\n[deviation]\nenabled = false\n")
    with opened(plant) as live:
        predictions = run(live)
        report = report_on(predictions, live.settings)

    assert not np.isfinite(predictions.deviation).any()
    assert report.deviation is None and deviation_text(report) == ""


def test_too_few_failures_are_told_with_their_number(plant):
    with (
        opened(plant) as live,
        pytest.raises(NotEnoughData, match="20 failures .* 13 folds"),
    ):
        run(live, folds=13)


def test_a_column_target_has_no_past_to_replay(new_plant):
    config = new_plant(
        {"a.parquet": readings_table()},
        toml=PLANT_TOML.replace("[target]", '[target]\nkind = "column"\ncolumn = "sensor-0"')
        .replace('horizons = ["24h", "72h"]\n', "")
        .replace('rul_cap = "10d"\n', ""),
        champion=False,
    )
    with (
        opened(config) as live,
        pytest.raises(BadSettings, match='target.kind is "column"'),
    ):
        run(live)


def test_the_reason_for_a_threshold_holds_its_figures(plant):
    with opened(plant) as live:
        report = report_on(run(live), live.settings)

    best = report.ours.best
    assert best.cost == min(each.cost for each in report.ours.sweep)
    assert best.cost == 10 * best.missed + best.false_alarms
    assert report.never.cost == 10 * best.failures
    assert f"{best.caught} of {best.failures} failures caught" in report.reason
    assert len(report.failures) == best.failures
    told = [one.warning_hours for one in report.failures if one.warning_hours is not None]
    assert sorted(told) == pytest.approx(list(best.warning_hours))
    assert report.near[0] <= report.threshold <= report.near[1]


def test_where_failures_stopped_being_told_of_nothing_later_is_judged_and_that_is_said(
    plant, caplog
):
    later = readings_table(assets=ASSETS, hours=60, first_hour=HOURS, missing=0, seed=2)
    drop(plant, "later.parquet", later)
    with opened(plant) as live:
        ingest(live, now=NOW)
        found = run(live)

    newest = max(hours for _, hours, *_ in failures())
    hours = (found.cutoff - START) / HOUR
    assert (hours > HOURS).any()
    assert hours[found.labels.usable].max() <= newest
    assert "neither failures nor maintenance are told of since" in caplog.text


def test_alarms_before_a_renewal_are_counted_apart(new_plant):
    config = new_plant(toml=f'{TOML}\n[events]\nrenewals = ["seal"]\n', champion=False)
    drop(config, "a.parquet", readings_table(assets=ASSETS, hours=HOURS, missing=0, seed=1))
    renewals = [
        (asset, hours + 9.5, "maintenance", "seal")
        for asset, hours, kind, _ in failures()
        if kind == "failure"
    ]
    drop(config, "e.parquet", events_table([*failures(), *renewals]), source="events")
    with opened(config) as live:
        ingest(live, now=NOW)
        found = run(live)
        report = report_on(found, live.settings)

    lowest = report.ours.sweep[0]
    assert found.labels.renewed.any()
    assert found.labels.weights.max() > 1.0
    assert (lowest.open_looks, lowest.failures) > (0, 0)
    assert lowest.cost == 10 * lowest.missed + lowest.false_alarms


@pytest.fixture
def pm_app(monkeypatch, capsys):
    """Runs a command in this process: its trainer takes no time, its peer few rounds."""
    monkeypatch.setattr(boosters, "_MOST_ROUNDS", 20)
    monkeypatch.setattr(boosters, "_SETTINGS", boosters._SETTINGS[:1])

    def fake(order_path, answer_path, progress, **options):
        return fake.trainer(order_path, answer_path, progress)

    def command(config, *words):
        with opened(config) as live:
            fake.trainer = FakeTrainer(spec=make_spec(live.settings), head=HEAD)
        monkeypatch.setattr(trainer_process, "run_trainer", fake)
        with pytest.raises(SystemExit) as ended:
            cli.app(["backtest", "-c", str(config), *words])
        assert ended.value.code in (0, None)
        return capsys.readouterr().out

    return command


def test_the_command_tells_draws_and_sets_the_threshold(plant, pm_app, tmp_path):
    page = tmp_path / "page.html"

    told = pm_app(plant, "--html", str(page), "--folds", "2", "--set-threshold")
    fields = json.loads(pm_app(plant, "--folds", "2", "--json"))

    text = page.read_text(encoding="utf-8")
    assert text.count("<svg") == 4
    assert "http" not in text.replace("http://www.w3.org", "")
    assert all(f"pump-{number:02d}" in text for number in (15, 19))
    assert f"at {fields['threshold']:g} from now on" in told
    with opened(plant) as live:
        settings, alarms = live.settings.alarms, live.store.alarms
        found = threshold_of(settings, alarms, fields["horizon_hours"])
        assert found.risk == fields["threshold"]
        assert "set by a backtest" in found.why
        assert threshold_of(settings, alarms, 1.0).why.startswith("the default")
    assert fields["peer"]["name"] in told
    assert not list(Path(plant.parent).rglob("*.training*"))


@pytest.fixture
def workers(monkeypatch):
    """What workers of a backtest learn with, as `run` does; a hook comes before each training."""

    def use(spec, before=lambda order: None):
        trainer = FakeTrainer(spec=spec, head=HEAD)

        def learn(order, answer, progress, timeout_seconds):
            before(order)
            trainer(order, answer, progress)

        monkeypatch.setattr(backtest_workers, "run_trainer", learn)
        monkeypatch.setattr(backtest_workers, "fit_booster", first_feature)

    return use


def bits(predictions):
    """All of an predictions, to the bit."""
    parts = ("labels", "ours", "theirs")
    fields = {name: value for name, value in vars(predictions).items() if name not in parts}
    for part in parts:
        fields |= {
            f"{part}.{name}": value for name, value in vars(getattr(predictions, part)).items()
        }
    return {
        name: value.tobytes() if isinstance(value, np.ndarray) else value
        for name, value in fields.items()
    }


def test_folds_of_workers_say_what_one_after_the_other_says_and_leave_nothing(plant, workers):
    with opened(plant) as live:
        workers(make_spec(live.settings))
        alone = run(live)
        before = facts(plant.parent, live.store)
        told = []
        found = run(live, engine=InlineEngine(), progress=lambda share, text: told.append(share))
        assert facts(plant.parent, live.store) == before

    assert np.isfinite(alone.ours.risk).any()
    assert bits(found) == bits(alone)
    assert told == sorted(told)


def test_a_fold_whose_worker_dies_is_learned_again(plant, workers):
    deaths = []

    def die_once(place):
        if not deaths:
            deaths.append(place)
            raise EOFError("gone")

    with opened(plant) as live:
        workers(make_spec(live.settings))
        assert bits(run(live, engine=InlineEngine(die_once))) == bits(run(live))
    assert len(deaths) == 1


def test_a_fold_that_cannot_be_learned_is_named_and_the_folder_goes(plant, workers):
    def fail(order):
        raise TransientError("the trainer was killed")

    with opened(plant) as live:
        workers(make_spec(live.settings), before=fail)
        with pytest.raises(TransientError, match="fold 1 of 3: the trainer was killed"):
            run(live, engine=InlineEngine())
        assert not list(live.settings.state.glob(".backtest-*"))


def test_folds_that_met_segments_joined_meanwhile_are_told_of_them_anew(plant, workers):
    met = []

    def join(order_path):
        """The segment that the order names is gone at the first look, as after a joining."""
        if len(met) < 2:
            met.append(order_path)
            raise MissingSegment(Path("joined.parquet"), "not there")

    with opened(plant) as live:
        workers(make_spec(live.settings), before=join)
        found = run(live, engine=InlineEngine())
        assert bits(found) == bits(run(live))
    assert len(met) == 2


def test_what_a_killed_backtest_left_is_removed_a_week_later(plant, workers):
    with opened(plant) as live:
        workers(make_spec(live.settings))
        left = [live.settings.state / name for name in (".backtest-old", ".backtest-new")]
        for days, folder in zip((8, 6), left, strict=True):
            folder.mkdir()
            when = NOW.timestamp() - days * 86_400
            os.utime(folder, (when, when))
        run(live, engine=InlineEngine())
        assert [folder.exists() for folder in left] == [False, True]
