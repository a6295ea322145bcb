"""Whatever lies in a folder of files: batches are listed, all else is named with a reason."""

import errno
import os
import time

import pytest
from pyarrow import fs

from connectors.files import listing
from connectors.files.folder import Folder
from connectors.parquet import ParquetEvents, ParquetReadings

DAY = 86_400


@pytest.fixture(params=[ParquetReadings, ParquetEvents], ids=["readings", "events"])
def source(request, tmp_path):
    """A source of a folder in which one good file lies."""
    folder = tmp_path / "batches"
    folder.mkdir()
    (folder / "good.parquet").write_bytes(b"as good as any, for nobody opens it")
    return request.param(str(folder))


@pytest.fixture
def folder(source, tmp_path):
    return tmp_path / "batches"


def listed(source):
    return sorted(batch.name for batch in source.list())


def left(source):
    return {entry.name: entry.reason for entry in source.left_files()}


# Entries that answer oddly.


def test_a_link_in_circles_holds_up_nobody_and_is_named(source, folder):
    (folder / "loop.parquet").symlink_to("loop.parquet")
    (folder / "there.parquet").symlink_to("back.parquet")
    (folder / "back.parquet").symlink_to("there.parquet")

    assert listed(source) == ["good.parquet"]
    assert left(source) == dict.fromkeys(
        ("loop.parquet", "there.parquet", "back.parquet"),
        "cannot be read: Too many levels of symbolic links",
    )


def test_a_link_through_a_file_or_to_a_name_too_long_holds_up_nobody(source, folder):
    (folder / "through.parquet").symlink_to("good.parquet/more.parquet")
    (folder / "long.parquet").symlink_to("x" * 300)

    assert listed(source) == ["good.parquet"]
    assert left(source) == {
        "through.parquet": "cannot be read: Not a directory",
        "long.parquet": "cannot be read: File name too long",
    }


class OddEntry:
    """An entry of a folder that answers one error to whoever looks at it closely."""

    def __init__(self, entry, number):
        self._entry, self._number = entry, number
        self.name, self.path = entry.name, entry.path

    def is_symlink(self):
        return self._entry.is_symlink()

    def is_file(self, *, follow_symlinks=True):
        return self._entry.is_file(follow_symlinks=follow_symlinks)

    def is_dir(self, *, follow_symlinks=True):
        return self._entry.is_dir(follow_symlinks=follow_symlinks)

    def stat(self, *, follow_symlinks=True):
        raise OSError(self._number, os.strerror(self._number), self.path)


class OddFolder:
    """What scandir gives, with one entry that answers an error."""

    def __init__(self, path, name, number):
        self._entries, self._name, self._number = os.scandir(path), name, number

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._entries.close()

    def __iter__(self):
        for entry in self._entries:
            yield OddEntry(entry, self._number) if entry.name == self._name else entry


@pytest.mark.parametrize(
    "number", [errno.ESTALE, errno.EACCES, errno.EIO, errno.ENAMETOOLONG, errno.ENOTDIR]
)
def test_an_error_of_one_entry_is_that_entrys_alone(source, folder, monkeypatch, number):
    (folder / "odd.parquet").write_bytes(b"")
    odd = os.scandir
    monkeypatch.setattr(
        listing, "os", Patched(scandir=lambda path: OddFolder(path, "odd.parquet", number))
    )
    assert os.scandir is odd

    assert listed(source) == ["good.parquet"]
    assert left(source) == {"odd.parquet": f"cannot be read: {os.strerror(number)}"}


class Patched:
    """The module `os` with some functions in place of its own."""

    def __init__(self, **functions):
        vars(self).update(functions)

    def __getattr__(self, name):
        return getattr(os, name)


@pytest.mark.parametrize("number", [errno.EACCES, errno.ESTALE, errno.ENAMETOOLONG])
def test_a_folder_that_cannot_be_entered_hides_no_other(source, folder, monkeypatch, number):
    for name in ("closed", "open"):
        (folder / name).mkdir()
        (folder / name / "a.parquet").write_bytes(b"")

    def scandir(path):
        if str(path).endswith("closed"):
            raise OSError(number, os.strerror(number), str(path))
        return os.scandir(path)

    monkeypatch.setattr(listing, "os", Patched(scandir=scandir))

    assert listed(source) == ["good.parquet", "open/a.parquet"]
    assert left(source) == {"closed/": f"cannot be listed: {os.strerror(number)}"}


# Links.


def test_links_lead_neither_in_circles_nor_out_and_are_named(source, folder, tmp_path):
    outside = tmp_path / "elsewhere"
    outside.mkdir()
    (outside / "a.parquet").write_bytes(b"")
    (folder / "loop").symlink_to(folder)
    (folder / "away").symlink_to(outside)
    (folder / "secret.parquet").symlink_to(outside / "a.parquet")
    (folder / "gone.parquet").symlink_to(outside / "nothing")
    (folder / "link.parquet").symlink_to("good.parquet")

    assert listed(source) == ["good.parquet", "link.parquet"]
    found = left(source)
    assert set(found) == {"loop", "away", "secret.parquet", "gone.parquet"}
    assert found["loop"] == found["away"]
    assert found["loop"].startswith("a link to a folder, not entered: put the folder itself there")
    assert found["secret.parquet"].startswith("a link that leads out of the folder, not followed")
    assert found["gone.parquet"].startswith("a link to a file that is not there")


def test_a_pipe_of_that_name_is_no_batch(source, folder):
    os.mkfifo(folder / "pipe.parquet")

    assert listed(source) == ["good.parquet"]
    assert left(source) == {"pipe.parquet": "no file: a device, a pipe or a socket"}


# Endings.


@pytest.mark.parametrize("name", ["A.PARQUET", "b.Parquet", "c.pq", "d.parq", "e/F.PQ"])
def test_an_ending_is_known_in_any_letters(source, folder, name):
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_bytes(b"")

    assert name in listed(source)
    assert left(source) == {}


@pytest.mark.parametrize("on_a_disk", [True, False])
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("a.csv", "got CSV or text: have them exported or converted so"),
        ("deep/er/A.CSV", "got CSV or text"),
        ("a.xlsx", "got Excel"),
        ("a.csv.gz", "got an archive or compressed"),
        ("a.parquet.gz", "got an archive or compressed"),
        ("a.parquet.bak", "got 'bak' files"),
        ("README", "got files without an ending"),
    ],
)
def test_other_files_are_named_with_what_to_do(source, folder, name, words, on_a_disk):
    (folder / name).parent.mkdir(exist_ok=True, parents=True)
    (folder / name).write_bytes(b"")
    if not on_a_disk:
        disk = fs.SubTreeFileSystem("/", fs.LocalFileSystem())
        source._folder = Folder(disk, str(folder).lstrip("/"), source.suffixes)

    assert listed(source) == ["good.parquet"]
    (reason,) = left(source).values()
    assert words in reason
    assert "(.parquet, .parq, .pq)" in reason


@pytest.mark.parametrize(
    "name",
    [
        "_SUCCESS",
        "_metadata",
        "._SUCCESS.crc",
        ".part-0.snappy.parquet.crc",
        "_temporary/0/a.parquet",
        ".snapshot/a.csv",
        "a.parquet.tmp",
        ".a.parquet",
    ],
)
def test_what_writers_leave_beside_their_files_is_passed_over(source, folder, name):
    (folder / name).parent.mkdir(exist_ok=True, parents=True)
    (folder / name).write_bytes(b"")

    assert listed(source) == ["good.parquet"]
    assert left(source) == {}


@pytest.mark.parametrize("name", ["_a.parquet", ".a.parquet", "a.parquet.tmp", "a.PART.parquet"])
def test_a_file_that_stays_unfinished_for_a_day_is_named(source, folder, name):
    path = folder / name
    path.write_bytes(b"")
    before = left(source)
    os.utime(path, (time.time() - DAY - 60,) * 2)

    assert before == {}
    assert list(left(source)) == [name]
    assert "has to give it its final name" in left(source)[name]
