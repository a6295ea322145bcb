"""Versions on disk: immutable, hashed, whole or not there."""

import hashlib
import io
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from factories import SPEC, make_card, write_handmade

from pm_app.errors import BadVersion
from pm_app.records.features import RunningRule
from pm_app.records.normality import AlarmLevel, MovedSensor, NormalCard, Teaching
from pm_app.state.registry import (
    Golden,
    Registry,
    read_normal,
    read_version,
    write_normal,
    write_version,
)

NORMAL_FILES = ("model.onnx", "card.json", "golden.npz", "manifest.json")
FILES = ("model.keras", "model.onnx", "card.json", "golden.npz", "manifest.json")


@pytest.fixture(scope="module")
def handmade(tmp_path_factory):
    folder = tmp_path_factory.mktemp("handmade") / "version"
    write_handmade(folder)
    return folder


@pytest.fixture
def registry(tmp_path):
    return Registry(tmp_path / "versions")


def stage(registry, handmade):
    """A staged copy of the handmade version."""
    return shutil.copytree(handmade, registry.staging())


def sign(folder):
    """Make the manifest name the files as they are now."""
    hashes = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in FILES[:-1]}
    (folder / "manifest.json").write_text(json.dumps(hashes))


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_version_reads_back_as_it_was_written(tmp_path):
    spec = replace(SPEC, running=RunningRule("speed", 2.5))
    card = make_card(spec, seed=3, software={"python": "3"})
    rows = np.arange(6, dtype=np.float32).reshape(2, 3)
    golden = Golden(rows, rows[:, :1] / 7)
    write_version(tmp_path / "v", card=card, keras=b"k", onnx=b"o", golden=golden)

    found = read_version(tmp_path / "v", number=4)

    assert found.card == card
    assert (found.number, found.onnx) == (4, b"o")
    np.testing.assert_array_equal(found.golden.rows, golden.rows)
    np.testing.assert_array_equal(found.golden.outputs, golden.outputs)


@pytest.fixture
def normal():
    level = AlarmLevel(3.5, 3.0, 4.0, 1 / 2191, 4000.0, False, "by episodes", 2, 0.8)
    moved = (MovedSensor("load", 20.0, 29.0, 1.5),)
    return NormalCard(
        spec=SPEC,
        features=("load.mean.6h",),
        sensors=("load", "heat"),
        groups=(("load",), ("heat",)),
        method="by hand",
        level=level,
        usual=(0.5, 0.25),
        levels=(20.0, 60.0),
        taught=Teaching(900, 3, "2026-01-01", "2026-03-01", (("off", 12),)),
        checks={"episodes": 2.0},
        moved=moved,
    )


def test_a_normal_reads_back_as_it_was_written_and_is_no_version_of_failures(tmp_path, normal):
    registry = Registry(tmp_path / "versions")
    golden = Golden(np.ones((2, 1), np.float32), np.array([[1, 2, np.nan]] * 2, np.float32))
    write_normal(registry.staging(), card=normal, onnx=b"o", golden=golden)
    registry.publish(registry.folder / ".staging", 7)

    found = registry.load_normal(7)

    assert found.card == normal
    assert (found.number, found.onnx) == (7, b"o")
    np.testing.assert_array_equal(found.golden.outputs, golden.outputs)
    assert sorted(contents(registry.path(7))) == sorted(NORMAL_FILES)
    with pytest.raises(BadVersion, match=r"model\.keras: not a whole version"):
        registry.load(7)


@pytest.mark.parametrize("name", ["model.onnx", "card.json", "golden.npz"])
def test_a_normal_that_was_changed_is_refused(tmp_path, normal, name):
    golden = Golden(np.ones((2, 1), np.float32), np.ones((2, 3), np.float32))
    write_normal(tmp_path / "v", card=normal, onnx=b"o", golden=golden)
    (tmp_path / "v" / name).write_bytes(b"x")

    with pytest.raises(BadVersion, match="changed since it was published"):
        read_normal(tmp_path / "v", number=1)


def test_a_card_from_before_there_was_memory_remembers_nothing(handmade, tmp_path):
    folder = tmp_path / "old"
    shutil.copytree(handmade, folder)
    card = json.loads((folder / "card.json").read_text())
    for name in ("life", "change", "scaled_change", "beginning_ns", "smooth_ns"):
        del card["spec"][name]
    (folder / "card.json").write_text(json.dumps(card))
    sign(folder)

    spec = read_version(folder, number=1).card.spec
    assert not spec.remembers
    assert spec == read_version(handmade, number=1).card.spec


def test_a_published_version_is_what_was_staged(registry, handmade):
    before = contents(handmade)
    registry.publish(stage(registry, handmade), 1)

    assert contents(registry.path(1)) == before
    assert registry.keras_bytes(1) == before["model.keras"]
    assert registry.digest(1) == hashlib.sha256(before["manifest.json"]).hexdigest()
    assert sorted(path.name for path in registry.folder.iterdir()) == ["000001"]


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_refused_by_name(registry, handmade, name):
    registry.publish(stage(registry, handmade), 1)
    (registry.path(1) / name).unlink()

    with pytest.raises(BadVersion, match=name):
        registry.load(1)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("kept", [0.0, 0.5])
def test_a_truncated_file_is_refused_by_name(registry, handmade, name, kept):
    registry.publish(stage(registry, handmade), 1)
    path = registry.path(1) / name
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])

    with pytest.raises(BadVersion, match=name):
        registry.load(1)


@pytest.mark.parametrize("name", FILES[:-1])
def test_a_single_flipped_bit_is_refused_by_name(registry, handmade, name):
    registry.publish(stage(registry, handmade), 1)
    path = registry.path(1) / name
    for place in np.random.default_rng(0).integers(0, path.stat().st_size, 20).tolist():
        good = path.read_bytes()
        path.write_bytes(good[:place] + bytes([good[place] ^ 1]) + good[place + 1 :])

        with pytest.raises(BadVersion, match=name):
            registry.load(1)
        path.write_bytes(good)


@pytest.mark.parametrize("manifest", ["[]", "7", "{}", '"model.onnx"', "null", "{", "\udcff"])
def test_a_manifest_that_names_nothing_is_refused(registry, handmade, manifest):
    registry.publish(stage(registry, handmade), 1)
    text = manifest.encode("utf-8", "surrogateescape")
    (registry.path(1) / "manifest.json").write_bytes(text)

    with pytest.raises(BadVersion, match="000001"):
        registry.load(1)


def test_a_version_that_is_not_there_is_refused(registry):
    with pytest.raises(BadVersion, match="000009"):
        registry.load(9)
    with pytest.raises(BadVersion, match="000009"):
        registry.keras_bytes(9)
    with pytest.raises(BadVersion, match="000009"):
        registry.digest(9)


class Bomb:
    """Says so when it is unpickled."""

    def __reduce__(self):
        return (pytest.fail, ("a stored object was unpickled",))


@pytest.mark.parametrize("array", ["rows", "outputs"])
def test_nothing_is_unpickled(registry, handmade, array):
    staged = stage(registry, handmade)
    arrays = {"rows": np.zeros((1, 1)), "outputs": np.zeros((1, 1))}
    arrays[array] = np.array([Bomb()], dtype=object)
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    (staged / "golden.npz").write_bytes(buffer.getvalue())
    sign(staged)
    registry.publish(staged, 1)

    with pytest.raises(BadVersion, match="golden rows"):
        registry.load(1)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("card.json", b"{}"),
        ("card.json", b"no card"),
        ("golden.npz", b"no archive"),
        ("golden.npz", b"PK\x03\x04 cut off"),
    ],
)
def test_a_signed_file_that_makes_no_sense_is_refused(registry, handmade, name, content):
    staged = stage(registry, handmade)
    (staged / name).write_bytes(content)
    sign(staged)
    registry.publish(staged, 1)

    with pytest.raises(BadVersion, match="000001"):
        registry.load(1)


def test_publishing_a_broken_version_changes_nothing(registry, handmade):
    registry.publish(stage(registry, handmade), 1)
    before = contents(registry.path(1))
    staged = stage(registry, handmade)
    (staged / "model.onnx").write_bytes(b"another graph")

    with pytest.raises(BadVersion, match=r"model\.onnx"):
        registry.publish(staged, 2)
    assert not registry.path(2).exists()
    assert contents(registry.path(1)) == before


def test_a_leftover_folder_of_the_number_is_replaced(registry, handmade):
    left = registry.path(1)
    left.mkdir()
    (left / "model.keras").write_bytes(b"half a version")
    (left / "stray").write_bytes(b"")

    registry.publish(stage(registry, handmade), 1)

    assert contents(left) == contents(handmade)


def test_staging_is_empty_on_every_call(registry):
    staged = registry.staging()
    staged.mkdir()
    (staged / "model.keras").write_bytes(b"of a trainer that died")

    assert not registry.staging().exists()


def test_what_no_row_names_is_removed(registry, handmade):
    for number in (1, 2, 3):
        registry.publish(stage(registry, handmade), number)
    stage(registry, handmade)
    (registry.folder / "stray.txt").write_text("")

    gone = registry.remove_unnamed([1, 3])

    assert gone == [".staging", "000002"]
    left = sorted(path.name for path in registry.folder.iterdir())
    assert left == ["000001", "000003", "stray.txt"]
