"""A plant from its first reading to its first failure model: nobody waits for a word."""

from datetime import timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from factories import PLANT_TOML, FakeTrainer, drop, hour, make_spec, opened, said

from pm_app.errors import NotEnoughData
from pm_app.jobs.normality.learner import learn
from pm_app.jobs.normality.messages import NORMAL_REQUEST, NORMAL_RESPONSE
from pm_app.jobs.normality.run import learn_plant_normal
from pm_app.jobs.operations.alarms import acknowledge, give_verdict
from pm_app.jobs.retrain.run import retrain
from pm_app.jobs.score.replay import replay
from pm_app.jobs.score.run import score
from pm_app.records.alarms import Verdict
from pm_app.settings.plant import parse_settings
from pm_app.store import Actor

PUMPS, DAYS, FAULT_DAY, FAULTY = 4, 9, 5, "pump-02"
ANN = Actor("ann")
TOML = PLANT_TOML.replace("memory = []", 'memory = ["change"]\nbeginning = "1d"')


def day_of_readings(day: int) -> pa.Table:
    """Pumps whose temperature and current follow the load; one grows hot from a day on."""
    rng = np.random.default_rng(day)
    size = PUMPS * 24 * 2
    at = np.tile(np.arange(48) / 2, PUMPS) + 24 * day + rng.uniform(0, 0.4, size)
    pump = np.repeat(np.arange(PUMPS), 48)
    load = 50 + 8 * np.sin(at / 5 + pump) + rng.normal(0, 1, size)
    heat = np.where(pump == 2, np.clip(at - 24 * FAULT_DAY, 0, None), 0.0)
    return pa.table(
        {
            "asset_id": [f"pump-{number:02d}" for number in pump.tolist()],
            "timestamp": pa.array([hour(each) for each in at], pa.timestamp("ns", "UTC")),
            "sensor-0": load,
            "sensor-1": 20 + 0.8 * load + rng.normal(0, 0.5, size) + heat,
            "sensor-2": 5 + 0.3 * load + rng.normal(0, 0.2, size),
        }
    )


def learn_here(request_path: Path, response_path: Path, progress: object) -> None:
    """The learner, in this process: what it learns is real."""
    request = NORMAL_REQUEST.validate_json(request_path.read_bytes())
    settings = parse_settings(request.settings, folder=Path(request.folder), origin="plant.toml")
    response_path.write_bytes(NORMAL_RESPONSE.dump_json(learn(request, settings)))


class Weeks:
    """The days of a plant, and what stood in its tables at the end of each."""

    def __init__(self, config, plant):
        self.config, self.plant, self.store = config, plant, plant.store
        self.statuses, self.alarms = [], []

    def live(self, day: int) -> None:
        """A day's file comes, what is normal is learned where it can be, all is scored."""
        now = hour(24 * (day + 1))
        drop(self.config, f"{day:02d}.parquet", day_of_readings(day))
        if day < 3:
            with pytest.raises(NotEnoughData):
                learn_plant_normal(self.plant, now=now, learner=learn_here)
        elif day in (3, FAULT_DAY + 2):
            learn_plant_normal(self.plant, now=now, learner=learn_here)
        score(self.plant, now=now + timedelta(minutes=1))
        rows = [row for row in said(self.store) if row["cutoff"] > now - timedelta(days=1)]
        assert {row["asset_id"] for row in rows} == {f"pump-{at:02d}" for at in range(PUMPS)}
        self.statuses.append({row["status"] for row in rows})
        self.alarms.append([alarm.id for alarm in self.store.alarms.alarms()])


def test_a_plant_is_watched_from_its_first_week_to_its_first_failure_model(new_plant):
    config = new_plant(toml=TOML, champion=False)
    with opened(config) as plant:
        weeks = Weeks(config, plant)
        for day in range(FAULT_DAY + 2):
            weeks.live(day)
        (alarm,) = plant.store.alarms.alarms()
        confirm(plant, alarm, now=hour(24 * (FAULT_DAY + 2)))
        trainer = FakeTrainer(spec=make_spec(plant.settings))
        retrain(plant, now=hour(24 * (FAULT_DAY + 2) + 1), trainer=trainer)
        for day in range(FAULT_DAY + 2, DAYS):
            weeks.live(day)
        rows = said(plant.store)
        alarms = plant.store.alarms.alarms()
        differing = replay(plant, first=hour(0), last=hour(24 * DAYS)).differing

    # Days without a model are revised once there is one: watched, then scored.
    assert weeks.statuses[0] == {"no_model"}
    assert all(each == {"watched"} for each in weeks.statuses[3 : FAULT_DAY + 2])
    assert all(each == {"scored"} for each in weeks.statuses[FAULT_DAY + 2 :])
    assert {row["status"] for row in rows} <= {"scored", "not_enough_history"}
    watched = [row["deviation"] is not None for row in rows if row["cutoff"] > hour(25)]
    assert all(watched)
    assert (alarm.kind, alarm.asset_id) == ("deviation", FAULTY)
    assert "sensor-1" in alarm.top_sensors
    assert alarm.cutoff > hour(24 * FAULT_DAY)
    assert alarm.id in {each.id for each in alarms}
    assert all(set(before) <= set(after) for before, after in pairs(weeks.alarms))
    (failure,) = trainer.orders[0].confirmed_failures
    assert failure.asset == FAULTY
    assert differing == 0


def pairs(values):
    return zip(values, values[1:], strict=False)


def confirm(plant, alarm, *, now):
    """A person looks, and finds a worn bearing."""
    acknowledge(plant.store, alarm.id, at=now, actor=ANN)
    verdict = Verdict("confirmed", "worn bearing", hour(24 * FAULT_DAY + 40), now, code="bearing")
    give_verdict(plant.store, alarm.id, verdict, at=now, actor=ANN)
