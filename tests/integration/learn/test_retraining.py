"""Laws 6 and 7: what a retraining decides, publishes and leaves alone; steps back."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from itertools import chain, repeat
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pyarrow.parquet as pq
import pytest
from factories import (
    HOUR,
    NOW,
    START,
    FakeTrainer,
    drop,
    events_table,
    hour,
    make_graph,
    make_plant,
    readings_table,
)
from twenty_pumps import PUMPS, PUMPS_NOW, PUMPS_TOML

from pm_app.errors import BadSettings, BadVersion, StoreUnavailable, TerminalError, TransientError
from pm_app.features.frame import select_features
from pm_app.features.limits import limit_features
from pm_app.jobs.ingest.run import ingest
from pm_app.jobs.plant import first_seen_ns
from pm_app.jobs.retrain.dataset import DatasetSource, gather_dataset
from pm_app.jobs.retrain.messages import REQUEST
from pm_app.jobs.retrain.process import run_trainer
from pm_app.jobs.retrain.run import RetrainingOptions, retrain
from pm_app.jobs.score import frames as frames_module
from pm_app.jobs.score.champion import load_champion
from pm_app.jobs.score.frames import PaneSpan
from pm_app.jobs.score.predict import predict_spans
from pm_app.jobs.score.promotion import promote, roll_back
from pm_app.jobs.score.run import score
from pm_app.scoring.predictor import Predictor
from pm_app.settings.plant import read_settings
from pm_app.simulator import simulate
from pm_app.store import Actor
from pm_app.times import to_nanoseconds
from pm_app.wiring import open_plant

FILES = ["card.json", "golden.npz", "manifest.json", "model.keras", "model.onnx"]


@pytest.fixture
def config(tmp_path):
    events = [("pump-00", 30.0, "failure", ""), ("pump-00", 32.0, "maintenance", "seal")]
    return make_plant(
        tmp_path / "plant",
        {"a.parquet": readings_table(hours=48, missing=0.0)},
        events={"a.parquet": events_table(events)},
    )


@pytest.fixture
def plant(config):
    with open_plant(read_settings(config)) as plant:
        yield plant


def learn(plant, trainer, *, days=0, **options):
    return retrain(
        plant,
        now=NOW + timedelta(days=days),
        trainer=trainer,
        options=RetrainingOptions(**options),
    )


def on_disk(plant):
    return sorted(path.name for path in plant.registry.folder.iterdir())


def drop_hour(plant, first_hour):
    """Another hour of readings comes."""
    table = readings_table(hours=1, first_hour=first_hour, seed=first_hour, missing=0.0)
    drop(plant.settings.folder / "plant.toml", f"{first_hour}.parquet", table)


def newest_said(plant):
    """Who said what of the newest cutoff."""
    drop_hour(plant, 48 + len(plant.store.ledger.batches()))
    score(plant, now=NOW)
    latest = plant.store.tables.latest_predictions().to_pylist()
    return {row["model_version"] for row in latest}, {row["status"] for row in latest}


# What is decided is recorded.


@pytest.mark.parametrize("decision", ["first", "refit", "rebuild"])
def test_a_version_that_earned_its_place_scores(plant, decision):
    done = learn(plant, FakeTrainer(decision))

    row = plant.store.lineage.retrainings()[0]
    assert (done.decision, done.version, done.promoted) == (decision, 1, True)
    assert (row.decision, row.reason, row.version) == (decision, f"{decision}, for a reason", 1)
    assert row.metrics["tau"] == 0.5
    assert plant.store.lineage.champion() == 1
    assert [row.sensor for row in plant.store.lineage.importances(1)][:2] == [
        "sensor-0",
        "sensor-1",
    ]
    assert sorted(path.name for path in plant.registry.path(1).iterdir()) == FILES
    assert newest_said(plant) == ({1}, {"scored"})


def test_a_challenger_that_did_not_earn_it_is_kept_but_does_not_score(plant):
    learn(plant, FakeTrainer())
    done = learn(plant, FakeTrainer("rebuild", promote=False, seed=1))

    assert (done.version, done.promoted) == (2, False)
    assert plant.store.lineage.champion() == 1
    assert on_disk(plant) == ["000001", "000002"]
    assert newest_said(plant) == ({1}, {"scored"})


@pytest.mark.parametrize("decision", ["keep", "not_enough_data"])
def test_a_decision_without_a_version_is_recorded_and_leaves_the_champion(plant, decision):
    learn(plant, FakeTrainer())
    done = learn(plant, FakeTrainer(decision, made=False))

    newest = plant.store.lineage.retrainings()[0]
    assert done.version is None
    assert (newest.decision, newest.reason) == (decision, f"{decision}, for a reason")
    assert newest.version is None
    assert plant.store.lineage.champion() == 1
    assert on_disk(plant) == ["000001"]
    assert len(plant.store.lineage.versions()) == 1


def test_not_enough_data_at_first_leaves_the_plant_without_a_model(plant):
    done = learn(plant, FakeTrainer("not_enough_data", made=False))

    assert done.decision == "not_enough_data"
    assert load_champion(plant) is None
    assert newest_said(plant) == ({0}, {"no_model"})


def test_the_trainer_is_told_what_is_known_and_who_scores(plant):
    first, second = FakeTrainer(), FakeTrainer("refit", seed=1)
    learn(plant, first)
    drop_hour(plant, 50)
    learn(plant, second, as_of=hour(40), force=True)

    assert first.orders[0].champion is None
    assert second.orders[0].champion == 1
    assert second.orders[0].force
    assert second.orders[0].as_of_ns == START + 40 * HOUR
    assert len(second.orders[0].segments) == 2
    first_hours = {name: time // HOUR for name, time in second.orders[0].first_seen.items()}
    assert first_hours == {f"pump-{n:02d}": START // HOUR for n in range(3)}


def test_how_often_the_ranking_differed_is_counted_on(plant):
    class Differed(FakeTrainer):
        def __init__(self, in_a_row):
            super().__init__("keep", made=False)
            self.answer = replace(self.answer, in_a_row=in_a_row)

    learn(plant, FakeTrainer())
    learn(plant, Differed(1))
    third = Differed(2)
    learn(plant, third)

    assert third.orders[0].in_a_row_before == 1


@pytest.mark.parametrize(("promotion", "counted"), [("automatic", 0), ("approve", 2)])
def test_a_champion_with_a_ranking_of_its_own_begins_the_count_anew(config, promotion, counted):
    config.write_text(f'{config.read_text()}\n[retraining]\npromotion = "{promotion}"\n')
    with open_plant(read_settings(config)) as plant:
        learn(plant, FakeTrainer())
        promote(plant, 1, at=NOW, reason="by hand", actor=Actor("ann"))
        rebuilt, asked = FakeTrainer("rebuild", seed=1), FakeTrainer("keep", made=False)
        rebuilt.answer = replace(rebuilt.answer, in_a_row=2, failures=17)
        learn(plant, rebuilt)
        learn(plant, asked)

    assert asked.orders[0].in_a_row_before == counted
    assert asked.orders[0].failures_last == 17


def test_a_refit_goes_on_counting(plant):
    learn(plant, FakeTrainer())
    refitted, asked = FakeTrainer("refit", seed=1), FakeTrainer("keep", made=False)
    refitted.answer = replace(refitted.answer, in_a_row=1)
    learn(plant, refitted)
    learn(plant, asked)

    assert asked.orders[0].champion == 2
    assert asked.orders[0].in_a_row_before == 1


# What goes wrong changes nothing.


def dies(order_path, answer_path, progress):
    """A trainer that fills half its staging folder and is gone."""
    staging = Path(REQUEST.validate_json(order_path.read_bytes()).staging)
    staging.mkdir()
    (staging / "model.keras").write_bytes(b"half")
    raise TransientError("the trainer ended with code -9: no message")


def test_a_trainer_that_dies_changes_nothing(plant):
    learn(plant, FakeTrainer())
    with pytest.raises(TransientError, match="code -9"):
        learn(plant, dies)

    assert len(plant.store.lineage.retrainings()) == 1
    assert plant.store.lineage.champion() == 1
    assert newest_said(plant) == ({1}, {"scored"})
    assert not list(plant.settings.state.glob(".training-*"))


def test_after_a_trainer_died_the_next_retraining_works(plant):
    with pytest.raises(TransientError):
        learn(plant, dies)
    done = learn(plant, FakeTrainer())

    assert (done.version, on_disk(plant)) == (1, ["000001"])


def test_a_version_whose_graph_is_not_its_network_is_refused(plant):
    learn(plant, FakeTrainer())
    with pytest.raises(BadVersion, match="within 1e-05, got 1.1e-05"):
        learn(plant, FakeTrainer("rebuild", parity=1.1e-5))

    assert plant.store.lineage.champion() == 1
    assert on_disk(plant)[-1] == "000001"
    assert learn(plant, FakeTrainer("rebuild", parity=1e-5)).version == 2


def test_an_unknown_parity_is_refused(plant):
    with pytest.raises(BadVersion, match="got nan"):
        learn(plant, FakeTrainer(parity=float("nan")))
    assert plant.store.lineage.versions() == []


def test_a_version_that_fails_its_golden_rows_is_refused_and_the_champion_scores_on(plant):
    learn(plant, FakeTrainer())
    with pytest.raises(BadVersion, match="golden rows"):
        learn(plant, FakeTrainer("rebuild", seed=1, off=0.01))

    assert len(plant.store.lineage.retrainings()) == 1
    assert newest_said(plant) == ({1}, {"scored"})


@dataclass(frozen=True, eq=False)
class CrashingLineage:
    """A lineage whose recording fails, as when the power goes."""

    inner: object

    def __getattr__(self, name):
        return getattr(self.inner, name)

    def record_retraining(self, *args, **kw):
        raise StoreUnavailable("the power failed")


def test_a_crash_between_publishing_and_recording_leaves_the_old_champion(plant):
    learn(plant, FakeTrainer())
    crashing = replace(
        plant, store=replace(plant.store, lineage=CrashingLineage(plant.store.lineage))
    )
    with pytest.raises(StoreUnavailable, match="power"):
        learn(crashing, FakeTrainer("rebuild", seed=1))

    assert on_disk(plant) == ["000001", "000002"]
    assert newest_said(plant) == ({1}, {"scored"})

    done = learn(plant, FakeTrainer("rebuild", seed=2))
    assert (done.version, on_disk(plant)) == (2, ["000001", "000002"])
    assert load_champion(plant).card.seed == 2


# Steps forward and back.


@pytest.fixture
def three_versions(plant):
    """Versions 1 and 2 promoted in turn, 3 not."""
    for seed in (0, 1, 2):
        learn(plant, FakeTrainer("rebuild", seed=seed, promote=seed < 2), days=seed)
    return plant


def command(capsys, config, *words):
    """One command of pm-app: its exit code and what it says."""
    from pm_app.cli import main

    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as ended:
        patch.setattr(sys, "argv", ["pm-app", *words, "-c", str(config)])
        main()
    said = capsys.readouterr()
    return ended.value.code or 0, said.out + said.err


@pytest.mark.parametrize(("words", "champion"), [(["promote", "3"], 3), (["rollback"], 1)])
def test_every_step_is_one_command(config, capsys, words, champion):
    with open_plant(read_settings(config)) as plant:
        for seed in (0, 1, 2):
            learn(plant, FakeTrainer("rebuild", seed=seed, promote=seed < 2), days=seed)

    code, said = command(capsys, config, *words)

    assert (code, said) == (0, f"version {champion} scores from now on\n")
    with open_plant(read_settings(config)) as plant:
        assert plant.store.lineage.champion() == champion
        assert newest_said(plant) == ({champion}, {"scored"})


def test_a_version_may_have_to_wait_for_a_person(config):
    config.write_text(f'{config.read_text()}\n[retraining]\npromotion = "approve"\n')
    with open_plant(read_settings(config)) as plant:
        done = learn(plant, FakeTrainer())
        (noted,) = plant.store.lineage.retrainings()

        assert (done.version, done.promoted) == (1, False)
        assert done.reason == noted.reason
        assert done.reason.endswith("; waits for pm-app promote 1")
        assert plant.store.lineage.champion() is None

        promote(plant, 1, at=NOW, reason="by hand", actor=Actor("ann"))
        assert newest_said(plant) == ({1}, {"scored"})


def test_models_are_told_as_they_were(config, capsys):
    with open_plant(read_settings(config)) as plant:
        for seed in (0, 1, 2):
            learn(plant, FakeTrainer("rebuild", seed=seed, promote=seed < 2), days=seed)
        moved = plant.store.lineage.promotions()
        roll_back(
            plant, at=moved[1].at + timedelta(days=5), reason="it cried wolf", actor=Actor("ann")
        )

    def told(*words):
        _, said = command(capsys, config, "models", "--json", *words)
        found = json.loads(said)
        scoring = [row["version"] for row in found["versions"] if row["scores"]]
        moves = [(row["version"], row["kind"]) for row in found["promotions"]]
        return len(found["versions"]), scoring, len(found["retrainings"]), moves

    before = moved[0].at - timedelta(seconds=1)
    assert told("--as-of", before.isoformat())[1::2] == ([], [])
    assert told("--as-of", moved[0].at.isoformat())[1::2] == ([1], [(1, "promote")])
    assert told("--as-of", moved[1].at.isoformat())[1] == [2]
    assert told("--as-of", (NOW - timedelta(days=1)).isoformat()) == (0, [], 0, [])
    assert told()[1] == [1]
    assert told()[3][0] == (1, "rollback")


def test_a_promotion_rewrites_nothing_that_was_said(three_versions):
    newest_said(three_versions)
    before = [table.to_pylist() for table in three_versions.store.tables.predictions()]

    promote(three_versions, 3, at=NOW, reason="by hand", actor=Actor("ann"))
    score(three_versions, now=NOW)

    assert [t.to_pylist() for t in three_versions.store.tables.predictions()] == before


def damage(plant, number):
    (plant.registry.path(number) / "model.onnx").write_bytes(b"")


def swap(plant, number):
    """Another whole version in its place, say from a backup of another plant."""
    shutil.rmtree(plant.registry.path(number))
    shutil.copytree(plant.registry.path(2), plant.registry.path(number))


@pytest.mark.parametrize("harm", [damage, swap])
def test_a_version_that_is_not_the_recorded_one_is_never_promoted(three_versions, harm):
    harm(three_versions, 3)
    with pytest.raises(BadVersion, match="000003"):
        promote(three_versions, 3, at=NOW, reason="by hand", actor=Actor("ann"))

    assert three_versions.store.lineage.champion() == 2


@pytest.mark.parametrize("harm", [damage, swap])
def test_a_rollback_to_a_damaged_version_is_refused(three_versions, harm):
    harm(three_versions, 1)
    with pytest.raises(BadVersion, match="000001"):
        roll_back(three_versions, at=NOW, reason="by hand", actor=Actor("ann"))

    assert three_versions.store.lineage.champion() == 2
    assert newest_said(three_versions) == ({2}, {"scored"})


def test_a_damaged_champion_is_told_and_the_one_before_it_scores(three_versions):
    damage(three_versions, 2)
    drop_hour(three_versions, 60)
    with pytest.raises(BadVersion, match=r"000002.model\.onnx.*; version 1 scores in its place"):
        score(three_versions, now=NOW)
    assert spoken_by(three_versions) == 1
    assert three_versions.store.lineage.champion() == 2

    assert roll_back(three_versions, at=NOW, reason="by hand", actor=Actor("ann")) == 1
    drop_hour(three_versions, 61)
    score(three_versions, now=NOW)
    assert newest_said(three_versions) == ({1}, {"scored"})


def test_a_champion_that_fails_its_golden_rows_is_stood_in_for(three_versions, monkeypatch):
    class Drifting(Predictor):
        """A graph that another processor answers differently from version 2 on."""

        def outputs(self, rows):
            return super().outputs(rows) + next(drift)

    drift = chain([0.1], repeat(0.0))
    monkeypatch.setattr("pm_app.jobs.score.champion.Predictor", Drifting)
    drop_hour(three_versions, 60)
    with pytest.raises(BadVersion, match="version 2 answers its golden rows differently"):
        score(three_versions, now=NOW)

    assert spoken_by(three_versions) == 1


def test_where_no_version_can_score_nothing_is_said(three_versions):
    newest_said(three_versions)
    before = spoken_by(three_versions)
    damage(three_versions, 1)
    damage(three_versions, 2)
    drop_hour(three_versions, 60)
    with pytest.raises(BadVersion, match="000002"):
        score(three_versions, now=NOW)

    assert spoken_by(three_versions) == before == 2


def spoken_by(plant):
    """The version whose word on the newest cutoff stands."""
    rows = [row for table in plant.store.tables.predictions() for row in table.to_pylist()]
    return max(rows, key=lambda row: row["cutoff"])["model_version"]


def test_promoting_what_is_not_there_names_what_is(three_versions):
    with pytest.raises(TerminalError, match="no version 7; there are: 3, 2, 1"):
        promote(three_versions, 7, at=NOW, reason="by hand", actor=Actor("ann"))


def test_there_is_nothing_before_the_first(plant):
    learn(plant, FakeTrainer())
    with pytest.raises(TerminalError, match="version 1 is the first"):
        roll_back(plant, at=NOW, reason="by hand", actor=Actor("ann"))


def test_a_graph_of_another_width_is_refused(plant):
    class Narrow(FakeTrainer):
        def __call__(self, order_path, answer_path, progress):
            super().__call__(order_path, answer_path, progress)
            staging = Path(self.orders[-1].staging)
            graph = make_graph(3, edges=4)
            (staging / "model.onnx").write_bytes(graph)
            hashes = json.loads((staging / "manifest.json").read_text())
            hashes["model.onnx"] = hashlib.sha256(graph).hexdigest()
            (staging / "manifest.json").write_text(json.dumps(hashes))

    with pytest.raises(BadVersion, match="takes 3 features"):
        learn(plant, Narrow())
    assert plant.store.lineage.champion() is None


# A real trainer, once: law 6, and law 1 across the whole path.

LEARNED_DAYS = 38


@pytest.fixture(scope="session")
def untrained(tmp_path_factory):
    """Pumps in weekly files, the last days still to come."""
    plant = simulate(PUMPS)
    weeks = [(day, min(day + 7, LEARNED_DAYS)) for day in range(0, LEARNED_DAYS, 7)]
    config = make_plant(
        tmp_path_factory.mktemp("pumps") / "plant",
        {f"{first:02d}.parquet": plant.readings(first, last) for first, last in weeks},
        events={"all.parquet": plant.events_table(0, LEARNED_DAYS)},
        toml=PUMPS_TOML,
    )
    later = plant.readings(LEARNED_DAYS, PUMPS.days)
    pq.write_table(later, config.parent / "later.parquet")
    return config.parent


in_process = partial(run_trainer, timeout_seconds=300.0)


def quickly(order, answer, progress):
    """The same process with short schedules: what is tested is the path, not the optimum."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
        in_process(order, answer, progress, program="quick_trainer")


@contextmanager
def trained_copy(source, folder, **kw):
    """A copy of a plant, opened."""
    shutil.copytree(source, folder, dirs_exist_ok=True)
    with open_plant(read_settings(folder / "plant.toml")) as plant:
        yield plant


@pytest.fixture(scope="session")
def trained(untrained, tmp_path_factory):
    """The pumps with a champion that a real trainer process made, and what it told meanwhile."""
    told = []
    folder = tmp_path_factory.mktemp("trained")
    with trained_copy(untrained, folder) as plant:
        done = retrain(
            plant,
            now=PUMPS_NOW,
            trainer=quickly,
            progress=lambda share, text: told.append((share, text)),
        )
    return folder, done, told


@pytest.fixture
def pumps(trained, tmp_path):
    with trained_copy(trained[0], tmp_path / "pumps") as plant:
        yield plant


def known_of(plant):
    rows = plant.store.ledger.ingested_batches("events")
    source = DatasetSource(
        plant.history,
        [name for row in plant.store.ledger.ingested_batches("readings") for name in row.segments],
        plant.event_history.read([name for row in rows for name in row.segments]),
        first_seen_ns(plant.ledger),
    )
    return gather_dataset(source, plant.settings, as_of_ns=to_nanoseconds(PUMPS_NOW))


def test_the_trainer_process_makes_a_whole_version(trained, pumps):
    _, done, told = trained
    shares = [share for share, _ in told]

    assert (done.decision, done.version, done.promoted) == ("first", 1, True)
    assert sorted(path.name for path in pumps.registry.path(1).iterdir()) == FILES
    assert shares == sorted(shares)
    assert shares[0] == 0.0
    assert 0.9 < shares[-1] <= 1.0


def test_the_card_explains_the_version(pumps):
    champion = load_champion(pumps)
    card = champion.card

    assert set(card.importance.sensors) == set(card.sensor_of)
    assert sum(card.importance.shares) == pytest.approx(1.0)
    assert sum(member.share for member in card.pool.members) == 1.0
    assert card.modes_text.removeprefix("one mode alone: ").startswith("failures of bearing ")
    assert len(card.mode_failures) == len(card.head.modes)
    assert [report.model for report in card.reports if report.model != "pool"][1:] == [
        "control: uniform",
        "random forest",
        "constant guess",
    ]
    assert card.settings_digest == pumps.settings.digest
    assert card.allocation.parameters <= 2000
    assert card.parity <= 1e-5


def network_outputs(graph, values):
    """What the network says in a version's graph, before answers of trees are mixed in."""
    model = onnx.load_from_string(graph)
    mixed = [node.input[1] for node in model.graph.node if node.name == "pool_0_rest"]
    model.graph.output.extend(onnx.helper.make_empty_tensor_value_info(name) for name in mixed)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    return session.run(None, {session.get_inputs()[0].name: values})[-1 if mixed else 0]


def test_onnx_says_what_keras_says_also_where_values_are_missing(pumps):
    from pm_app.learning.network import answers, load_network

    champion = load_champion(pumps)
    values = select_features(known_of(pumps).frame, champion.card.features).values.copy()
    values[::3, ::2] = np.nan
    network = load_network(pumps.registry.keras_bytes(1))

    apart = np.abs(
        answers(network, values) - network_outputs(pumps.registry.load(1).onnx, values)
    ).max()
    assert apart <= 1e-5


SCORE = """
import sys
from pm_app.cli import main
try:
    main()
finally:
    print(sorted({"tensorflow", "keras", "sklearn", "tf2onnx"} & set(sys.modules)))
"""


def test_scoring_loads_no_tensorflow(trained, tmp_path):
    shutil.copytree(trained[0], tmp_path, dirs_exist_ok=True)
    shutil.move(tmp_path / "later.parquet", tmp_path / "readings")
    command = [sys.executable, "-c", SCORE, "score", "--json", "-c", str(tmp_path / "plant.toml")]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)

    said, _, heavy = ran.stdout.strip().rpartition("\n")
    assert json.loads(said)["model_version"] == 1
    assert json.loads(said)["predictions_new"] > 0
    assert heavy == "[]"


class Overheard:
    """A predictor that keeps what it was asked."""

    def __init__(self, inner):
        self.inner, self.asked = inner, []

    def predict_attending(self, values):
        self.asked.append(values.copy())
        return self.inner.predict_attending(values)

    def signal(self, values):
        return self.inner.signal(values)

    def signals(self, values):
        return self.inner.signals(values)


@pytest.mark.parametrize("cells", [frames_module.GROUP_CELLS, 1500])
def test_scoring_sees_what_training_saw_to_the_bit(pumps, monkeypatch, cells):
    monkeypatch.setattr(frames_module, "GROUP_CELLS", cells)
    champion = load_champion(pumps)
    overheard = Overheard(champion.predictor)
    limited = limit_features(known_of(pumps).frame, champion.card.spec.limits)
    frame = select_features(limited, champion.card.features)
    newest = int(frame.cutoff.max()) // champion.card.spec.pane_ns
    spans = {name: PaneSpan(0, newest) for name in frame.assets}

    parts = list(predict_spans(pumps.view, replace(champion, predictor=overheard), spans))

    keys, scored = [], []
    for part in parts:
        once = part.horizon_hours == part.horizon_hours[0]
        names = np.array(part.assets, dtype=object)[part.asset[once]]
        keys += zip(names.tolist(), part.cutoff[once].tolist(), strict=True)
        scored += (part.status[once] == "scored").tolist()
    trained_on = dict(
        zip(
            zip([frame.assets[n] for n in frame.asset], frame.cutoff.tolist(), strict=True),
            frame.values,
            strict=True,
        )
    )
    assert sorted(keys) == sorted(trained_on)
    expected = np.array([trained_on[key] for key, said in zip(keys, scored, strict=True) if said])
    assert len(expected) > 0.9 * len(keys)
    assert np.concatenate(overheard.asked).tobytes() == expected.tobytes()


def test_a_retraining_without_new_failures_keeps_the_version(pumps):
    done = retrain(pumps, now=PUMPS_NOW + timedelta(days=1), trainer=in_process)

    assert (done.decision, done.version) == ("keep", None)
    assert load_champion(pumps).number == 1


@pytest.mark.slow
def test_the_same_seed_trains_the_same_version(untrained, pumps, tmp_path):
    with trained_copy(untrained, tmp_path / "again") as again:
        retrain(again, now=PUMPS_NOW, trainer=quickly)
        second = load_champion(again)
    first = load_champion(pumps)
    values = select_features(known_of(pumps).frame, first.card.features).values

    assert second.card.importance == first.card.importance
    assert second.card.allocation == first.card.allocation
    np.testing.assert_allclose(
        second.predictor.outputs(values), first.predictor.outputs(values), rtol=0, atol=1e-5
    )


# The process itself.


@pytest.fixture
def order(plant):
    """The order of a retraining, as a file."""
    ingest(plant, now=NOW)
    kept = plant.settings.folder / "order.json"

    def keep(order_path, answer_path, progress):
        shutil.copy(order_path, kept)
        raise TransientError("only the order was wanted")

    with pytest.raises(TransientError, match="only the order"):
        learn(plant, keep)
    return kept


def run(order, **kw):
    answer = order.with_name("answer.json")
    try:
        run_trainer(order, answer, lambda done, text: None, **{"timeout_seconds": 60.0} | kw)
    finally:
        assert not answer.exists()


def test_a_trainer_that_takes_too_long_is_ended(order):
    with pytest.raises(TransientError, match="still at it after 0 s"):
        run(order, timeout_seconds=0.0)


def test_a_trainer_is_ended_when_the_application_stops(order):
    with pytest.raises(TransientError, match="asked to stop"):
        run(order, stop=lambda: True)


def test_what_a_person_must_change_comes_out_of_the_trainer_as_it_went_in(order):
    told = json.loads(order.read_text())
    told["settings"]["target"] |= {"kind": "column", "column": "wear"}
    order.write_text(json.dumps(told))

    with pytest.raises(BadSettings, match="^target.column: 'wear' is no numeric column"):
        run(order)


def test_a_damaged_champion_is_no_reason_to_try_again(order, plant):
    told = json.loads(order.read_text())
    order.write_text(json.dumps(told | {"champion": 5}))

    with pytest.raises(BadVersion, match="000005"):
        run(order)


def test_a_trainer_that_dies_leaves_its_last_words(order):
    order.write_text("{}")
    with pytest.raises(TransientError, match="(?s)ended with code 1.*force"):
        run(order)
