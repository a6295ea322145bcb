"""Word of new files: given for what may be a batch, however it came, and for nothing else."""

import os
import threading
from types import SimpleNamespace

import pytest

from connectors.files import watching
from connectors.files.watching import watched

BUCKET = SimpleNamespace(watched_folder=None, suffixes=(".parquet",))
SECONDS = 20.0  # far more than a word takes


def folder_source(path):
    """What is asked of a source that is a folder."""
    return SimpleNamespace(watched_folder=str(path), suffixes=(".parquet",))


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "readings"
    path.mkdir()
    return path


@pytest.fixture
def rung(folder):
    """Set once word has come."""
    bell = threading.Event()
    with watched(
        [folder_source(folder), BUCKET, folder_source(folder / "absent")], bell.set
    ) as some:
        assert some
        yield bell


def write(path):
    path.write_bytes(b"rows")
    return path


def test_a_file_that_is_written_in_place_is_told(folder, rung):
    write(folder / "a.parquet")

    assert rung.wait(SECONDS)


def test_a_file_that_is_renamed_into_place_is_told(folder, rung):
    os.replace(write(folder / ".a.tmp"), folder / "a.parquet")

    assert rung.wait(SECONDS)


def test_a_file_from_elsewhere_is_told(tmp_path, folder, rung):
    os.replace(write(tmp_path / "a.parquet"), folder / "a.parquet")

    assert rung.wait(SECONDS)


def test_a_file_in_a_folder_that_came_later_is_told(folder, rung):
    (folder / "2026" / "07").mkdir(parents=True)
    write(folder / "2026" / "07" / "a.parquet")

    assert rung.wait(SECONDS)


def test_a_folder_that_is_renamed_is_told_with_all_its_files(folder, rung):
    (folder / ".coming").mkdir()
    write(folder / ".coming" / "a.parquet")
    assert not rung.is_set()
    os.replace(folder / ".coming", folder / "day-1")

    assert rung.wait(SECONDS)


def test_nothing_is_told_of_files_that_are_no_batch(tmp_path, folder):
    heard = []
    told = threading.Event()

    def ring():
        heard.append(sorted(path.name for path in folder.iterdir()))
        told.set()

    with watched([folder_source(folder)], ring):
        for name in ("a.csv", ".b.parquet", "c.tmp.parquet", "_d.parquet"):
            write(folder / name)
        write(folder / "e.parquet")
        assert told.wait(SECONDS)

    # Word comes in order: the first was given once the last file was there.
    assert "e.parquet" in heard[0]


def test_a_system_that_cannot_watch_is_told_and_leaves_it_to_the_clock(folder, monkeypatch, caplog):
    class Full(watching.Observer):
        def schedule(self, *args, **options):
            raise OSError("inotify watch limit reached")

    monkeypatch.setattr(watching, "Observer", Full)

    with watched([folder_source(folder)], lambda: None) as some:
        assert not some
    assert "by the clock alone: inotify watch limit reached" in caplog.text


def test_no_local_folder_is_no_folder_watched():
    with watched([BUCKET], lambda: None) as some:
        assert not some
