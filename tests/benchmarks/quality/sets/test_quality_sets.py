"""What the quality benchmark reads and parts: the robot's file with its traps, and its stops."""

import numpy as np
import pytest
from benchmarks.quality.models.peers import life_question, risk_question
from benchmarks.quality.sets.robot import FOLDS, UR3, read_robot

from pm_app.times import HOUR_NS

HEADER = "Num;Timestamp;Current_J0;Speed_J0;cycle ;Robot_ProtectiveStop;grip_lost;;"


def write_robot(folder, stops):
    """A file as published: decimal commas, quoted stamps, a row a second, None unlabelled."""
    lines = [HEADER]
    for second, stop in enumerate(stops):
        stamp = f"2022-10-26T08:17:{second:02d}.847Z"
        stamp = f'"""{stamp}"""' if second % 2 else stamp
        current, told = ("", "") if stop is None else (f"-1,5E-{second}", str(stop))
        lines.append(f"{second};{stamp};{current};0,25;1;{told};False;;")
    path = folder / "robot.csv"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def blocks(open_data, tmp_path_factory):
    """The folds of the robot's day."""
    return list(UR3.folds(open_data, tmp_path_factory.mktemp("robot")))


def test_a_stop_is_a_failure_where_it_begins_and_repaired_where_it_ends(tmp_path):
    stops = [False, True, True, None, True, False, False, True, None, False]
    _, events = read_robot(write_robot(tmp_path, stops))
    seconds = [moment.second for moment in events["timestamp"].to_pylist()]

    assert list(zip(events["kind"].to_pylist(), seconds, strict=True)) == [
        ("failure", 1),
        ("failure", 7),
        ("maintenance", 5),
        ("maintenance", 9),
    ]


def test_labels_and_running_numbers_are_no_sensors(tmp_path):
    readings, _ = read_robot(write_robot(tmp_path, [False, None, True]))

    assert readings.column_names == ["asset_id", "timestamp", "Current_J0", "Speed_J0"]
    assert readings["Current_J0"].to_pylist() == [-1.5, None, -1.5e-2]
    assert readings["timestamp"].null_count == 0


def test_a_block_is_judged_by_what_came_before_it(blocks):
    for fold in blocks:
        first = fold.frame.cutoff[fold.split.test].min()
        learn = fold.learn
        end = fold.frame.cutoff[learn] + HOUR_NS * fold.labels.duration_hours[learn]

        assert end.max() < first
        assert fold.labels.usable[fold.split.test].all()
        assert np.isfinite(fold.labels.fails_within(UR3.task.horizon_hours)[fold.split.test]).all()


def test_every_later_stop_is_judged_once(blocks):
    judged = [np.unique(fold.labels.life[fold.split.test]) for fold in blocks]

    assert len(blocks) == FOLDS
    assert len(np.concatenate(judged)) == len(np.unique(np.concatenate(judged))) == 54


def test_a_peer_learns_from_all_three_parts_and_never_from_the_judged(blocks):
    fold = blocks[0]
    for question in (risk_question(fold, UR3.task), life_question(fold, UR3.task)):
        rows = [len(pair[1]) for pair in (question.fit, question.held, question.every)]

        # Lives that fail near the end of what is known are left out where survivors are.
        assert rows[0] + rows[1] <= rows[2] <= len(fold.learn) < 1.01 * rows[2]
        assert np.isfinite(question.every[1]).all()
    assert set(np.unique(risk_question(fold, UR3.task).every[1])) == {0.0, 1.0}
    assert life_question(fold, UR3.task).every[1].max() == pytest.approx(UR3.task.cap_hours)
