"""plant.toml in a backup: a plant comes back from one file, and settings that are there stay."""

import io
import json
import tarfile

import pyarrow as pa
import pytest
from factories import NOW, PLANT_TOML, make_plant, opened, readings_table, said

from pm_app.jobs.score.run import score


@pytest.fixture
def lived(new_plant):
    """A plant that has said something."""
    config = new_plant({"a.parquet": readings_table()}, toml=f"# of the old disk\n{PLANT_TOML}")
    with opened(config) as plant:
        score(plant, now=NOW)
    return config


@pytest.fixture
def archive(lived, tmp_path, pm_app):
    file = tmp_path / "plant.backup"
    assert pm_app("backup", file, "-c", lived)[0] == 0
    return file


def all_said(config):
    with opened(config) as plant:
        return said(plant.store)


def test_a_plant_whose_disk_is_lost_comes_back_from_its_backup_alone(
    lived, archive, tmp_path, pm_app
):
    back = tmp_path / "new disk" / "plant.toml"

    code, out, err = pm_app("restore", archive, "-c", back)

    assert (code, err) == (0, ""), out
    assert back.read_bytes() == lived.read_bytes()
    assert all_said(back) == all_said(lived) != []


def test_settings_that_are_there_stay_and_the_differing_ones_lie_beside_them(
    lived, archive, tmp_path, pm_app
):
    copy = make_plant(tmp_path / "elsewhere")
    own = copy.read_bytes()

    code, _, err = pm_app("restore", archive, "-c", copy)

    beside = copy.with_name("plant.toml.backup")
    assert code == 0
    assert err == f"{copy} stays; the backup's, which differs, lies in {beside}\n"
    assert (copy.read_bytes(), beside.read_bytes()) == (own, lived.read_bytes())


def test_a_backup_that_is_not_whole_leaves_no_settings_behind(archive, tmp_path, pm_app):
    archive.write_bytes(archive.read_bytes()[:-1000])
    new = tmp_path / "new disk" / "plant.toml"

    code, _, err = pm_app("restore", archive, "-c", new)

    assert code == 1 and "not a whole backup" in err
    assert not new.exists()


def test_a_backup_from_before_settings_were_taken_along_is_restored(
    lived, archive, tmp_path, pm_app
):
    leave_settings_out(archive)
    copy, new = make_plant(tmp_path / "elsewhere"), tmp_path / "new disk" / "plant.toml"

    assert pm_app("restore", archive, "-c", copy)[0] == 0
    code, _, err = pm_app("restore", archive, "-c", new)

    assert all_said(copy) == all_said(lived)
    assert code == 2 and f"{new}: no such file" in err


def leave_settings_out(file):
    with (
        pa.input_stream(str(file), compression="zstd") as stream,
        tarfile.open(fileobj=stream, mode="r|") as archive,
    ):
        found = {entry.name: archive.extractfile(entry).read() for entry in archive}
    del found["plant.toml"]
    hashes = json.loads(found["manifest.json"])
    del hashes["plant.toml"]
    found["manifest.json"] = json.dumps(hashes).encode()
    with (
        pa.output_stream(str(file), compression="zstd") as stream,
        tarfile.open(fileobj=stream, mode="w|") as archive,
    ):
        for name, content in found.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
