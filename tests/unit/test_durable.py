"""Files whole or not at all, closed to strangers, every change announced before it happens."""

import os

import pytest
from instants import listening

from pm_app.durable import (
    fill_folder,
    make_folder,
    remove_file,
    remove_folder,
    rename_folder,
    write_bytes,
    write_file,
)
from pm_app.errors import TransientError


class Heard(list):
    """Steps as they are announced; those in `errors` fail."""

    def __init__(self):
        super().__init__()
        self.errors: dict[str, BaseException] = {}

    def __call__(self, instant):
        self.append(instant.step)
        if instant.step in self.errors:
            raise self.errors[instant.step]


@pytest.fixture
def heard():
    """The steps announced while a test runs."""
    steps = Heard()
    with listening(steps):
        yield steps


def mode(path):
    return path.stat().st_mode & 0o777


def test_a_file_is_written_beside_synced_and_renamed(tmp_path, heard):
    write_bytes(tmp_path / "a", b"new")

    assert heard == ["write", "sync", "rename", "sync folder", "written"]
    assert (tmp_path / "a").read_bytes() == b"new"


@pytest.mark.parametrize("step", ["write", "sync", "rename"])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_what_fails_before_the_name_is_given_leaves_the_old_file(tmp_path, heard, step, error):
    write_bytes(tmp_path / "a", b"old")
    heard.errors[step] = error
    expected = TransientError if isinstance(error, OSError) else KeyboardInterrupt

    with pytest.raises(expected):
        write_bytes(tmp_path / "a", b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a").read_bytes() == b"old"


def test_an_error_names_the_path_and_the_reason(tmp_path, heard):
    heard.errors["sync folder"] = OSError(5, "Input/output error")

    with pytest.raises(TransientError, match="a: cannot be written: Input/output error"):
        write_bytes(tmp_path / "a", b"new")


def test_what_is_made_is_closed_to_strangers(tmp_path):
    before = os.umask(0)
    try:
        make_folder(tmp_path / "state" / "panes")
        write_bytes(tmp_path / "state" / "panes" / "a", b"")
        fill_folder(tmp_path / "state" / "version", {"card.json": b"{}"})
        write_file(tmp_path / "open", lambda path: path.write_text("for all"), mode=0o777)
    finally:
        os.umask(before)

    assert mode(tmp_path / "state") == mode(tmp_path / "state" / "panes") == 0o750
    assert mode(tmp_path / "state" / "panes" / "a") == 0o640
    assert mode(tmp_path / "state" / "version" / "card.json") == 0o640
    assert mode(tmp_path / "open") == 0o666


def test_a_folder_that_is_there_is_left_as_it_is(tmp_path, heard):
    (tmp_path / "a").mkdir(mode=0o700)
    make_folder(tmp_path / "a")

    assert heard == []
    assert mode(tmp_path / "a") == 0o700


def test_a_file_in_the_way_of_a_folder_is_told(tmp_path):
    (tmp_path / "a").write_bytes(b"")

    with pytest.raises(TransientError, match=r"a: cannot be made: .*"):
        make_folder(tmp_path / "a")
    with pytest.raises(TransientError, match=r"a/b: cannot be made|a: cannot be made"):
        make_folder(tmp_path / "a" / "b")


def test_a_folder_gets_its_name_once_all_in_it_is_durable(tmp_path, heard):
    fill_folder(tmp_path / "beside", {"one": b"1", "two": b"2"})
    rename_folder(tmp_path / "beside", tmp_path / "whole")

    assert heard[-4:] == ["sync", "rename", "sync folder", "written"]
    assert sorted(path.name for path in (tmp_path / "whole").iterdir()) == ["one", "two"]


def test_removing_twice_is_harmless(tmp_path):
    write_bytes(tmp_path / "a", b"")
    fill_folder(tmp_path / "folder", {"one": b"1"})
    for _ in range(2):
        remove_file(tmp_path / "a")
        remove_folder(tmp_path / "folder")

    assert list(tmp_path.iterdir()) == []
