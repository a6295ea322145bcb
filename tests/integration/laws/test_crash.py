"""Law 4: killed at any instant, or failed by the disk at any, nothing is lost or said twice."""

import errno
import os
import random
import shutil
from dataclasses import dataclass
from functools import cache
from itertools import count
from pathlib import Path

import pytest
from factories import make_stocked_plant
from flows import FLOWS, outcome
from instants import Failing, Instant, first_of_each, heard, listening, sites_in_code
from killed_flows import FlowKiller

from pm_app.errors import PmAppError

FAULTS = (errno.ENOSPC, errno.EIO, errno.EACCES, errno.EMFILE)
RANDOM_KILLS = 20
_SCRATCH = "requests to workers and what they bring back, in a folder that goes with their run"
_TRIED = "small plants that are killed to try a disk, in a folder and schemas that go with it"
# Sites that no flow of a plant's life passes: what they are, and why they need none.
NO_FLOW = {
    "pm_app.jobs.retrain.trainer:main": "the trainer's answer, lost with its scratch folder",
    "pm_app.jobs.normality.learner:main": "the learner's answer, lost with its scratch folder",
    "pm_app.cli.demo.plant:_drop": "files of a simulated plant",
    "pm_app.cli.act.backup:restore": "plant.toml of a backup, beside one that differs",
    "pm_app.cli.act.backup:_settings_in_place": "plant.toml of a backup, where there is none",
    "pm_app.jobs.operations.publishing:publish": "how far a channel came, sent again without it",
    "pm_app.jobs.record.health:write_health": "how a recorder is, written anew every few seconds",
    "pm_app.cli.look.selftest:_ScratchPlant.__init__": _TRIED,
    "pm_app.cli.look.selftest:_ScratchPlant.remove": _TRIED,
    "pm_app.cli.look.selftest:_scratch": _TRIED,
    "pm_app.store.opening:scratch_stores": _TRIED,
    "pm_app.store.opening:scratch_stores.store": _TRIED,
    "pm_app.daemon.health:Monitor._write": "the state of health, written anew at every look",
    "pm_app.state.sensor_quality:write_quality": "what a look at sensors found, looked for anew",
    "pm_app.jobs.workers.files:scratch_folder": _SCRATCH,
    "pm_app.jobs.workers.files:_remove": _SCRATCH,
    "pm_app.jobs.workers.files:write_arrays": _SCRATCH,
    "pm_app.jobs.workers.protocol:write_request": _SCRATCH,
    "pm_app.jobs.backfill.workers:predict_on_workers": _SCRATCH,
    "pm_app.jobs.backfill.workers:_score": _SCRATCH,
    "pm_app.store.database.backup:save": "a copy of a PostgreSQL database in a scratch folder",
    "pm_app.store.database.backup:_load_tables": "the one transaction of a restore into PostgreSQL",
}


@pytest.fixture(scope="module")
def kill():
    killer = FlowKiller()
    yield killer
    killer.close()


@dataclass(frozen=True)
class Prepared:
    """A plant before its flow; the instants of the flow undisturbed, and what comes of it."""

    config: Path
    sites: set[str]
    instants: list[Instant]
    expected: dict[str, object]


@pytest.fixture
def copies(tmp_path):
    """A factory of copies of a plant."""
    number = count()
    return lambda config: _copy(config, tmp_path / f"copy-{next(number)}")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory, empty_states):
    """Each flow's plant, laid out and run undisturbed once for all tests, which take copies."""
    folder = tmp_path_factory.mktemp("prepared")
    number = count()

    def make(readings=None, **more):
        return make_stocked_plant(folder / str(next(number)), empty_states, readings, **more)

    @cache
    def prepare(flow):
        with heard() as all_instants:
            config = FLOWS[flow].prepare(make)
            undisturbed = _copy(config, folder / str(next(number)))
            with heard() as instants:
                FLOWS[flow].run(undisturbed)
        sites = {instant.site for instant in [*all_instants, *instants]}
        return Prepared(config, sites, instants, FLOWS[flow].outcome(undisturbed))

    return prepare


def _copy(config, folder):
    shutil.copytree(config.parent, folder)
    return folder / config.name


def test_every_change_in_the_code_is_an_instant_that_some_flow_passes(prepared):
    passed = {site for name in FLOWS for site in prepared(name).sites}

    assert sites_in_code() - passed == set(NO_FLOW)


@pytest.mark.parametrize("flow", FLOWS)
def test_killed_at_any_instant_and_run_again_it_ends_as_if_undisturbed(
    flow, prepared, copies, kill
):
    before = prepared(flow)

    for number in first_of_each(before.instants):
        config = copies(before.config)
        kill(flow, config, number)
        FLOWS[flow].run(config)
        assert FLOWS[flow].outcome(config) == before.expected, before.instants[number]


@pytest.mark.parametrize("flow", FLOWS)
def test_a_disk_that_fails_at_any_instant_is_told_and_costs_nothing(flow, prepared, copies):
    before = prepared(flow)

    for turn, number in enumerate(first_of_each(before.instants)):
        config = copies(before.config)
        code = FAULTS[turn % len(FAULTS)]
        failing = Failing(number, code)
        with listening(failing), pytest.raises(PmAppError, match=os.strerror(code)):
            FLOWS[flow].run(config)
        assert failing.struck is not None
        FLOWS[flow].run(config)
        assert FLOWS[flow].outcome(config) == before.expected, before.instants[number]


def kill_at_random(kill, before, copies, *, times, seed):
    """One plant, killed again and again while it scores."""
    flow = "late, repeated and torn files"
    rng = random.Random(seed)
    config = copies(before.config)
    for _ in range(times):
        if rng.random() < 0.2:
            config = copies(before.config)
        kill(flow, config, {"seconds": rng.uniform(0.0, 0.4)})
    FLOWS[flow].run(config)
    assert outcome(config) == before.expected, f"seed {seed}"


def test_killed_at_random_again_and_again_it_ends_as_if_undisturbed(prepared, copies, kill):
    before = prepared("late, repeated and torn files")
    kill_at_random(kill, before, copies, times=RANDOM_KILLS, seed=random.randrange(10**9))


@pytest.mark.slow
def test_five_hundred_kills_at_random_lose_nothing(prepared, copies, kill):
    before = prepared("late, repeated and torn files")
    for _ in range(25):
        kill_at_random(kill, before, copies, times=20, seed=random.randrange(10**9))
