"""Law 4 of the daemon itself: killed, stopped and continued while files come, come again and are
corrected, it ends up saying what one clean run says."""

import os
import random
import shutil
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from factories import (
    ALARMING_TOML,
    NOW,
    FakeTrainer,
    events_table,
    opened,
    readings_table,
    said,
    standing,
)
from killed_daemon import DoomedDaemon

from pm_app.jobs.retrain.run import retrain
from pm_app.jobs.score.run import score

KILLS = 40
TOML = f'{ALARMING_TOML}\n[scoring]\nevery = "0.05s"\n[retraining]\ncron = "0 0 1 1 *"\n'
TABLE = readings_table(hours=60)
EVENTS = [
    ("pump-00", 7.5, "failure", ""),
    ("pump-00", 9.2, "maintenance", "seal"),
    ("pump-01", 4.1, "error", "trip"),
    ("pump-02", 45.5, "failure", ""),
]


def as_first_delivered(table):
    """A file before its correction: other values, and without its last rows."""
    short = table.slice(0, max(len(table) - 3, 1))
    wrong = pc.add(short["sensor-1"], 7.0)
    return short.set_column(short.schema.get_field_index("sensor-1"), "sensor-1", wrong)


class Historian:
    """Delivers a plant's files in random order, some twice under two names, some corrected."""

    def __init__(self, config, rng):
        self.folder, self.rng = config.parent, rng
        part = np.random.default_rng(rng.randrange(10**9)).integers(0, 2 * KILLS, len(TABLE))
        due = [
            ("readings", f"{number:03d}.parquet", TABLE.filter(pa.array(part == number)))
            for number in range(2 * KILLS)
        ]
        due += [("events", f"{n}.parquet", events_table([row])) for n, row in enumerate(EVENTS)]
        self.due = [one for one in due if len(one[2])]
        rng.shuffle(self.due)
        self.right, self.corrections, self.repeats = [], [], 0

    def deliver(self):
        """Two or three files: new, repeated or corrected."""
        for _ in range(self.rng.randint(2, 3)):
            kind = self.rng.random()
            if kind < 0.2 and self.right:
                source, name, table = self.rng.choice(self.right)
                self._write(source, f"again-{self.repeats:03d}-{name}", table)
                self.repeats += 1
            elif kind < 0.45 and self.corrections:
                self._correct()
            elif self.due:
                self._deliver_first()

    def _deliver_first(self):
        source, name, table = self.due.pop()
        if source == "readings" and self.rng.random() < 0.4:
            self.corrections.append((source, name, table))
            self._write(source, name, as_first_delivered(table))
        else:
            self._write(source, name, table)
            self.right.append((source, name, table))

    def _correct(self):
        """The file that was wrong, under its name. A copy of what was wrong would contradict it."""
        self.right.append(self.corrections.pop())
        self._write(*self.right[-1])

    def deliver_all(self):
        """What is still due."""
        while self.due:
            self._deliver_first()
        while self.corrections:
            self._correct()

    def _write(self, source, name, table):
        beside = self.folder / f".{name}"
        pq.write_table(table, beside)
        os.replace(beside, self.folder / source / name)


def outcome(config):
    with opened(config) as plant:
        store = plant.store
        return {
            "said": said(store, without=["revision", "scored_at"]),
            "latest": store.tables.latest_predictions()
            .drop_columns(["revision", "scored_at"])
            .to_pylist(),
            "alarms": standing(store),
            "quarantined": store.ledger.count(status="quarantined"),
        }


def clean_run(new_plant, config):
    """A plant that finds the files as they are in the end, and scores them in one go."""
    clean = new_plant(toml=TOML)
    for source in ("readings", "events"):
        shutil.copytree(config.parent / source, clean.parent / source, dirs_exist_ok=True)
    with opened(clean) as plant:
        score(plant, now=NOW)
    return outcome(clean)


def live_through(config, *, kills, seed):
    """Daemons one after the other, each killed while files come; then one that may finish."""
    with opened(config) as plant:
        # No retraining is due, which would be begun anew by each of them.
        retrain(plant, now=datetime.now(tz=UTC), trainer=FakeTrainer("keep", made=False))
    rng = random.Random(seed)
    historian = Historian(config, rng)
    for _ in range(kills):
        with DoomedDaemon(config) as daemon:
            daemon.live(rng, historian.deliver)
    historian.deliver_all()
    assert historian.repeats
    with DoomedDaemon(config) as daemon:
        return daemon.finish()


@pytest.mark.slow
def test_a_daemon_killed_forty_times_at_random_says_what_one_clean_run_says(new_plant):
    config, seed = new_plant(toml=TOML), random.randrange(10**9)

    code = live_through(config, kills=KILLS, seed=seed)

    expected = clean_run(new_plant, config)
    assert code == 0, f"seed {seed}"
    assert len(expected["said"]) > 100 and expected["alarms"]
    assert outcome(config) == expected, f"seed {seed}"
