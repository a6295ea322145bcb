"""Networks tried by workers: those that one process makes, whoever dies meanwhile."""

import shutil
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from dying_workers import InlineEngine, deaths, dying_worker
from factories import NOW, PLANT_TOML, make_plant, opened, readings_table
from pydantic import TypeAdapter
from twenty_pumps import PUMPS, PUMPS_NOW, PUMPS_TOML
from typer.testing import CliRunner

from connectors.engines import LocalEngine
from pm_app import __version__
from pm_app.cli.app import app
from pm_app.errors import BadSettings, TerminalError, TransientError
from pm_app.jobs.retrain.process import WITH_ENGINE, run_trainer
from pm_app.jobs.retrain.run import RetrainingOptions, retrain
from pm_app.jobs.retrain.workers import (
    TrainingsRequest,
    TrainOnWorkers,
    learning_task,
    request_of,
    task_arrays,
    train_task,
)
from pm_app.jobs.workers import protocol
from pm_app.jobs.workers.protocol import TaskAnswer, read_request, write_request
from pm_app.learning.allocation.planner import make_planner
from pm_app.learning.data.targets import choose_head
from pm_app.learning.dataset import LearningTask
from pm_app.learning.network import load_network
from pm_app.learning.training.executor import train_here
from pm_app.learning.training.fit import Training
from pm_app.records.features import Frame
from pm_app.records.labels import Labels, Split
from pm_app.records.learning import Importance
from pm_app.simulator import simulate

SENSOR_OF = ("wear", "wear", "noise")


@pytest.fixture(scope="module")
def task():
    """Machines whose wear grows until it breaks them, a row an hour; tenths are missing."""
    rng = np.random.default_rng(0)
    left = np.tile(np.arange(40, 0, -1), 12).astype(float)
    asset = np.repeat(np.arange(12, dtype=np.int32), 40)
    values = rng.normal(size=(len(left), 3)).astype(np.float32)
    values[:, 0] = np.exp(-left / 10)
    values[rng.random(values.shape) < 0.1] = np.nan
    names = tuple(f"pump-{at:02d}" for at in range(12))
    cutoff = np.arange(len(left), dtype=np.int64) * 3_600_000_000_000
    frame = Frame(names, asset, cutoff, ("wear_a", "wear_b", "noise_a"), SENSOR_OF, values)
    every = np.ones(len(left), dtype=bool)
    labels = Labels(left, every, np.full(len(left), np.nan), every, asset)
    rows = np.arange(len(left))
    head = choose_head(labels, rows, task="life", horizons_hours=(6.0, 12.0), cap_hours=40.0)
    nothing = np.zeros(0, dtype=np.intp)
    split = Split(rows[:320], rows[320:], nothing, nothing, asset, "here")
    return LearningTask("life", (6.0, 12.0), frame, labels, split, head)


@pytest.fixture(scope="module")
def trainings(task):
    """A guided network, and one that is not."""
    shares = (0.9, 0.1)
    importance = Importance(
        sensors=("wear", "noise"),
        shares=shares,
        spread=(0.0, 0.0),
        replicates=(shares,),
        clusters=(("wear",), ("noise",)),
        cluster_shares=shares,
        interactions=(),
        score_name="average_precision",
        score=0.9,
    )
    planner = make_planner(
        task.frame,
        task.split.train,
        importance,
        outputs=len(task.head.edges_hours),
        max_parameters=1_500,
    )
    return [Training(planner.plan(name), 2e-3, seed=3) for name in ("tiers", "uniform")]


def bits(trained):
    """All that came of trainings, to the bit."""
    return [
        (
            one.epoch,
            one.schedule,
            one.allocation,
            one.losses.tobytes(),
            [weight.tobytes() for weight in one.network.get_weights()],
        )
        for one in trained
    ]


def test_networks_that_come_back_in_files_are_those_of_this_process(task, trainings, tmp_path):
    told = []

    found = TrainOnWorkers(InlineEngine(), tmp_path)(
        task, trainings[:1], lambda *heard: told.append(heard)
    )

    assert bits(found) == bits(train_here(task, trainings[:1], lambda count, trained: None))
    assert told == [(1, found[0])]
    assert not list(tmp_path.glob(".trainings-*"))


@pytest.mark.slow
def test_networks_of_workers_are_those_of_this_process_though_one_is_killed(
    task, trainings, tmp_path
):
    marker, told = str(tmp_path / "death"), []
    engine = LocalEngine(2, prepare=partial(dying_worker, marker, 1))

    found = TrainOnWorkers(engine, tmp_path)(
        task, trainings, lambda count, trained: told.append((count, trained.allocation.strategy))
    )

    assert bits(found) == bits(train_here(task, trainings, lambda count, trained: None))
    assert told == [(1, "tiers"), (2, "uniform")]
    assert deaths(marker) == 1


def test_a_study_comes_back_from_its_files_to_the_bit(task, trainings, tmp_path):
    write_request(tmp_path, request_of(task, trainings), task_arrays(task))
    request, arrays = read_request(tmp_path, TrainingsRequest)
    again = learning_task(request, arrays)

    for part in ("frame", "labels", "split"):
        one, other = getattr(again, part), getattr(task, part)
        for name, value in vars(other).items():
            same = getattr(one, name)
            if isinstance(value, np.ndarray):
                assert (same.dtype, same.tobytes()) == (value.dtype, value.tobytes())
            else:
                assert same == value
    for name in ("kind", "horizons_hours", "head"):
        assert getattr(again, name) == getattr(task, name)
    assert request.trainings == tuple(trainings)


def test_a_study_whose_bytes_changed_is_told_not_learned_from(task, tmp_path):
    write_request(tmp_path, request_of(task, ()), task_arrays(task))
    path = tmp_path / "request.npz"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)

    with pytest.raises(TransientError, match=r"request\.npz: .* cannot be read"):
        read_request(tmp_path, TrainingsRequest)


def test_a_worker_that_cannot_see_the_state_folder_says_where_it_looked(tmp_path):
    answer = TypeAdapter(TaskAnswer).validate_json(train_task(str(tmp_path / "nowhere"), 0))

    assert answer.kind == "BadSettings"
    assert "state folder under the same path" in answer.error
    assert str(tmp_path / "nowhere" / "request.json") in answer.error


def test_a_worker_of_another_program_does_not_train(task, trainings, tmp_path, monkeypatch):
    with monkeypatch.context() as older:
        older.setattr(protocol, "__version__", "0.0.1")
        write_request(tmp_path, request_of(task, trainings), task_arrays(task))

    answer = TypeAdapter(TaskAnswer).validate_json(train_task(str(tmp_path), 0))

    assert answer.kind == "TerminalError"
    assert f"runs pm-app {__version__}, the plant's server 0.0.1" in answer.error


def test_what_a_training_met_on_purpose_is_raised_by_who_asked(task, trainings, tmp_path):
    unseen = InlineEngine(before=partial(shutil.rmtree, ignore_errors=True))

    with pytest.raises(BadSettings, match="state folder under the same path"):
        TrainOnWorkers(unseen, tmp_path)(task, trainings, lambda count, trained: None)


def test_a_training_that_kills_every_worker_is_given_up_by_number(task, trainings, tmp_path):
    def die(place):
        raise EOFError("gone")

    with pytest.raises(TerminalError, match="at once: training 1 of 2 lost its worker 3 times"):
        TrainOnWorkers(InlineEngine(die), tmp_path)(task, trainings, lambda count, trained: None)
    assert not list(tmp_path.iterdir())


def test_the_order_carries_the_engine_and_the_trainer_opens_it(tmp_path):
    config = make_plant(tmp_path / "plant", {"a.parquet": readings_table()}, toml=PLANT_TOML)
    trainer = partial(run_trainer, timeout_seconds=120.0, program=WITH_ENGINE)

    with opened(config) as live:
        with pytest.raises(BadSettings, match="engine takes .*, got 'spark://there'"):
            retrain(
                live, now=NOW, trainer=trainer, options=RetrainingOptions(engine="spark://there")
            )
        assert live.store.lineage.retrainings() == []


def test_a_command_with_an_engine_that_is_none_reads_nothing(tmp_path):
    config = make_plant(tmp_path / "plant", {"a.parquet": readings_table()})

    done = CliRunner().invoke(app, ["retrain", "-c", str(config), "--engine", "local:0"])

    assert isinstance(done.exception, BadSettings)
    assert 'engine takes "local"' in str(done.exception)
    assert not (config.parent / "state").exists()


@pytest.mark.slow
def test_a_retraining_with_an_engine_ranks_weighs_and_makes_what_one_without_does(tmp_path):
    plant = simulate(PUMPS)
    config = make_plant(
        tmp_path / "alone",
        {"a.parquet": plant.readings(0, PUMPS.days)},
        events={"a.parquet": plant.events_table(0, PUMPS.days)},
        toml=PUMPS_TOML,
    )
    shutil.copytree(config.parent, tmp_path / "with")
    made = {}
    for name, engine in (("alone", None), ("with", "local:2")):
        trainer = partial(run_trainer, timeout_seconds=900.0, program=WITH_ENGINE)
        with opened(tmp_path / name / "plant.toml") as live:
            how = RetrainingOptions(engine=engine)
            first = retrain(live, now=PUMPS_NOW, trainer=trainer, options=how)
            how = replace(how, force=True)
            second = retrain(live, now=PUMPS_NOW, trainer=trainer, options=how)
            cards = [live.registry.load(number).card for number in (1, 2)]
            stored = [load_network(live.registry.keras_bytes(number)) for number in (1, 2)]
        weights = [[part.tobytes() for part in network.get_weights()] for network in stored]
        # The forest beside adds its trees up as threads end, alone as well.
        ours = [card.reports[:2] for card in cards]
        made[name] = (first, second, ours, [replace(card, reports=()) for card in cards], weights)

    assert made["alone"][3][1].drift.p_value is not None
    assert made["with"] == made["alone"]
