"""What a plant goes through in its life, each flow one call that may be cut short and repeated.

prepare(make) lays a plant out, run(config) is what is cut short, outcome(config) is all that
must be alike in the end, whenever it was.
"""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from itertools import count
from pathlib import Path

import numpy as np
import pyarrow as pa
from factories import (
    ALARMING_TOML,
    NOW,
    REMEMBERING_TOML,
    FakeTrainer,
    drop,
    events_table,
    few_batches_a_run,
    hour,
    opened,
    promote_handmade,
    readings_table,
    said,
)
from normals import FakeLearner
from recorders.recording import FileBroker, at, measured, recorded

from pm_app.cli.app import app
from pm_app.errors import SourceUnavailable
from pm_app.jobs.backfill.run import backfill
from pm_app.jobs.normality.run import learn_plant_normal
from pm_app.jobs.operations.alarms import acknowledge
from pm_app.jobs.operations.backup import backup, restore
from pm_app.jobs.operations.notifications import notify
from pm_app.jobs.plant import Plant
from pm_app.jobs.record.batch import BatchFolder
from pm_app.jobs.record.buffer import Buffer
from pm_app.jobs.record.health import recorder_folder
from pm_app.jobs.retrain.run import retrain
from pm_app.jobs.score.champion import load_champion
from pm_app.jobs.score.frames import PaneSpan
from pm_app.jobs.score.normal_champion import load_normal_champion
from pm_app.jobs.score.predict import predict_spans
from pm_app.jobs.score.run import score
from pm_app.records.alarms import PlantCondition
from pm_app.scoring.alarms import plant_step
from pm_app.settings.plant import read_settings
from pm_app.settings.sources import ReadingsSettings
from pm_app.store import Actor, write_staged
from pm_app.times import to_nanoseconds
from pm_app.wiring import notify_channels, store_url

LATER = NOW + timedelta(hours=1)
ANN = Actor("ann")
EVENTS = events_table([("pump-00", 5.5, "failure", ""), ("pump-01", 9.0, "maintenance", "seal")])
LATE_EVENTS = events_table([("pump-02", 3.0, "failure", "")])
TABLE = readings_table()
HORIZON_HOURS = 24.0
Make = Callable[..., Path]


def outcome(config: Path) -> dict[str, object]:
    """All that is said and noted, but for when; the files on disk must be those in the tables."""
    with opened(config) as plant:
        segments = plant.store.ledger.segments()
        folders = (plant.history.folder, plant.event_history.folder)
        assert {path.name for folder in folders for path in folder.iterdir()} == segments
        # A version that was made and not recorded goes at the next retraining.
        recorded = {f"{row.version:06d}": row.digest for row in plant.store.lineage.versions()}
        for name, digest in recorded.items():
            assert plant.registry.digest(int(name)) == digest
        assert not [path for path in config.parent.rglob("*.tmp")]
        champion = load_champion(plant)
        return {
            "said": said(plant.store, without=["scored_at", "model_version", "normal_version"]),
            "superseded": [
                row
                for table in plant.store.tables.superseded()
                for row in table.drop_columns("scored_at").to_pylist()
            ],
            "latest": plant.store.tables.latest_predictions()
            .drop_columns(["scored_at", "model_version", "normal_version"])
            .to_pylist(),
            "ledger": [
                (row.source, row.name, row.status, row.rows, row.reason, row.scored_at is None)
                for row in plant.store.ledger.batches()
            ],
            "alarms": [
                (row.kind, row.asset_id, row.state, row.cutoff, row.risk, row.threshold)
                for row in plant.store.alarms.alarms()
            ],
            "alarm events": [
                (row.alarm_id, row.action, row.from_state, row.to_state, row.cutoff, row.note)
                for row in plant.store.alarms.events()
            ],
            "news": [(row.alarm_id, row.channel) for row in plant.store.outbox.waiting()],
            "champion": None if champion is None else champion.card.seed,
            "watched": load_normal_champion(plant).champion is not None,
            "threshold": plant.store.alarms.threshold(HORIZON_HOURS) is not None,
            "people": [(row.name, row.role) for row in plant.store.users.users()],
            # What is repeated by itself after a crash may promote again; people do not.
            "audit": [
                (row.actor, row.action, row.target)
                for row in plant.store.users.audit()
                if row.actor != "pm-app"
            ],
        }


@dataclass(frozen=True)
class Flow:
    """A plant, what happens to it, and what must be alike in the end."""

    prepare: Callable[[Make], Path]
    run: Callable[[Path], None]
    outcome: Callable[[Path], dict[str, object]] = outcome


def _fresh(make: Make) -> Path:
    parts = {f"{at}.parquet": TABLE.slice(50 * at, 50) for at in range(3)}
    return make(parts, events={"e.parquet": EVENTS}, toml=ALARMING_TOML)


def _started(make: Make) -> Path:
    """A plant that has said something, with a late file, a repetition, a torn one and events."""
    part = (np.arange(len(TABLE)) // 10) % 5
    files = {f"{at}.parquet": TABLE.filter(pa.array(part == at)) for at in range(5)}
    late = files.pop("2.parquet")
    config = make(files, events={"e.parquet": EVENTS}, toml=ALARMING_TOML)
    with opened(config) as plant:
        score(plant, now=NOW)
        _litter(plant)
    drop(config, "2.parquet", late)
    drop(config, "export.parquet", TABLE.slice(0, 150))
    drop(config, "new.parquet", readings_table(first_hour=30, hours=20, seed=1))
    drop(config, "late.parquet", LATE_EVENTS, source="events")
    torn = (config.parent / "readings" / "new.parquet").read_bytes()[:-100]
    (config.parent / "readings" / "torn.parquet").write_bytes(torn)
    return config


def _remembering(make: Make) -> Path:
    """A plant whose champion looks back on lives longer than what is scored next."""
    config = make({"a.parquet": TABLE}, toml=REMEMBERING_TOML, champion=False)
    with opened(config) as plant:
        promote_handmade(plant)
        score(plant, now=NOW)
    drop(config, "new.parquet", readings_table(first_hour=30, hours=20, seed=1))
    return config


def _litter(plant: Plant) -> None:
    """What a crash may have left behind."""
    (plant.history.folder / f"{24 * 'a'}-0000.parquet").write_bytes(b"half")
    (plant.event_history.folder / f"{24 * 'a'}.parquet").write_bytes(b"half")
    (plant.registry.folder / "000099").mkdir()
    (plant.settings.state / ".training-1").mkdir()


def _scored(make: Make) -> Path:
    config = make({"a.parquet": TABLE}, events={"e.parquet": EVENTS})
    with opened(config) as plant:
        score(plant, now=NOW)
    return config


def _robbed(make: Make) -> Path:
    """A plant that has lost what it made of its files, and gets another one."""
    config = _scored(make)
    with opened(config) as plant:
        for folder in (plant.history.folder, plant.event_history.folder):
            for path in folder.iterdir():
                path.unlink()
    drop(config, "new.parquet", readings_table(first_hour=30, hours=20, seed=1))
    return config


def _keeping(make: Make) -> Path:
    """A plant two days of whose predictions are older than it keeps."""
    config = make({"a.parquet": readings_table(hours=60, a_pane=1)})
    with opened(config) as plant:
        score(plant, now=NOW)
    limit = (LATER - hour(0)).days - 1
    config.write_text(f'{config.read_text()}\n[retention]\npredictions = "{limit}d"\n')
    return config


def _grown(make: Make) -> Path:
    """A plant with more small files than are joined at once, late ones among them."""
    hours = [*range(0, 40, 2), *range(1, 40, 2)]
    parts = [readings_table(hours=1, first_hour=at, seed=at) for at in hours]
    config = make({f"{at:02d}.parquet": part for at, part in enumerate(parts)})
    with opened(config) as plant:
        score(plant, now=NOW)
    return config


def _compact(config: Path) -> None:
    with opened(config) as plant, few_batches_a_run():
        score(plant, now=NOW + timedelta(days=3))
        assert any("-joined-" in name for name in plant.store.ledger.segments())


def _alarmed(make: Make) -> Path:
    config = make({"a.parquet": TABLE}, toml=ALARMING_TOML)
    with opened(config) as plant:
        score(plant, now=NOW)
        assert plant.store.alarms.alarms(only_open=True)
    return config


def _work_on_alarms(config: Path) -> None:
    with opened(config) as plant:
        for alarm in plant.store.alarms.alarms(only_open=True):
            if alarm.state != "acknowledged":
                acknowledge(plant.store, alarm.id, at=LATER, actor=ANN)


def _fall_silent(config: Path) -> None:
    silent = PlantCondition("readings", stands=True, note="no reading", cutoff=hour(30))
    with opened(config) as plant:
        plant.store.plant_alarms.follow([silent], plant_step, channels=plant.channels, now=LATER)


def _work_on_people(config: Path) -> None:
    with opened(config) as plant:
        people = plant.store.users
        if not people.users():
            people.add("ann", "a long password", role="operator", at=LATER, actor="root")
        assert plant.store.sign_in_attempts.begin("ann", "10.0.0.7", at=LATER).wait_seconds == 0
        plant.store.sign_in_attempts.succeeded("ann", "10.0.0.7")
        token, _ = people.open_session("ann", at=LATER, lasts=timedelta(hours=1))
        people.close_session(token)
        own = plant.store.oidc_sessions
        own.close(own.open("zoe", role="viewer", at=LATER, lasts=timedelta(hours=1)))
        if "looked" not in {row.action for row in people.audit()}:
            people.note("ann", "looked", "pump-00", at=LATER)


class Voice:
    """Carries words nowhere, and fails where told to."""

    def __init__(self, *, dead: bool = False) -> None:
        self.dead = dead

    def message(self, address: str, title: str, body: str) -> None:
        """Fulfils `Sender`."""
        if self.dead:
            raise SourceUnavailable(address)

    def document(self, address: str, content: str) -> None:
        """Fulfils `Sender`."""


def _telling(make: Make) -> Path:
    """A plant with alarms that somebody is to be told of."""
    toml = f'{ALARMING_TOML}\n[notifications]\nurls = ["json://127.0.0.1:1/"]\n'
    config = make({"a.parquet": TABLE}, toml=toml)
    with opened(config) as plant:
        score(plant, now=NOW)
        assert plant.store.outbox.waiting()
    return config


def _tell(config: Path) -> None:
    with opened(config) as plant:
        known = notify_channels(plant.settings)
        for hours, channels, dead in ((0, known, True), (2, known, False), (9, known, True)):
            at = LATER + timedelta(hours=hours)
            notify(plant.store, plant.settings, channels, Voice(dead=dead), now=at)
        notify(plant.store, plant.settings, {}, Voice(), now=LATER + timedelta(hours=20))


def _set_threshold(config: Path) -> None:
    with opened(config) as plant:
        if plant.store.alarms.threshold(HORIZON_HOURS) is None:
            plant.store.alarms.set_threshold(
                0.3, horizon_hours=HORIZON_HOURS, reason="by hand", at=LATER
            )


def _littered(make: Make) -> Path:
    config = _scored(make)
    with opened(config) as plant:
        _litter(plant)
    return config


def _with_two_versions(make: Make) -> Path:
    config = _scored(make)
    with opened(config) as plant:
        retrain(plant, now=NOW, trainer=FakeTrainer("rebuild", promote=False, seed=1))
    return config


def _waiting(make: Make) -> Path:
    """A plant with a version that waits for a person."""
    config = _scored(make)
    config.write_text(f'{config.read_text()}\n[retraining]\npromotion = "approve"\n')
    with opened(config) as plant:
        retrain(plant, now=NOW, trainer=FakeTrainer("rebuild", seed=1))
        assert plant.store.lineage.waiting() is not None
    return config


def _promoted(make: Make) -> Path:
    config = _with_two_versions(make)
    _promote(config)
    return config


def _score(config: Path) -> None:
    with opened(config) as plant:
        score(plant, now=LATER)


def _learn(config: Path) -> None:
    with opened(config) as plant:
        retrain(plant, now=LATER, trainer=FakeTrainer("rebuild", seed=1))


def _unwatched(make: Make) -> Path:
    """A plant without any model that has readings enough to learn what is normal."""
    config = make({"a.parquet": readings_table(hours=80, a_pane=1)}, champion=False)
    with opened(config) as plant:
        score(plant, now=NOW)
        _litter(plant)
    return config


def _watch(config: Path) -> None:
    with opened(config) as plant:
        learn_plant_normal(plant, now=LATER, learner=FakeLearner())


def _learn_nothing(config: Path) -> None:
    with opened(config) as plant:
        retrain(plant, now=LATER, trainer=FakeTrainer("keep", made=False))


def _promote(config: Path) -> None:
    with opened(config) as plant:
        plant.store.lineage.promote(2, at=LATER, reason="by hand")


def _reject(config: Path) -> None:
    with opened(config) as plant:
        if plant.store.lineage.waiting() is not None:
            plant.store.lineage.reject(2, at=LATER, reason="no gain", actor=ANN)


def _roll_back(config: Path) -> None:
    with opened(config) as plant:
        if plant.store.lineage.champion() == 2:
            plant.store.lineage.rollback(at=LATER, reason="by hand")


def _backfill(config: Path) -> None:
    with opened(config) as plant:
        backfill(plant, first=hour(0), last=hour(10), now=LATER)


def _bring(config: Path) -> None:
    """What a worker does with a partition, and what becomes of its file."""
    path = config.parent / "brought.sqlite"
    with opened(config) as plant:
        panes = PaneSpan(to_nanoseconds(hour(0)) // plant.history.pane_ns, 10**9)
        spans = dict.fromkeys(plant.store.ledger.first_seen(), panes)
        champion = load_champion(plant)
        write_staged(path, predict_spans(plant.view, champion, spans))
        plant.store.writer.commit_staged(path, scored_at=LATER)


def _export(config: Path) -> None:
    folder = str(config.parent / "said.parquet")
    command = ["predictions", "-c", str(config), "--format", "parquet", "--out", folder]
    app(command, standalone_mode=False)
    picture = str(config.parent / "importance.svg")
    app(["importance", "-c", str(config), "--plot", picture], standalone_mode=False)


def _retry(config: Path) -> None:
    with opened(config) as plant:
        statuses = {row.status for row in plant.store.ledger.batches()}
        if "retried" not in statuses:
            plant.store.ledger.release()
        score(plant, now=LATER)


def _refused(make: Make) -> Path:
    """A plant with a file that is not whole."""
    config = _scored(make)
    torn = (config.parent / "readings" / "a.parquet").read_bytes()[:-100]
    (config.parent / "readings" / "torn.parquet").write_bytes(torn)
    _score(config)
    return config


def _back_up(config: Path) -> None:
    with opened(config) as plant:
        backup(plant.store, plant.settings.state, _archive(config), settings=config)


def _emptied(make: Make) -> Path:
    """A plant that has nothing left but its backup."""
    config = _promoted(make)
    _back_up(config)
    shutil.rmtree(config.parent / "state")
    return config


def _restore(config: Path) -> None:
    settings = read_settings(config)
    if not (settings.state / "pm.sqlite").exists():
        restore(_archive(config), settings.state, store_url(settings), folder=settings.folder)


def _archive(config: Path) -> Path:
    return config.parent / "plant.backup"


def _listening(make: Make) -> Path:
    """A plant that a recorder has readings for."""
    return make(champion=None)


def _record(config: Path) -> None:
    values = [measured(number, sensor=f"s{number % 2}") for number in range(12)]
    feed = FileBroker(config.parent / "broker", values)
    buffer = Buffer(recorder_folder(config.parent / "state", "line"), most_bytes=10**6)
    files = BatchFolder(config.parent / "readings" / "line", ReadingsSettings())
    feed.open(buffer.newest)
    for turn in count():
        deliveries = feed.take(0.0)
        buffer.append(deliveries, at(turn))
        feed.acknowledge(deliveries)
        if turn % 2 or not feed.left():
            buffer.rotate(files.write)
        if not feed.left():
            return


def _readings_recorded(config: Path) -> dict[str, object]:
    kinds = ("*.tmp", "*.journal")
    assert not [path for kind in kinds for path in config.parent.rglob(kind)]
    return {"recorded": recorded(config.parent / "readings")}


FLOWS = {
    "the first score of a plant without anything": Flow(
        lambda make: make({"a.parquet": TABLE.slice(0, 60)}, champion=None), _score
    ),
    "the first score with a champion": Flow(_fresh, _score),
    "late, repeated and torn files": Flow(_started, _score),
    "new files with a champion that remembers": Flow(_remembering, _score),
    "a retraining that promotes": Flow(_littered, _learn),
    "a retraining that keeps": Flow(_scored, _learn_nothing),
    "normal behaviour that is learned": Flow(_unwatched, _watch),
    "a promotion": Flow(_with_two_versions, _promote),
    "a rejection": Flow(_waiting, _reject),
    "a rollback": Flow(_promoted, _roll_back),
    "panes that are gone": Flow(_robbed, _score),
    "a retirement": Flow(_keeping, _score),
    "a compaction": Flow(_grown, _compact),
    "alarms acknowledged": Flow(_alarmed, _work_on_alarms),
    "an alarm of the plant": Flow(_telling, _fall_silent),
    "an alarm threshold": Flow(_scored, _set_threshold),
    "alarms told": Flow(_telling, _tell),
    "people who sign in": Flow(_scored, _work_on_people),
    "a backfill": Flow(_promoted, _backfill),
    "predictions that a worker brings": Flow(_promoted, _bring),
    "an export": Flow(_scored, _export),
    "quarantined files read again": Flow(_refused, _retry),
    "a backup": Flow(_scored, _back_up),
    "a restore": Flow(_emptied, _restore),
    "a recording": Flow(_listening, _record, _readings_recorded),
}
