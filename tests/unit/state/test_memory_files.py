"""Memory on disk: what is put is there again, whole, for the spec that made it only."""

import shutil
from dataclasses import replace

import numpy as np
import pytest

from pm_app.records.features import FeatureSpec
from pm_app.records.memory import MEMORY_KEYS, MEMORY_STATISTICS, Memory
from pm_app.state import memory as memories_module
from pm_app.state.memory import Memories, StoredMemory, join_stored_memory

SPEC = FeatureSpec(("load", "vibration"), 10**9, (10**9,), (), (), None, smooth_ns=(5 * 10**9,))


def make_kept(*assets: str, boundary: int = 128, seed: int = 0, sequence: int = 7) -> StoredMemory:
    rng = np.random.default_rng(seed)
    size = len(assets)
    keys = (rng.integers(0, 100, size) for _ in range(3))
    traces = (rng.normal(size=(size, 3, 2)) for _ in range(3))
    extremes = np.where(rng.random((2, size, 2)) < 0.3, np.inf, rng.normal(size=(2, size, 2)))
    memory = Memory(assets, np.full(size, boundary), *keys, *traces, *extremes)
    return StoredMemory(memory, np.full(size, sequence), np.full(size, "digest", dtype=object))


def opened(folder, spec=SPEC) -> Memories:
    memories = Memories(folder)
    memories.open(spec, block_panes=128)
    return memories


def facts(kept):
    columns = [getattr(kept.memory, name) for name in MEMORY_KEYS + MEMORY_STATISTICS]
    arrays = [(array.shape, array.tobytes()) for array in (*columns, kept.sequence)]
    return kept.memory.assets, arrays, kept.digest.tolist()


def test_what_is_put_is_read_again_to_the_bit(tmp_path):
    kept = make_kept("a", "b", "c")
    writer = opened(tmp_path)
    writer.put(128, kept)
    writer.flush()

    again = opened(tmp_path)
    assert again.boundaries() == [128]
    assert facts(again.read(128)) == facts(kept)
    assert again.read(256) is None


def test_what_is_put_takes_the_place_of_what_its_assets_had(tmp_path):
    memories = opened(tmp_path)
    memories.put(128, make_kept("a", "c", seed=1))
    memories.flush()
    fresh = make_kept("b", "c", seed=2, sequence=9)
    memories.put(128, fresh)
    memories.flush()

    found = opened(tmp_path).read(128)
    expected = join_stored_memory([make_kept("a", "c", seed=1).take(np.array([0])), fresh])
    assert found.memory.assets == ("a", "b", "c")
    assert facts(found) == facts(expected)


def test_what_is_not_flushed_yet_can_be_read(tmp_path):
    memories = opened(tmp_path)
    memories.put(128, make_kept("a"))

    assert memories.read(128).memory.assets == ("a",)
    assert opened(tmp_path).read(128) is None


def test_more_than_fits_is_written_and_let_go_of(tmp_path, monkeypatch):
    monkeypatch.setattr(memories_module, "MOST_CELLS", 40)
    memories = opened(tmp_path)
    for number in range(1, 6):
        memories.put(128 * number, make_kept("a", boundary=128 * number, seed=number))
    memories.flush()

    for number in range(1, 6):
        expected = make_kept("a", boundary=128 * number, seed=number)
        assert facts(memories.read(128 * number)) == facts(expected)


@pytest.mark.parametrize("at", [0.0, 0.2, 0.4, 0.6, 0.8, 0.99])
def test_a_damaged_file_is_no_memory(tmp_path, at):
    memories = opened(tmp_path)
    memories.put(128, make_kept(*(f"asset-{number:03d}" for number in range(100))))
    memories.flush()
    path = next(memories.folder.glob("*.parquet"))
    content = bytearray(path.read_bytes())
    for place in range(int(at * len(content)), min(int(at * len(content)) + 40, len(content))):
        content[place] ^= 0xFF
    path.write_bytes(content)

    assert opened(tmp_path).read(128) is None


def test_another_spec_finds_nothing_and_leaves_nothing(tmp_path):
    memories = opened(tmp_path)
    memories.put(128, make_kept("a"))
    memories.flush()
    other = opened(tmp_path, replace(SPEC, smooth_ns=(6 * 10**9,)))

    assert other.boundaries() == []
    assert len(list(tmp_path.iterdir())) == 1
    assert opened(tmp_path).boundaries() == []


def test_codes_and_windows_do_not_make_another_memory(tmp_path):
    memories = opened(tmp_path)
    memories.put(128, make_kept("a"))
    memories.flush()
    alike = replace(SPEC, windows_ns=(3 * 10**9,), error_codes=("trip",), clock="UTC")

    assert opened(tmp_path, alike).boundaries() == [128]


def test_a_file_half_written_when_the_power_failed_is_ignored(tmp_path):
    memories = opened(tmp_path)
    (memories.folder / ".256.parquet.tmp").write_bytes(b"PAR1")

    assert opened(tmp_path).boundaries() == []


def test_a_folder_that_was_deleted_meanwhile_is_made_again(tmp_path):
    memories = opened(tmp_path)
    memories.put(128, make_kept("a"))
    memories.flush()
    shutil.rmtree(tmp_path)
    memories.put(256, make_kept("b", boundary=256))
    memories.flush()

    assert opened(tmp_path).boundaries() == [256]
