"""Settings of recorders, and patterns of topics."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pm_app.errors import BadSettings
from pm_app.settings.plant import parse_settings
from pm_app.settings.recorders import read_pattern, secret_variable


def parse(**recorder):
    return parse_settings({"recorders": {"line-1": recorder}}, folder=Path(), origin="plant.toml")


@pytest.mark.parametrize(
    ("pattern", "topics", "name", "found"),
    [
        ("plant/{asset}/{sensor}", "plant/+/+", "plant/p1/vib", {"asset": "p1", "sensor": "vib"}),
        ("plant/{asset}/{sensor}", "plant/+/+", "plant/p1/vib/raw", None),
        ("l/+/{asset}/x/#", "l/+/+/x/#", "l/3/p1/x", {"asset": "p1"}),
        ("l/+/{asset}/x/#", "l/+/+/x/#", "l/3/p1/x/y/z", {"asset": "p1"}),
        ("pump-{asset}_x/s", "+/s", "pump-7_x/s", {"asset": "7"}),
        ("pump-{asset}_x/s", "+/s", "fan-7_x/s", None),
        ("a.b/{sensor}", "a.b/+", "aXb/s", None),
        ("#", "#", "any/thing", {}),
    ],
)
def test_a_pattern_finds_asset_and_sensor_in_a_name(pattern, topics, name, found):
    assert read_pattern(pattern).filter == topics
    assert read_pattern(pattern).match(name) == found


@given(st.text("ab+#{}$.\\ ", min_size=1, max_size=6), st.text("ab+#{}$.\\ ", max_size=6))
def test_a_name_that_a_pattern_was_made_of_is_found_again(asset, sensor):
    name = f"plant/{asset}/x{sensor}y"

    found = read_pattern("plant/{asset}/x{sensor}y").match(name)

    assert found == ({"asset": asset, "sensor": sensor} if sensor else None)


@pytest.mark.parametrize(
    ("recorder", "words"),
    [
        ({}, "topics must name some"),
        ({"topics": ["a/{sensor}"]}, r"'a/\{sensor\}' needs \{asset\}, or asset names the one"),
        ({"topics": ["a/{asset}/{tag}"]}, r"needed \{asset\} or \{sensor\} in braces, got 'tag'"),
        ({"topics": ["{asset}/{asset}"]}, "may each stand once"),
        ({"topics": ["a#/{asset}"]}, "stand for whole levels"),
        ({"topics": ["{asset}"], "nodes": {"i=1": "a/b"}}, "nodes is a key of kind 'opcua'"),
        ({"topics": ["{asset}"], "key": "k"}, "certificate and key go together"),
        ({"topics": ["{asset}"], "url": "opc.tcp://h"}, "must begin with mqtt:// or mqtts://"),
        ({"topics": ["{asset}"], "url": "mqtt://ann:secret@h"}, "must hold no keys or passwords"),
        ({"kind": "opcua", "url": "opc.tcp://h"}, "needed paths"),
        ({"kind": "opcua", "url": "opc.tcp://h", "paths": ["{asset}"]}, r"needs \{sensor\}"),
        ({"kind": "opcua", "url": "opc.tcp://h", "nodes": {"i=1": "a"}}, "given asset/sensor"),
        (
            {"kind": "opcua", "url": "opc.tcp://h", "nodes": {"i=1": "a/b"}, "security": "sign"},
            "needs certificate and key",
        ),
        ({"topics": ["{asset}"], "topicks": "a"}, "did you mean 'topics'"),
    ],
)
def test_what_a_recorder_cannot_use_is_told(recorder, words):
    with pytest.raises(BadSettings, match=words) as caught:
        parse(**recorder)

    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "recorder",
    [
        {"kind": "opcua", "url": "opc.tcp://plc:4840", "paths": ["Plant/{asset}/{sensor}"]},
        {"kind": "mqtt", "url": "mqtt://broker", "topics": ["{asset}/{sensor}"]},
    ],
)
def test_settings_with_a_recorder_can_be_handed_to_the_process_that_learns(recorder):
    settings = parse_settings({"recorders": {"line": recorder}}, folder=Path(), origin="a")

    dumped = settings.model_dump(mode="json", exclude={"store"})

    assert parse_settings(dumped, folder=Path(), origin="b").recorders == settings.recorders


def test_a_name_of_a_recorder_is_fit_for_a_folder_and_a_variable():
    topics = {"topics": ["{asset}"]}
    for names in (["../x"], ["a b"], ["a-b", "a_b"]):
        with pytest.raises(BadSettings, match="names of recorders"):
            parse_settings(
                {"recorders": dict.fromkeys(names, topics)}, folder=Path(), origin="plant.toml"
            )

    assert secret_variable("line-1", "PASSWORD") == "PM_APP_RECORDER_LINE_1_PASSWORD"
