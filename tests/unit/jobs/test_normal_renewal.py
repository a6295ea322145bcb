from dataclasses import replace
from datetime import timedelta

import pytest
from factories import NOW, SPEC
from normals import make_normal_card

from pm_app.jobs.normality.learner import reason_to_renew
from pm_app.records.normality import MovedSensor

CARD = make_normal_card(SPEC)


def level(**changes):
    return {"level": replace(CARD.level, **changes)}


def test_the_same_again_is_kept():
    assert reason_to_renew(CARD, CARD, now=NOW) == ""
    assert reason_to_renew(CARD, replace(CARD, **level(healthy_hours=1249.0)), now=NOW) == ""


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"sensors": CARD.sensors[:2]}, "sensors are others"),
        ({"spec": replace(SPEC, smooth_ns=(3600,))}, "features or method"),
        ({"method": "another"}, "features or method"),
        ({"limits": (("sensor-0", 0.0, None),)}, "the physical limits"),
        ({"moved": (MovedSensor("sensor-0", 50.0, 60.0, 2.0),)}, "1 sensors moved"),
        (level(healthy_hours=1250.0), "learned from 1,250 h of health, before 1,000 h"),
        (level(persistence=3), "the rule of alarms"),
        (level(clear=0.5), "the rule of alarms"),
        (level(false_alarms_per_hour=1.0), "the budget"),
    ],
)
def test_what_is_another_is_renewed(changes, why):
    assert why in reason_to_renew(CARD, replace(CARD, **changes), now=NOW)


def test_what_is_a_month_old_is_confirmed():
    assert "30 days old" in reason_to_renew(CARD, CARD, now=NOW + timedelta(days=30))
    assert reason_to_renew(CARD, CARD, now=NOW + timedelta(days=29)) == ""
