"""Killed at any point of a retraining, the champion scores as before and the next one works."""

import os
import shutil
import signal
import stat
import sys
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
from factories import (
    FakeTrainer,
    drop,
    make_card,
    opened,
    readings_table,
    said,
    write_handmade,
)
from flows import FLOWS, LATER
from instants import heard
from killed_flows import FlowKiller
from twenty_pumps import PUMPS, PUMPS_NOW, PUMPS_TOML

from pm_app.errors import TransientError
from pm_app.jobs.retrain.messages import RESPONSE, TrainingResponse
from pm_app.jobs.retrain.process import run_trainer
from pm_app.jobs.retrain.request import SCRATCH
from pm_app.jobs.retrain.run import RetrainingOptions, retrain
from pm_app.jobs.score.champion import load_champion
from pm_app.jobs.score.run import score
from pm_app.simulator import simulate

PYTHON = sys.executable
FLOW = "a retraining that promotes"
# Of the process that decides, in order: the function and what is about to happen there.
IN_PARENT = {
    "before the staging folder is emptied": ("Registry.staging", "remove", 0),
    "before leftovers are removed": ("scratch", "remove", 0),
    "before there is a staging folder": ("_fill", "make folder", 0),
    "before the first file of the version": ("_fill", "write", 0),
    "in the middle of its files": ("_fill", "write", 2),
    "before its last file": ("_fill", "write", 4),
    "before its place is made free": ("Registry.publish", "remove", 0),
    "before it is made durable": ("Registry.publish", "sync", 0),
    "before it gets its name": ("Registry.publish", "rename", 0),
    "named, its folder not yet durable": ("Registry.publish", "sync folder", 0),
    "published, nothing recorded": ("Registry.publish", "written", 0),
    "before the commit": ("Lineage.record_retraining", "commit", 0),
}
# Of the process that learns.
IN_CHILD = (
    "before its first line",
    "reading history",
    "measuring importance",
    "fitting",
    "exporting",
    "before its answer",
    "in the middle of its answer",
    "after its answer",
)
STAND_IN = """\
#!{python}
import json, os, shutil, sys
order, answer = sys.argv[-2:]
staging = json.load(open(order))["staging"]

def reach(moment):
    if moment == {moment!r}:
        os.kill(os.getpid(), 9)
    print("0.5", moment, flush=True)

for moment in {moments!r}[:4]:
    reach(moment)
os.makedirs(staging)
files = sorted(os.listdir({version!r}))
for number, name in enumerate(files):
    if number == 2:
        reach("exporting")
    shutil.copy(os.path.join({version!r}, name), staging)
reach("before its answer")
text = {answer!r}
with open(answer, "w") as file:
    file.write(text[:20])
    file.flush()
    reach("in the middle of its answer")
    file.write(text[20:])
reach("after its answer")
"""


@pytest.fixture(scope="module")
def kill():
    killer = FlowKiller()
    yield killer
    killer.close()


@pytest.fixture
def plant(new_plant):
    """A plant whose champion has spoken; new readings wait."""
    return FLOWS[FLOW].prepare(new_plant)


def copy(config: Path, folder: Path) -> Path:
    shutil.copytree(config.parent, folder)
    return folder / config.name


def speak(config: Path) -> list[dict[str, object]]:
    """All that is said once another file has come and been scored."""
    drop(config, "new.parquet", readings_table(first_hour=30, hours=6, seed=1))
    with opened(config) as live:
        score(live, now=LATER)
        return said(live.store, without=["scored_at"])


def require_untouched(config: Path, spoken: list[dict[str, object]]) -> None:
    """The champion is the one it was, nothing is recorded, and it speaks as ever."""
    with opened(config) as live:
        assert load_champion(live).number == 1
        assert [row.version for row in live.store.lineage.versions()] == [1]
        assert len(live.store.lineage.retrainings()) == 1
    assert speak(config) == spoken


def require_clean(live) -> None:
    """Two versions, and nothing that anyone left behind."""
    assert live.store.lineage.champion() == 2
    assert sorted(path.name for path in live.registry.folder.iterdir()) == [
        "000001",
        "000002",
    ]
    assert not list(live.settings.state.glob(f"{SCRATCH}*"))
    assert not list(live.settings.state.rglob("*.tmp"))


def test_there_are_twenty_points():
    assert len(IN_PARENT) + len(IN_CHILD) == 20


def test_killed_at_any_point_before_the_commit_the_champion_stays_and_the_next_one_works(
    plant, kill, tmp_path
):
    with heard() as instants:
        FLOWS[FLOW].run(copy(plant, tmp_path / "heard"))
    spoken = speak(copy(plant, tmp_path / "undisturbed"))

    for number, (point, (site_name, step, nth)) in enumerate(IN_PARENT.items()):
        found = [
            at
            for at, one in enumerate(instants)
            if one.site.endswith(f":{site_name}") and one.step == step
        ]
        config = copy(plant, tmp_path / f"{number}")
        kill(FLOW, config, found[nth])
        require_untouched(copy(config, tmp_path / f"{number}-looked-at"), spoken)
        FLOWS[FLOW].run(config)
        with opened(config) as live:
            assert load_champion(live).card.seed == 1, point
            require_clean(live)


def stand_in(folder: Path, moment: str) -> Path:
    """A program that goes through a trainer's moments without learning, killed at one."""
    version = folder / "made"
    if not version.exists():
        write_handmade(version, make_card(seed=1))
    answer = TrainingResponse("rebuild", "rebuild, for a reason", has_version=True, promote=True)
    path = folder / "trainer"
    text = STAND_IN.format(
        python=PYTHON,
        moment=moment,
        moments=IN_CHILD,
        version=str(version),
        answer=RESPONSE.dump_json(answer).decode(),
    )
    path.write_text(text)
    path.chmod(stat.S_IRWXU)
    return path


def test_a_trainer_killed_at_any_moment_leaves_the_champion_and_the_next_one_works(
    plant, tmp_path, monkeypatch
):
    spoken = speak(copy(plant, tmp_path / "undisturbed"))
    learn = partial(retrain, now=LATER, trainer=partial(run_trainer, timeout_seconds=60.0))

    for number, moment in enumerate(IN_CHILD):
        config = copy(plant, tmp_path / f"{number}")
        monkeypatch.setattr(sys, "executable", str(stand_in(tmp_path, moment)))
        with (
            opened(config) as live,
            pytest.raises(TransientError, match="killed, most likely"),
        ):
            learn(live)
        require_untouched(copy(config, tmp_path / f"{number}-looked-at"), spoken)
        monkeypatch.setattr(sys, "executable", str(stand_in(tmp_path, "never")))
        with opened(config) as live:
            assert learn(live).promoted, moment
            require_clean(live)


def test_what_a_killed_process_could_not_take_away_the_next_retraining_does(plant, tmp_path):
    config = copy(plant, tmp_path / "plant")
    state = config.parent / "state"
    (state / f"{SCRATCH}dead").mkdir()
    (state / f"{SCRATCH}dead" / "order.json").write_text("{}")

    with opened(config) as live:
        retrain(live, now=LATER, trainer=FakeTrainer("keep", made=False))

    assert not list(state.glob(f"{SCRATCH}*"))
    assert not (state / "versions" / ".staging").exists()


# The real trainer, killed from outside.

MANY = replace(PUMPS, assets=24)
LEARNED_AT = PUMPS_NOW + timedelta(days=1)
SAID_AT = ("building features", "measuring importance", "random forest", "exporting", "outcome")


class Sniper:
    """Kills the only child of this process once it says these words; "" before any."""

    def __init__(self, words: str) -> None:
        self.words, self.shots = words, 0

    def hear(self, done: float, text: str) -> None:
        """A line of progress."""
        if self.words and self.words in text:
            self._shoot()

    def watch(self) -> bool:
        """Asked for while the trainer runs, the first time before it has said anything."""
        if not self.words:
            self._shoot()
        return False

    def _shoot(self) -> None:
        tasks = Path("/proc/self/task").glob("*/children")
        for child in " ".join(task.read_text() for task in tasks).split():
            os.kill(int(child), signal.SIGKILL)
            self.shots += 1


@pytest.mark.slow
def test_the_real_trainer_killed_anywhere_leaves_the_champion_and_the_next_one_works(new_plant):
    plant = simulate(MANY)
    config = new_plant(
        {"a.parquet": plant.readings(0, 40)},
        events={"a.parquet": plant.events_table(0, 40)},
        toml=PUMPS_TOML,
        champion=False,
    )
    run = partial(run_trainer, timeout_seconds=600.0)
    with opened(config) as live:
        assert retrain(live, now=LEARNED_AT, trainer=run).promoted
        score(live, now=LEARNED_AT)
        before = said(live.store)

        for words in ("", *SAID_AT):
            sniper = Sniper(words)
            trainer = partial(run, stop=sniper.watch)
            with pytest.raises(TransientError, match="killed, most likely"):
                retrain(live, now=LEARNED_AT + timedelta(days=1), trainer=trainer,
                        options=RetrainingOptions(force=True), progress=sniper.hear)  # fmt: skip
            assert sniper.shots == 1, words
            assert load_champion(live).number == 1
            assert len(live.store.lineage.retrainings()) == 1
            assert said(live.store) == before

        done = retrain(
            live,
            now=LEARNED_AT + timedelta(days=1),
            trainer=run,
            options=RetrainingOptions(force=True),
        )
        assert (done.decision, done.version) == ("rebuild", 2)
        assert sorted(path.name for path in live.registry.folder.iterdir()) == [
            "000001",
            "000002",
        ]
        assert not list(live.settings.state.glob(f"{SCRATCH}*"))
