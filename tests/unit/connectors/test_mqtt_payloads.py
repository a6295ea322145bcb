"""Payloads of MQTT messages: values, their times, and what cannot be used."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.mqtt.payloads import MOST_BYTES, MOST_VALUES, PayloadRules, read_message
from pm_app.settings.recorders import read_pattern

ARRIVED = 1_700_000_000_000_000_000
RULES = PayloadRules(
    tuple(map(read_pattern, ("plant/{asset}/{sensor}", "box/{asset}", "fixed/{sensor}"))),
    time_keys=("timestamp", "ts"),
    value_keys=("value", "v"),
    asset="press 1",
    timezone="Europe/Berlin",
)


def read(topic, payload, rules=RULES):
    content = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return read_message(topic, content, rules, arrived=ARRIVED)


def found(topic, payload):
    values, refused, _ = read(topic, payload)
    assert refused == ()
    return [(v.asset, v.sensor, v.time, v.value) for v in values]


@pytest.mark.parametrize(
    ("topic", "payload", "expected"),
    [
        ("plant/p1/vib", 2.5, [("p1", "vib", ARRIVED, 2.5)]),
        ("plant/p1/vib", "2.5", [("p1", "vib", ARRIVED, 2.5)]),
        ("plant/p1/on", True, [("p1", "on", ARRIVED, 1.0)]),
        ("fixed/vib", 3, [("press 1", "vib", ARRIVED, 3.0)]),
        ("plant/p1/vib", {"value": 2, "ts": 5, "unit": "bar"}, [("p1", "vib", 5 * 10**9, 2.0)]),
        ("box/p1", {"a": 1, "b": None, "ts": 5}, [("p1", "a", 5 * 10**9, 1.0)]),
        (
            "box/p1",
            {"a": 1, "m": {"b": 2}, "value": 3},
            [("p1", "a", ARRIVED, 1), ("p1", "m.b", ARRIVED, 2), ("p1", "value", ARRIVED, 3)],
        ),
        ("plant/p1/m", {"a": 1}, [("p1", "m.a", ARRIVED, 1.0)]),
        (
            "box/p1",
            [{"a": 1, "ts": 5}, {"a": 2, "ts": 6}],
            [("p1", "a", 5 * 10**9, 1.0), ("p1", "a", 6 * 10**9, 2.0)],
        ),
        ("plant/p1/vib", None, []),
    ],
)
def test_a_payload_is_one_value_an_object_of_values_or_a_list(topic, payload, expected):
    assert found(topic, payload) == expected


@pytest.mark.parametrize(
    ("time", "nanoseconds"),
    [
        (1_700_000_000, 1_700_000_000 * 10**9),
        (1_700_000_000_123, 1_700_000_000_123 * 10**6),
        (1_700_000_000_123_456, 1_700_000_000_123_456 * 10**3),
        (1_700_000_000_123_456_789, 1_700_000_000_123_456_789),
        (1_700_000_000.25, 1_700_000_000_250_000_000),
        (1_700_000_000.123456, 1_700_000_000_123_456_000),
        ("1700000000123", 1_700_000_000_123_000_000),
        ("2023-11-14T22:13:20Z", 1_700_000_000 * 10**9),
        ("2023-11-14T23:13:20.5+01:00", 1_700_000_000_500_000_000),
        ("2023-11-14 23:13:20", 1_700_000_000 * 10**9),
        ("20231114T221320Z", 1_700_000_000 * 10**9),
    ],
)
def test_a_time_is_an_epoch_of_any_unit_or_an_iso_time(time, nanoseconds):
    assert found("plant/p1/vib", {"v": 1, "ts": time}) == [("p1", "vib", nanoseconds, 1.0)]


@pytest.mark.parametrize(
    ("topic", "payload", "reason"),
    [
        ("other/p1", 1, "fits none of the topics of the settings"),
        ("plant/p1/vib", b"\xff\xfe", "needed JSON"),
        ("plant/p1/vib", b"", "needed JSON"),
        ("plant/p1/vib", b"NaN", "needed a number, got 'nan'"),
        ("plant/p1/vib", b"1e999", "needed a number, got 'inf'"),
        ("plant/p1/vib", b"[" * 100_000, "needed JSON that is not nested so deep"),
        ("plant/p1/vib", b"1" * 5_000, "needed JSON"),
        ("plant/p1/vib", b'"' + b"x" * MOST_BYTES + b'"', "needed at most 1,000,000 bytes"),
        ("plant/p1/vib", "two", "needed a number, got 'two'"),
        ("plant/p1/vib", {"v": 1, "ts": "soon"}, "needed an ISO time, got 'soon'"),
        ("plant/p1/vib", {"v": 1, "ts": -5}, "needed a time from 1970 to 2262, got -5"),
        ("plant/p1/vib", {"v": 1, "ts": 1e300}, "needed a time from 1970 to 2262"),
        ("plant/p1/vib", {"v": 1, "ts": [1]}, "needed seconds, milliseconds or an ISO time"),
        ("plant/p1/vib", [1, 2], "needed a list of objects"),
        ("box/p1", 1, r"needed an object of values by sensor, or {sensor} in the topic"),
        ("box/p1", {"ts": 5}, "needed values, got an object without any"),
        ("box/p1", {"a": {"b": {"c": {"d": {"e": {"f": 1}}}}}}, "needed objects at most 5 deep"),
        ("box/p1", {f"s{n}": n for n in range(MOST_VALUES + 1)}, "needed at most 20,000 values"),
        ("box/\x07", {"a": 1}, "needed an asset of at most 500 printable characters"),
    ],
)
def test_what_cannot_be_used_is_refused_with_topic_payload_and_reason(topic, payload, reason):
    _, refused, _ = read(topic, payload)

    assert len(refused) == 1 and refused[0].startswith(f"{topic}: ") and reason in refused[0]
    assert len(refused[0]) < 700


def test_what_is_good_beside_what_is_not_is_used():
    values, refused, _ = read("box/p1", {"a": 1, "b": "off", "c": 3})

    assert [value.sensor for value in values] == ["a", "c"]
    assert len(refused) == 1 and "b: needed a number, got 'off'" in refused[0]


def test_a_time_without_a_zone_needs_one_in_the_settings():
    rules = PayloadRules((read_pattern("box/{asset}"),), ("ts",))

    _, refused, _ = read("box/p1", {"a": 1, "ts": "2023-11-14 23:13:20"}, rules)

    assert "needed a time with its zone, or timezone in the settings" in refused[0]


def test_whether_all_values_bear_a_time_of_their_own_is_noted():
    assert read("plant/p1/vib", {"v": 1, "ts": 5})[2]
    assert not read("plant/p1/vib", 1)[2]


NESTED = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)


@given(payload=NESTED | st.binary(max_size=40))
def test_whatever_comes_is_values_or_refused(payload):
    values, refused, _ = read("plant/p1/vib", payload)

    assert all(0 <= value.time < 2**63 and abs(value.value) < float("inf") for value in values)
    assert all(isinstance(reason, str) for reason in refused)
