"""A recorder at work: nothing lost, nothing twice, everything that stops told."""

import json
import os
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from instants import listening
from recorders.recording import SETTINGS, FileBroker, at, measured, recorded, recorder_in, rows_of

from connectors.parquet import ParquetReadings, ReadingsFormat
from pm_app.errors import SourceUnavailable, TransientError
from pm_app.jobs.record.batch import BatchFolder
from pm_app.jobs.record.buffer import Buffer, BufferFull
from pm_app.jobs.record.health import read_recorder_health, recorder_states
from pm_app.records.recording import FeedDelivery
from pm_app.settings.sources import ReadingsSettings


def drain(recorder, broker, *, start=0.0):
    """Turns, a second each, until everything is acknowledged."""
    second = start
    while broker.left():
        try:
            recorder.turn(at(second), wait=0.0)
        except TransientError as error:
            recorder.let_go(error, at(second))
        second += 1
    return second


def test_values_come_into_files_by_age_and_when_it_ends(tmp_path):
    values = [measured(number) for number in range(40)]
    broker = FileBroker(tmp_path / "broker", values)
    recorder = recorder_in(tmp_path, broker)

    end = drain(recorder, broker)
    files = len(list(tmp_path.rglob("*.parquet")))
    recorder.end(at(end))

    assert files == 1  # of the first ten seconds
    assert recorded(tmp_path) == rows_of(values)
    assert recorder.health.recorded == 40 and recorder.health.files == 2
    assert not list(tmp_path.rglob("*.journal"))


def test_a_file_is_completed_once_it_is_large(tmp_path):
    broker = FileBroker(tmp_path / "broker", [measured(n) for n in range(40)], at_once=40)
    recorder = recorder_in(tmp_path, broker, SETTINGS.model_copy(update={"most_values": 40}))

    recorder.turn(at(0), wait=0.0)
    recorder.turn(at(0.1), wait=0.0)

    assert len(recorded(tmp_path)) == 40


def test_out_of_order_stamps_are_kept_and_those_that_share_one_too(tmp_path):
    values = [measured(n, second=second) for n, second in enumerate([9, 3, 5, 3, 3])]
    values += [measured(7, second=3, asset="p2"), measured(8, second=3, sensor="temp")]
    broker = FileBroker(tmp_path / "broker", values, at_once=9)
    recorder = recorder_in(tmp_path, broker)

    recorder.end(at(drain(recorder, broker)))

    assert recorded(tmp_path) == rows_of(values)
    source = ParquetReadings(str(tmp_path / "readings"))
    chunks = [chunk for batch in source.list() for chunk in source.read(batch)]
    assert sum(int((chunk.readings.values == chunk.readings.values).sum()) for chunk in chunks) == 7
    assert not [rejection for chunk in chunks for rejection in chunk.rejections]


def test_long_files_keep_what_is_not_good_for_the_reader_to_refuse(tmp_path):
    values = [measured(1), replace(measured(2), quality="BadNoCommunication", value=float("nan"))]
    broker = FileBroker(tmp_path / "broker", values)
    recorder = recorder_in(tmp_path, broker, readings=ReadingsSettings(layout="long"))

    recorder.end(at(drain(recorder, broker)))

    source = ParquetReadings(str(tmp_path / "readings"), ReadingsFormat(layout="long"))
    (chunk,) = source.read(next(source.list()))
    assert chunk.readings.values.tolist() == [[1.0]]
    (rejection,) = chunk.rejections
    assert rejection.reason == "quality is not good (BadNoCommunication)"


def test_wide_files_leave_out_what_is_not_good_and_count_it(tmp_path):
    values = [measured(1), replace(measured(2), quality="BadNoCommunication")]
    broker = FileBroker(tmp_path / "broker", values)
    recorder = recorder_in(tmp_path, broker)

    recorder.end(at(drain(recorder, broker)))

    assert recorded(tmp_path) == rows_of(values[:1])
    assert (recorder.health.recorded, recorder.health.not_good) == (1, 1)


def test_what_comes_again_unacknowledged_is_recognised_after_a_restart(tmp_path):
    broker = FileBroker(tmp_path / "broker", [measured(n) for n in range(3)])
    recorder = recorder_in(tmp_path, broker)
    recorder.turn(at(0), wait=0.0)
    recorder.buffer.close()
    # The broker has lost all word of ours.
    (tmp_path / "broker").write_text("")

    again = recorder_in(tmp_path, broker)
    again.end(at(drain(again, broker, start=1)))

    assert recorded(tmp_path) == rows_of(broker.values)
    assert again.health.repeated == 3


def test_what_a_device_sends_twice_is_recognised_after_a_restart_too(tmp_path):
    values = [measured(n, sensor=f"s{n % 2}") for n in range(9)]
    for _ in range(2):
        # Another broker each time: its numbers say nothing.
        broker = FileBroker(tmp_path / "broker", values)
        recorder = recorder_in(tmp_path, broker)
        recorder.end(at(drain(recorder, broker)))
        for path in tmp_path.glob("broker*"):
            path.unlink()

    assert recorded(tmp_path) == rows_of(values)
    assert recorder.health.repeated == 9


def test_what_comes_twice_at_once_counts_once(tmp_path):
    buffer = Buffer(tmp_path, most_bytes=10**6)

    done = buffer.append(
        [FeedDelivery((measured(1), measured(1)), key="1:x"), FeedDelivery((measured(1),), "2:x")],
        at(0),
    )

    assert (done.recorded, done.repeated) == (1, 2)


def test_a_message_that_says_the_same_under_another_number_is_news(tmp_path):
    alike = [replace(measured(5), time=measured(n).time) for n in range(4)]
    broker = FileBroker(tmp_path / "broker", alike)
    recorder = recorder_in(tmp_path, broker)

    recorder.end(at(drain(recorder, broker)))

    assert recorded(tmp_path) == rows_of(alike)


def test_what_was_kept_for_whoever_comes_counts_where_it_is_newer(tmp_path):
    buffer = Buffer(tmp_path, most_bytes=10**6)
    buffer.append([FeedDelivery((measured(5),))], at(0))

    old = buffer.append([FeedDelivery((measured(4),), newer_only=True)], at(1))
    new = buffer.append([FeedDelivery((measured(6),), newer_only=True)], at(1))

    assert (old.recorded, old.repeated, new.recorded) == (0, 1, 1)


def test_what_is_remembered_has_a_bound(tmp_path, monkeypatch):
    monkeypatch.setattr("pm_app.jobs.record.buffer.MOST_RECENT", 100)
    buffer = Buffer(tmp_path, most_bytes=10**9)
    for start in range(0, 500, 50):
        values = tuple(measured(n) for n in range(start, start + 50))
        buffer.append([FeedDelivery(values, key=f"{start}:x")], at(0))

    assert len(buffer._marks.recent) == 100
    assert len(buffer.newest) == 1


@given(cut=st.integers(1, 400))
def test_a_journal_that_is_cut_anywhere_keeps_every_whole_line(cut, tmp_path_factory):
    folder = tmp_path_factory.mktemp("cut")
    buffer = Buffer(folder, most_bytes=10**6)
    for number in range(10):
        buffer.append([FeedDelivery((measured(number),), key=f"{number}:x")], at(0))
    buffer.close()
    (journal,) = folder.glob("*.journal")
    content = journal.read_bytes()
    whole = content[: max(0, len(content) - cut)].count(b"\n")
    journal.write_bytes(content[: max(0, len(content) - cut)])

    kept = []
    Buffer(folder, most_bytes=10**6).rotate(lambda name, values: kept.extend(values))

    assert kept == [measured(number) for number in range(whole)]


def test_a_line_that_the_disk_has_changed_is_left_out_and_told(tmp_path):
    broker = FileBroker(tmp_path / "broker", [measured(n) for n in range(3)])
    recorder = recorder_in(tmp_path, broker)
    recorder.turn(at(0), wait=0.0)
    recorder.buffer.close()
    (journal,) = tmp_path.rglob("*.journal")
    journal.write_bytes(journal.read_bytes().replace(b"1.0", b"7.0"))

    again = recorder_in(tmp_path, broker)
    again.end(at(1))

    assert recorded(tmp_path) == rows_of([measured(0), measured(2)])
    assert again.health.damaged == 1


@pytest.mark.parametrize("step", ["append", "sync", "make file", "write", "rename", "remove"])
def test_a_disk_that_is_full_for_a_while_costs_nothing(tmp_path, step):
    values = [measured(number) for number in range(60)]
    broker = FileBroker(tmp_path / "broker", values)
    recorder = recorder_in(tmp_path, broker)
    turns = 0

    def full(instant):
        if instant.step == step and 12 < turns < 30 and not instant.site.endswith("write_health"):
            raise OSError(28, "No space left on device")

    with listening(full):
        while broker.left():
            turns += 1
            try:
                recorder.turn(at(turns), wait=0.0)
            except TransientError as error:
                assert "No space left on device" in str(error)
                recorder.let_go(error, at(turns))
    recorder.end(at(turns + 1))

    assert recorded(tmp_path) == rows_of(values)


def test_a_buffer_that_is_full_takes_no_more_and_says_so_until_files_can_be_written(tmp_path):
    values = [measured(number) for number in range(400)]
    broker = FileBroker(tmp_path / "broker", values, at_once=20)
    recorder = recorder_in(tmp_path, broker)
    recorder.buffer.most_bytes = 10_000
    (tmp_path / "readings").write_text("in the way")

    for second in range(60):
        try:
            recorder.turn(at(second), wait=0.0)
        except BufferFull as error:
            recorder.let_go(error, at(second))
    health = read_recorder_health(tmp_path / "state")
    left = len(broker.left())

    assert 0 < left < 400 and recorder.buffer.size_bytes <= 10_000
    assert "the buffer is full" in health.away
    assert "a file of that name is in the way" in health.full

    (tmp_path / "readings").unlink()
    recorder.end(at(drain(recorder, broker, start=60)))
    assert recorded(tmp_path) == rows_of(values)
    assert not recorder.health.full


def test_a_broker_that_comes_and_goes_costs_nothing(tmp_path):
    values = [measured(number) for number in range(60)]
    broker = FileBroker(tmp_path / "broker", values)
    recorder = recorder_in(tmp_path, broker)
    second = 0
    while broker.left():
        broker.away = second % 7 in (2, 3)
        try:
            recorder.turn(at(second), wait=0.0)
        except SourceUnavailable as error:
            recorder.let_go(error, at(second))
        second += 1
    recorder.end(at(second))

    assert recorded(tmp_path) == rows_of(values)
    assert broker.closed > 3


def test_the_same_journal_makes_the_same_file_twice(tmp_path):
    values = [measured(n, second=n % 7, sensor=f"s{n % 3}") for n in range(50)]

    for folder in ("a", "b"):
        BatchFolder(tmp_path / folder, ReadingsSettings()).write("20260101T000000Z-x", values)

    name = "2026-01-01/20260101T000000Z-x.parquet"
    assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_many_sensors_with_moments_of_their_own_need_little_memory_at_a_time(tmp_path, monkeypatch):
    monkeypatch.setattr("pm_app.jobs.record.batch._CELLS", 100)
    values = [measured(n, sensor=f"s{n}") for n in range(50)]

    BatchFolder(tmp_path, ReadingsSettings()).write("20260101T000000Z-x", values)

    assert recorded(tmp_path) == rows_of(values)


def states(tmp_path, second):
    folder = tmp_path / "plant" / "recorders"
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "line").exists():
        (folder / "line").symlink_to(tmp_path / "state")
    settings = {"line": SETTINGS}
    (state,) = recorder_states(tmp_path / "plant", settings, now=at(second))
    return state.troubles


def test_silence_of_any_kind_is_told(tmp_path):
    broker = FileBroker(tmp_path / "broker", [measured(0)])
    assert states(tmp_path, 0) == ("recorder line: has never run: pm-app record line starts it",)
    recorder = recorder_in(tmp_path, broker)
    recorder.turn(at(1), wait=0.0)
    assert states(tmp_path, 2) == ()

    recorder.note_health(at(1000), anyway=True)
    assert states(tmp_path, 1001) == (
        "recorder line: nothing that can be used came for 17 min, expected within 15min",
    )
    recorder.let_go(SourceUnavailable("mqtt://h: connection refused"), at(1010))
    assert states(tmp_path, 1100) == (
        "recorder line: records nothing for 90 s: mqtt://h: connection refused",
    )
    assert "hangs: nothing heard of process" in states(tmp_path, 1200)[0]
    recorder.end(at(1300))
    assert states(tmp_path, 1301) == ("recorder line: was stopped: pm-app record line starts it",)
    health = json.loads((tmp_path / "state" / "health.json").read_text())
    (tmp_path / "state" / "health.json").write_text(
        json.dumps(health | {"stopped": False, "process": 2**22 + os.getpid()})
    )
    assert "is gone: process" in states(tmp_path, 1302)[0]


def test_only_what_cannot_be_used_is_silence_with_an_example(tmp_path):
    class Rubbish(FileBroker):
        def take(self, seconds):
            return [FeedDelivery((), refused=("p/v: 'x': needed JSON",))]

    recorder = recorder_in(tmp_path, Rubbish(tmp_path / "broker", []))
    for second in (1, 2, 3):
        recorder.turn(at(second), wait=0.0)
    recorder.note_health(at(1000), anyway=True)

    assert states(tmp_path, 1001) == (
        "recorder line: nothing that can be used came for 17 min, expected within 15min; "
        "3 values were refused: p/v: 'x': needed JSON",
    )
