"""A plant in one file: taken while it works, refused when harmed, and going on where it was."""

import io
import shutil
import stat
import tarfile
import threading
from datetime import timedelta
from itertools import chain

import numpy as np
import pyarrow as pa
import pytest
from factories import (
    NOW,
    REMEMBERING_TOML,
    SPEC,
    drop,
    events_table,
    make_plant,
    opened,
    promote_handmade,
    readings_table,
    said,
)

import pm_app.jobs.operations.backup as module
from pm_app.errors import TerminalError, TransientError
from pm_app.jobs.operations.backup import backup, restore
from pm_app.jobs.score.run import score
from pm_app.records.normality import AlarmLevel, NormalCard, Teaching
from pm_app.settings.plant import read_settings
from pm_app.state.registry import Golden, write_normal
from pm_app.store import RetrainingRow, VersionRow
from pm_app.wiring import open_views, store_url

TABLE = readings_table()
EVENTS = events_table([("pump-00", 5.5, "failure", ""), ("pump-01", 9.0, "maintenance", "seal")])
HOUR = timedelta(hours=1)
NORMAL = NormalCard(
    spec=SPEC,
    features=("sensor-0.last",),
    sensors=("sensor-0",),
    groups=(("sensor-0",),),
    method="by hand",
    level=AlarmLevel(1.0, 1.0, 1.0, 1e-3, 1000.0, False, "by hand", 2, 0.8),
    usual=(1.0,),
    levels=(50.0,),
    taught=Teaching(1, 1, "2026-01-01", "2026-01-02"),
)


on_both = pytest.mark.parametrize("on", ["sqlite", "postgresql"])


@pytest.fixture
def on():
    """The kind of database, where a test does not ask for both."""
    return "sqlite"


@pytest.fixture
def new_url(on, request):
    return request.getfixturevalue("postgresql_copies") if on == "postgresql" else lambda: ""


def back_up(config, file):
    settings = read_settings(config)
    with open_views(settings) as store:
        return backup(store, settings.state, file, settings=config)


def put_back(file, config):
    settings = read_settings(config)
    return restore(file, settings.state, store_url(settings), folder=settings.folder)


def everything(config):
    """All that is said, superseded, noted and learned."""
    with opened(config) as plant:
        store = plant.store
        return (
            said(store),
            [row for table in store.tables.superseded() for row in table.to_pylist()],
            store.tables.latest_predictions().to_pylist(),
            store.ledger.batches(),
            store.ledger.first_seen(),
            (store.lineage.versions(), store.lineage.promotions(), store.lineage.retrainings()),
            store.identity.state(),
        )


@pytest.fixture
def lived(new_plant):
    """A plant that has said, revised and learned something; its memory is on disk."""
    config = new_plant(
        {"a.parquet": TABLE.slice(0, 150)}, events={"e.parquet": EVENTS}, toml=REMEMBERING_TOML
    )
    with opened(config) as plant:
        promote_handmade(plant)
        score(plant, now=NOW)
        drop(config, "b.parquet", TABLE.slice(100, 80))
        score(plant, now=NOW + HOUR)
    return config


@pytest.fixture
def archive(lived, tmp_path):
    back_up(lived, tmp_path / "plant.backup")
    return tmp_path / "plant.backup"


@pytest.fixture
def elsewhere(tmp_path, new_url):
    """A factory of places to restore to: settings and sources, neither state nor database."""

    def make(name="elsewhere"):
        url = new_url()
        toml = REMEMBERING_TOML + (f'\n[store]\nurl = "{url}"\n' if url else "")
        return make_plant(tmp_path / name, toml=toml)

    return make


@on_both
def test_a_restored_plant_says_the_same_and_goes_on_as_the_undisturbed_one(
    lived, archive, elsewhere
):
    copy = elsewhere()
    done = put_back(archive, copy)
    assert everything(copy) == everything(lived)
    assert (done.sequence, done.version) == (3, 2)

    for source in ("readings", "events"):
        for path in (lived.parent / source).iterdir():
            shutil.copy2(path, copy.parent / source)
    for config in (lived, copy):
        drop(config, "c.parquet", TABLE.slice(120))
        drop(config, "new.parquet", readings_table(first_hour=30, hours=200, seed=1))
        with opened(config) as plant:
            assert score(plant, now=NOW + 2 * HOUR).committed.new > 0
            promote_handmade(plant, seed=5, at=NOW + 3 * HOUR)

    again, before = everything(copy), everything(lived)
    assert again[:3] == before[:3]
    assert [row.name for row in again[3]] == [row.name for row in before[3]]
    assert again[4:] == before[4:]


def test_what_is_normal_is_in_the_archive_and_refused_where_it_was_harmed(
    lived, elsewhere, tmp_path
):
    with opened(lived) as plant:
        staged = plant.registry.staging()
        golden = Golden(np.ones((1, 1), np.float32), np.ones((1, 2), np.float32))
        write_normal(staged, card=NORMAL, onnx=b"graph", golden=golden)
        number = plant.store.lineage.next_version()
        plant.registry.publish(staged, number)
        named = (plant.registry.path(number).name, plant.registry.digest(number))
        row = VersionRow(number, *named, NOW, "by hand", 0, "published")
        learned = RetrainingRow(NOW, NOW, NOW, "first", "by hand", version=number)
        plant.store.lineage.record_normal(learned, version=row, promote=True)
    back_up(lived, tmp_path / "plant.backup")
    copy = elsewhere()
    put_back(tmp_path / "plant.backup", copy)

    with opened(copy) as plant:
        assert plant.store.lineage.champion("normal") == number
        assert plant.registry.load_normal(number).card == NORMAL
        assert plant.registry.digest(number) == named[1]


@on_both
def test_a_backup_beside_a_plant_at_work_is_one_state_of_it(lived, elsewhere, tmp_path):
    table = readings_table(first_hour=40, hours=60, seed=3)
    stop, files = threading.Event(), []

    def work():
        with opened(lived) as plant:
            for number in range(15):
                drop(lived, f"w{number:02d}.parquet", table.slice(30 * number, 30))
                score(plant, now=NOW + number * HOUR)
                if stop.is_set():
                    break

    worker = threading.Thread(target=work)
    worker.start()
    for number in range(3):
        files.append(tmp_path / f"{number}.backup")
        back_up(lived, files[-1])
    stop.set()
    worker.join()

    for number, file in enumerate(files):
        copy = elsewhere(str(number))
        done = put_back(file, copy)
        with opened(copy) as plant:
            assert plant.store.identity.state().sequence == done.sequence
            on_disk = {path.name for path in plant.history.folder.iterdir()}
            on_disk |= {path.name for path in plant.event_history.folder.iterdir()}
            assert on_disk == plant.store.ledger.segments()
            assert len(plant.store.ledger.unscored_batches()) <= 1


def test_a_segment_that_is_replaced_meanwhile_is_no_reason_to_fail(lived, tmp_path, monkeypatch):
    tries, pack = [], module._pack

    def torn(file, files):
        tries.append(file)
        if len(tries) < module.TRIES:
            raise FileNotFoundError(2, "gone", "a segment")
        return pack(file, files)

    monkeypatch.setattr(module, "_pack", torn)
    back_up(lived, tmp_path / "plant.backup")

    assert len(tries) == module.TRIES


def test_a_segment_that_is_lost_is_named_and_the_backup_before_stays(lived, archive):
    before = archive.read_bytes()
    (lost, *_) = (lived.parent / "state" / "panes").iterdir()
    lost.unlink()

    with pytest.raises(TerminalError, match=f"{lost.name} is gone"):
        back_up(lived, archive)

    assert archive.read_bytes() == before
    assert not [path for path in archive.parent.iterdir() if path.name.startswith(".")]


def test_a_backup_is_closed_to_strangers_and_needs_a_folder(lived, archive, tmp_path):
    assert stat.S_IMODE(archive.stat().st_mode) == 0o640

    with pytest.raises(TransientError, match="nowhere/plant.backup: cannot be written"):
        back_up(lived, tmp_path / "nowhere" / "plant.backup")


def nothing_in_place(config):
    state = config.parent / "state"
    return not state.exists() or not [p for p in state.rglob("*") if p.is_file()]


def test_a_backup_cut_short_anywhere_is_refused_and_nothing_is_put_in_place(archive, elsewhere):
    whole, copy = archive.read_bytes(), elsewhere()

    for share in range(0, 20):
        archive.write_bytes(whole[: len(whole) * share // 20])
        with pytest.raises(TerminalError, match="not a whole backup"):
            put_back(archive, copy)
        assert nothing_in_place(copy)


def test_a_bit_flipped_anywhere_is_refused_or_harmless(lived, archive, elsewhere):
    whole, copy = bytearray(archive.read_bytes()), elsewhere()
    refused = 0

    for number in range(20):
        flipped = bytearray(whole)
        flipped[len(whole) * number // 20] ^= 1 << (number % 8)
        archive.write_bytes(flipped)
        try:
            put_back(archive, copy)
        except TerminalError:
            refused += 1
            assert nothing_in_place(copy)
        else:
            assert everything(copy)[0] == everything(lived)[0]
            copy = elsewhere()

    assert refused >= 10


def members(file):
    with (
        pa.input_stream(str(file), compression="zstd") as stream,
        tarfile.open(fileobj=stream, mode="r|") as archive,
    ):
        return [(entry, archive.extractfile(entry).read()) for entry in archive]


def pack(file, entries):
    with (
        pa.output_stream(str(file), compression="zstd") as stream,
        tarfile.open(fileobj=stream, mode="w|") as archive,
    ):
        for entry, content in entries:
            archive.addfile(entry, io.BytesIO(content))


def entry(name, kind=tarfile.REGTYPE, link="", size=4):
    made = tarfile.TarInfo(name)
    made.type, made.linkname, made.size = kind, link, size if kind == tarfile.REGTYPE else 0
    return made


HOSTILE = {
    "above": entry("../evil.parquet"),
    "absolute": entry("/tmp/evil.parquet"),
    "through a folder": entry("panes/../../evil.parquet"),
    "a link": entry("panes/a.parquet", tarfile.SYMTYPE, "/etc/passwd"),
    "a hard link": entry("panes/a.parquet", tarfile.LNKTYPE, "pm.sqlite"),
    "a device": entry("panes/a.parquet", tarfile.CHRTYPE),
    "a folder": entry("panes", tarfile.DIRTYPE),
    "a stranger": entry("health.json"),
    "hidden": entry("panes/.a.parquet"),
    "deep": entry("versions/000001/a/b.json"),
    "twice": entry("pm.sqlite"),
}


@pytest.mark.parametrize("odd", HOSTILE.values(), ids=HOSTILE)
def test_an_archive_with_what_no_backup_holds_is_refused(archive, elsewhere, odd, tmp_path):
    copy = elsewhere()
    first, *rest = members(archive)
    pack(archive, [first, (odd, b"evil"), *rest])

    with pytest.raises(TerminalError, match="not a backup of pm-app: it holds"):
        put_back(archive, copy)

    assert nothing_in_place(copy)
    assert not list(chain(tmp_path.rglob("evil*"), tmp_path.parent.glob("evil*")))


def test_a_member_larger_than_the_disk_is_refused_before_it_is_written(archive, elsewhere):
    with pa.output_stream(str(archive), compression="zstd") as stream:
        stream.write(entry("pm.sqlite", size=1 << 60).tobuf())

    with pytest.raises(TerminalError, match=f"pm.sqlite needs {1 << 60} bytes"):
        put_back(archive, elsewhere())


@pytest.mark.parametrize("left_out", ["panes/", "versions/", "manifest.json", "pm.sqlite"])
def test_an_archive_that_lacks_something_is_refused(archive, elsewhere, left_out):
    found = members(archive)
    gone = next(name for name in (e.name for e, _ in found) if name.startswith(left_out))
    pack(archive, [(e, content) for e, content in found if e.name != gone])
    copy = elsewhere()

    with pytest.raises(TerminalError, match="damaged|before its manifest"):
        put_back(archive, copy)

    assert nothing_in_place(copy)


@on_both
def test_nothing_is_ever_restored_over_a_plant(lived, archive, elsewhere):
    before = everything(lived)

    with pytest.raises(TerminalError, match="restore needs a"):
        put_back(archive, lived)
    assert everything(lived) == before

    copy = elsewhere()
    put_back(archive, copy)
    with pytest.raises(TerminalError, match="restore needs a"):
        put_back(archive, copy)
    assert everything(copy) == before


def test_a_restore_that_was_killed_is_done_again(lived, archive, elsewhere, monkeypatch):
    copy, load = elsewhere(), module.load

    def killed(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "load", killed)
    with pytest.raises(KeyboardInterrupt):
        put_back(archive, copy)
    with pytest.raises(TerminalError, match="full of what another database names"), opened(copy):
        raise AssertionError("it opened half restored")
    for name in ("pm.sqlite", "pm.sqlite-wal", "pm.sqlite-shm"):
        (copy.parent / "state" / name).unlink(missing_ok=True)

    monkeypatch.setattr(module, "load", load)
    put_back(archive, copy)
    assert everything(copy) == everything(lived)
