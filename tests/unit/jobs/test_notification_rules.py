"""What is told of alarms, and when it is not."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pm_app.errors import BadSettings
from pm_app.jobs.operations.notifications import message_of, order_of, quiet_until
from pm_app.settings.plant import parse_settings
from pm_app.store import OutboxRow
from pm_app.wording import address_text

DAY = datetime(2026, 3, 1, tzinfo=UTC)


MODES = {"bearing": {"action": "Check lubrication; order 6310-2Z"}, "seal": {}}
OF_BEARING = {"mode": "bearing", "mode_risks": '{"bearing": 0.6, "seal": 0.1}'}


def plant(quiet="", zone="UTC", **more):
    given = {"plant": {"name": "Line 3", "timezone": zone}, "modes": MODES}
    return parse_settings(
        {**given, "notifications": {"quiet": quiet, **more}}, folder=Path(), origin="plant.toml"
    )


def news(asset="pump-1", risk=0.7, **more) -> OutboxRow:
    fields = {
        "id": 1,
        "channel": "message 1",
        "created_at": DAY,
        "due_at": DAY,
        "attempts": 0,
        "error": "",
        "alarm_id": 7,
        "kind": "risk",
        "asset_id": asset,
        "state": "unacknowledged",
        "raised_at": DAY,
        "horizon_hours": 72.0,
        "risk": risk,
        "threshold": 0.5,
        "reason": "alarms.threshold",
        "top_sensors": "vibration 62 %",
        "mode": None,
        "mode_risks": None,
        "likeliest_mode": None,
        "deviation": None,
        "rul_hours": 100.0,
        "rul_low_hours": 50.0,
        "rul_high_hours": 150.0,
    }
    return OutboxRow(**{**fields, **more})


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


@pytest.mark.parametrize(
    ("zone", "now", "until"),
    [
        ("UTC", "2026-03-01T21:59+00:00", None),
        ("UTC", "2026-03-01T22:00+00:00", "2026-03-02T06:00+00:00"),
        ("UTC", "2026-03-02T05:59+00:00", "2026-03-02T06:00+00:00"),
        ("UTC", "2026-03-02T06:00+00:00", None),
        ("Asia/Tokyo", "2026-03-01T13:30+00:00", "2026-03-02T06:00+09:00"),
        # The night in which spring takes an hour, and the one in which autumn gives it back.
        ("Europe/Berlin", "2026-03-28T22:30+01:00", "2026-03-29T06:00+02:00"),
        ("Europe/Berlin", "2026-10-25T02:30+01:00", "2026-10-25T06:00+01:00"),
        ("Europe/Berlin", "2026-10-24T23:00+02:00", "2026-10-25T06:00+01:00"),
    ],
)
def test_quiet_hours_are_those_of_the_plants_clock(zone, now, until):
    found = quiet_until(plant("22:00-06:00", zone), at(now))

    assert found == (None if until is None else at(until))


def test_quiet_hours_of_one_day_end_on_it():
    settings = plant("12:00-13:00")

    assert quiet_until(settings, at("2026-03-01T12:30+00:00")) == at("2026-03-01T13:00+00:00")
    assert quiet_until(settings, at("2026-03-01T11:59+00:00")) is None
    assert quiet_until(plant(), at("2026-03-01T12:30+00:00")) is None


def test_a_message_says_what_a_person_needs():
    title, body = message_of([news()], plant(zone="Europe/Berlin"))

    assert title == "Line 3: alarm, pump-1"
    assert body == (
        "pump-1: risk 70 % within 72 h; life left 4.2 d (2.1 d to 6.2 d); driven by "
        "vibration 62 %; since 2026-03-01 01:00 Europe/Berlin"
    )


@pytest.mark.parametrize(
    ("likeliest", "words"),
    [
        ("bearing", ("; failure mode bearing; ", "Z; next step: Check lubrication; order 6310-2Z")),
        ("seal", ("; failure mode seal now, bearing when it was raised; ", " 00:00 UTC")),
    ],
)
def test_a_message_names_the_failure_mode_and_what_is_to_be_done(likeliest, words):
    _, body = message_of([news(**OF_BEARING, likeliest_mode=likeliest)], plant())

    assert words[0] in body
    assert body.endswith(words[1].removeprefix("Z"))


OF_DEVIATION = {
    "kind": "deviation",
    "deviation": 1.31,
    "threshold": 1.0,
    "top_sensors": "bearing_temp +9.1 (71 %)",
}


def test_a_message_on_a_deviation_names_the_sensors_and_no_risk():
    lifeless = dict.fromkeys(("rul_hours", "rul_low_hours", "rul_high_hours"))
    title, body = message_of([news(risk=None, **OF_DEVIATION, **lifeless)], plant())

    assert title == "Line 3: alarm, pump-1"
    assert body == (
        "pump-1 does not behave as it used to: bearing_temp +9.1 (71 %) (deviation 1.3); "
        "since 2026-03-01 00:00 UTC"
    )


def test_risks_are_told_before_deviations_and_these_before_what_is_of_the_plant():
    of_plant = news("", None, kind="data", reason="3 assets: a, b, c", top_sensors="")
    deviations = [
        news(name, None, **OF_DEVIATION | {"deviation": deviation})
        for name, deviation in (("pump-3", 1.2), ("pump-2", 4.0))
    ]
    _, body = message_of([of_plant, *deviations, news("pump-9", 0.01)], plant())

    assert [line.split()[0] for line in body.splitlines()] == [
        "pump-9:",
        "pump-2",
        "pump-3",
        "Readings",
    ]


def test_an_order_says_what_kind_of_alarm_it_is_for():
    import json

    told = json.loads(order_of(news(risk=None, **OF_DEVIATION), plant()))

    assert (told["kind"], told["risk"], told["deviation"]) == ("deviation", None, 1.31)
    assert told["driven_by"] == "bearing_temp +9.1 (71 %)"


def test_a_flood_is_one_message_the_riskiest_first():
    title, body = message_of([news(f"pump-{n:02d}", n / 100) for n in range(50)], plant())

    lines = body.splitlines()
    assert title == "Line 3: 50 alarms"
    assert lines[0].startswith("pump-49") and lines[19].startswith("pump-30")
    assert lines[20:] == ["and 30 more: pm-app alarms lists them"]


def test_how_it_stands_now_is_told():
    _, body = message_of([news(state="returned")], plant())

    assert body.endswith("(returned to normal since)")


def test_missing_readings_are_told_by_their_own_words():
    title, body = message_of(
        [news("", None, kind="data", reason="3 assets: a, b, c", top_sensors="")], plant()
    )

    assert title == "Line 3: alarm, readings missing"
    assert body.startswith("Readings missing: 3 assets: a, b, c")


def test_an_order_names_the_alarm_and_holds_plain_figures():
    import json

    told = json.loads(order_of(news(), plant()))

    assert (told["alarm"], told["asset"], told["risk"]) == (7, "pump-1", 0.7)
    assert told["life_left_hours"] == 100.0 and told["plant"] == "Line 3"
    assert (told["mode"], told["mode_risks"], told["action"]) == (None, None, "")


def test_an_order_names_the_failure_mode_its_risks_and_what_is_to_be_done():
    import json

    told = json.loads(order_of(news(**OF_BEARING, likeliest_mode="bearing"), plant()))

    assert (told["mode"], told["action"]) == ("bearing", "Check lubrication; order 6310-2Z")
    assert told["mode_risks"] == {"bearing": 0.6, "seal": 0.1}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"quiet": "22-6-1"}, "quiet hours look like"),
        ({"quiet": "25:00-06:00"}, "quiet hours look like"),
        ({"quiet": "06:00-06:00"}, "quiet hours look like"),
        ({"again": "often"}, "again"),
        ({"work_orders": "ftp://x"}, "begins with http"),
    ],
)
def test_settings_that_will_not_do_are_named(given, words):
    with pytest.raises(BadSettings, match=words):
        parse_settings({"notifications": given}, folder=Path(), origin="plant.toml")


def test_never_again_is_never():
    assert plant(again="never").notifications.again_after is None
    assert plant().notifications.again_after == timedelta(hours=4)


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("mailto://ann:secret@mail.example.com?to=x", "mailto://mail.example.com"),
        ("slack://T123/B456/secret", "slack://…"),
        ("json://user:secret@localhost:8000/token", "json://localhost"),
        ("http://[broken", "an address that cannot be read"),
    ],
)
def test_an_address_is_shown_without_what_is_secret(address, told):
    assert address_text(address) == told


def test_addresses_are_not_in_what_settings_show_of_themselves():
    settings = plant(urls=["mailto://ann:secret@mail.example.com"], work_orders="http://h/secret")

    assert "secret" not in repr(settings)
