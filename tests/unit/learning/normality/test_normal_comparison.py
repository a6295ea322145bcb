"""Normals held against those before: a slow fault does not become normal."""

import numpy as np
import pytest
from unit.learning.normality.quiet_plants import learn, learn_again, quiet_frame

TEMPERATURE = 3


def rising(kelvin_a_day):
    def harm(values, hours):
        values[TEMPERATURE] += kelvin_a_day * hours / 24

    return harm


def rows_until(frame, day, first_day=0):
    hours = (frame.cutoff - frame.cutoff.min()) / 3.6e12
    return (hours <= 24 * day) & (hours > 24 * first_day)


def test_what_has_not_moved_is_published():
    frame = quiet_frame(assets=2, days=30)
    first = learn(frame, rows_until(frame, 20))
    again = learn_again(frame, rows_until(frame, 30), before=first.card)

    assert first.publish and first.card.moved == ()
    assert again.publish, again.reason
    assert again.card.anchor == first.card.anchor


def test_a_fault_that_creeps_by_small_steps_asks_a_person():
    frame = quiet_frame(assets=2, days=50, harm=rising(0.1))
    card = learn(frame, rows_until(frame, 20)).card
    answers = []
    for day in range(26, 51, 6):
        learned = learn_again(frame, rows_until(frame, day, day - 20), before=card)
        answers.append(learned.publish)
        card = learned.card if learned.publish else card

    assert not answers[-1]
    assert {each.sensor for each in learned.card.moved} >= {"temperature"}
    (moved,) = [each for each in learned.card.moved if each.sensor == "temperature"]
    assert moved.now - moved.before == pytest.approx(0.1 * 30, rel=0.5)
    assert "waits for a person" in learned.reason and "temperature +" in learned.reason


def test_what_a_person_accepted_is_what_later_normals_are_held_against():
    frame = quiet_frame(assets=2, days=50, harm=rising(0.1))
    first = learn(frame, rows_until(frame, 20)).card
    accepted = learn_again(frame, rows_until(frame, 50, 30), before=first)
    later = learn_again(frame, rows_until(frame, 50, 30), before=accepted.card)

    assert not accepted.publish
    assert later.publish and later.card.anchor == accepted.card.centres
    assert np.isfinite(later.card.usual).all()
