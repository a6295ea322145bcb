"""Lines that repeat: a few are written, and how many were not is told."""

import logging

import pytest

from pm_app.web.log_limit import RepeatLimit


class Later:
    """What is to be done later, done when it is asked for."""

    def __init__(self):
        self.acts = []

    def __call__(self, seconds, act):
        self.acts.append((seconds, act))


class Lines(logging.Handler):
    def __init__(self):
        super().__init__()
        self.lines = []

    def emit(self, record):
        self.lines.append(record.getMessage())


@pytest.fixture
def limited():
    """A logger, what it wrote, what is to come, and its clock."""
    now, later, written = [0.0], Later(), Lines()
    written.addFilter(RepeatLimit(3, 60, clock=lambda: now[0], later=later))
    root = logging.getLogger()
    root.addHandler(written)
    yield logging.getLogger("server"), written.lines, later.acts, now
    root.removeHandler(written)


def test_of_lines_that_repeat_a_few_are_written_and_the_rest_counted(limited):
    log, lines, acts, now = limited
    for number in range(1000):
        log.warning("broken request from %d", number)
    log.warning("something else")

    assert lines == [*(f"broken request from {n}" for n in range(3)), "something else"]
    ((seconds, tell),) = acts
    tell()
    assert seconds == 60 and lines[-1] == (
        "997 more lines like this were held back: broken request from 3"
    )


def test_what_comes_seldom_is_always_written(limited):
    log, lines, acts, now = limited
    for number in range(20):
        now[0] = 61.0 * number
        log.warning("once in a while")

    assert len(lines) == 20 and not acts


def test_after_a_while_a_few_are_written_again(limited):
    log, lines, acts, now = limited

    def flood():
        for _ in range(9):
            log.warning("again")

    flood()
    now[0] = 60.0
    acts[-1][1]()
    flood()

    assert lines.count("again") == 6
