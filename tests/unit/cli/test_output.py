"""Progress of long work where nobody looks at a terminal."""

import threading

from pm_app.cli import output

SECONDS = 20.0  # far more than a line takes


class Lines:
    """Standard error of a pipe that says when so many lines came."""

    def __init__(self, count):
        self.text, self.count, self.enough = "", count, threading.Event()

    def write(self, text):
        self.text += text
        if self.text.count("\n") >= self.count:
            self.enough.set()

    def flush(self):
        pass


def test_long_work_says_line_by_line_how_far_it_is_where_stderr_is_no_terminal(monkeypatch):
    stderr = Lines(3)
    monkeypatch.setattr(output.sys, "stderr", stderr)

    with output.progress_bar("retrain", minute=0.01) as progress:
        progress(0.25, "training 3 of 12 networks")
        assert stderr.enough.wait(SECONDS)

    lines = stderr.text.splitlines()
    assert lines[-1] == "retrain: 25 % after 0 s: training 3 of 12 networks"


def test_work_shorter_than_a_minute_says_nothing(capsys):
    with output.progress_bar("retrain") as progress:
        progress(0.9, "nearly there")

    assert capsys.readouterr() == ("", "")
