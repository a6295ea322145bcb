"""Learning of what is normal: request, child process, publishing, and what a person has to say."""

from datetime import timedelta
from functools import partial

import numpy as np
import pyarrow as pa
import pytest
from factories import NOW, PLANT_TOML, events_table, hour, opened, promote_handmade, readings_table
from normals import FakeLearner, promote_handmade_normal

from pm_app.errors import BadVersion, NotEnoughData, TransientError
from pm_app.jobs.normality import run as normality
from pm_app.jobs.normality.run import LEARNER, learn_plant_normal
from pm_app.jobs.retrain.process import run_trainer
from pm_app.jobs.score.normal_champion import load_normal_champion
from pm_app.jobs.score.promotion import promote, roll_back
from pm_app.jobs.score.run import score
from pm_app.store.users import Actor

SOMEONE = Actor("someone")
TABLE = readings_table(hours=80)


@pytest.fixture
def plant(new_plant):
    with opened(new_plant({"all.parquet": TABLE}, champion=False)) as live:
        yield live


def learn(plant, learner, **options):
    return learn_plant_normal(plant, now=NOW, learner=learner, **options)


def test_what_is_learned_speaks_at_once(plant):
    done = learn(plant, FakeLearner())
    row = plant.store.lineage.version(1)
    (record,) = plant.store.lineage.retrainings(kind="normal")

    assert (done.decision, done.version, done.promoted) == ("first", 1, True)
    assert plant.store.lineage.champion(kind="normal") == 1
    assert plant.store.lineage.champion() is None
    assert (row.kind, row.strategy) == ("normal", "handmade")
    assert (record.version, record.decision, record.metrics["waits"]) == (1, "first", False)
    assert plant.store.lineage.retrainings() == []
    assert plant.store.lineage.sensors() == {"sensor-0", "sensor-1", "sensor-2"}
    assert load_normal_champion(plant).champion.number == 1


def test_the_learner_is_told_what_there_is(plant):
    learner = FakeLearner()
    failure = promote_handmade(plant, at=NOW)
    learn(plant, learner)
    learn(plant, learner)
    first, second = learner.requests

    assert (first.champion, first.before, second.before) == (failure, None, 2)
    assert first.segments
    assert set(first.first_seen) == {"pump-00", "pump-01", "pump-02"}
    assert "store" not in first.settings


def test_alarms_that_stand_are_told_to_the_learner(new_plant):
    loud = TABLE.set_column(
        TABLE.column_names.index("sensor-1"),
        "sensor-1",
        pa.array(np.full(len(TABLE), 90.0)),
    )
    with opened(new_plant({"all.parquet": loud}, champion=False)) as plant:
        promote_handmade_normal(plant, at=hour(90))
        score(plant, now=hour(91))
        learner = FakeLearner()
        learn(plant, learner)
        alarms = learner.requests[0].alarms

    assert {span.asset for span in alarms} == {"pump-00", "pump-01", "pump-02"}
    assert {span.reason for span in alarms} == {"alarm"}


def test_what_moved_waits_for_a_person(plant):
    promote_handmade_normal(plant)
    done = learn(plant, FakeLearner("renewed", publish=False))

    assert (done.version, done.promoted) == (2, False)
    assert "waits for pm-app promote 2" in done.reason
    assert plant.store.lineage.waiting(kind="normal").version == 2
    assert plant.store.lineage.waiting() is None
    promote(plant, 2, at=NOW, reason="looked at", actor=SOMEONE)
    assert plant.store.lineage.champion(kind="normal") == 2
    assert roll_back(plant, at=NOW, reason="no", actor=SOMEONE, kind="normal") == 1
    assert plant.store.lineage.champion(kind="normal") == 1


def test_a_person_may_want_to_say_yes_to_every_version(new_plant):
    toml = f'{PLANT_TOML}\n[retraining]\npromotion = "approve"\n'
    with opened(new_plant({"all.parquet": TABLE}, champion=False, toml=toml)) as plant:
        done = learn(plant, FakeLearner())

        assert (done.version, done.promoted) == (1, False)
        assert plant.store.lineage.champion(kind="normal") is None


def test_what_makes_no_version_is_noted_once(plant):
    for _ in range(3):
        done = learn(plant, FakeLearner("kept", version=False))

    assert (done.decision, done.version) == ("kept", None)
    assert len(plant.store.lineage.retrainings(kind="normal")) == 1


def test_too_short_a_history_is_not_learned_from(new_plant):
    with opened(new_plant({"all.parquet": readings_table(hours=30)}, champion=False)) as plant:
        learner = FakeLearner()
        with pytest.raises(NotEnoughData, match=r"3d of readings .*minimum_history"):
            learn(plant, learner)

        assert learner.requests == []
        assert plant.store.lineage.retrainings(kind="normal") == []


def test_learning_gives_way_to_a_retraining(plant, monkeypatch):
    learner, asked = FakeLearner(), []
    monkeypatch.setattr(normality, "WAIT_SECONDS", 0.01)

    def stop():
        asked.append(1)
        return len(asked) > 6

    with plant.learning, pytest.raises(TransientError, match="a retraining was at it"):
        learn(plant, learner, stop=stop)

    assert learner.requests == []
    assert learn(plant, learner).version == 1


def test_a_graph_that_says_something_else_is_not_published(plant):
    with pytest.raises(BadVersion, match="golden rows differently"):
        learn(plant, FakeLearner(off=0.5))

    assert plant.store.lineage.versions() == []


def test_a_learner_that_dies_leaves_the_champion(plant):
    learn(plant, FakeLearner())

    def die(request, response, progress):
        raise TransientError("killed")

    with pytest.raises(TransientError, match="killed"):
        learn(plant, die)
    assert plant.store.lineage.champion(kind="normal") == 1
    assert learn(plant, FakeLearner()).version == 2


def pumps(hours: int = 160, seed: int = 0) -> pa.Table:
    """Three pumps whose temperature and current follow the load."""
    rng = np.random.default_rng(seed)
    table = readings_table(hours=hours, missing=0.02, seed=seed)
    load = 50 + 10 * np.sin(np.arange(len(table)) / 7) + rng.normal(0, 1, len(table))
    columns = {
        "sensor-0": load,
        "sensor-1": 20 + 0.8 * load + rng.normal(0, 0.5, len(table)),
        "sensor-2": 5 + 0.3 * load + rng.normal(0, 0.2, len(table)),
    }
    for name, values in columns.items():
        table = table.set_column(table.column_names.index(name), name, pa.array(values))
    return table


def test_the_process_learns_what_is_normal_and_says_it(new_plant):
    events = events_table([("pump-00", 100.0, "failure", ""), ("pump-00", 104, "maintenance", "")])
    config = new_plant({"all.parquet": pumps()}, champion=False, events={"all.parquet": events})
    said = []
    with opened(config) as plant:
        process = partial(run_trainer, timeout_seconds=120, program=LEARNER)
        done = learn(plant, process, progress=lambda share, text: said.append((share, text)))
        champion = load_normal_champion(plant).champion
        score(plant, now=NOW + timedelta(hours=1))
        table = pa.concat_tables(plant.store.tables.predictions())

    assert (done.decision, done.version, done.promoted) == ("first", 1, True)
    left = dict(champion.card.taught.left_out)
    assert left["before a failure"] > 0
    assert left["beginning"] > 0
    assert [share for share, _ in said] == sorted(share for share, _ in said)
    watched = table.filter(pa.compute.equal(table["status"], "watched"))
    assert len(watched) > len(table) / 2
    assert watched["deviation"].null_count == 0
