"""Whatever stands in plant.toml: settings, or a sentence about what is wrong with it."""

import json
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import BaseModel

from pm_app.errors import BadSettings
from pm_app.settings.plant import Settings, parse_settings, read_settings

SECTIONS = {
    name: field.annotation
    for name, field in Settings.model_fields.items()
    if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)
}
KEYS = sorted((name, key) for name, section in SECTIONS.items() for key in section.model_fields)
SECRET = "hunter2"

odd_texts = st.one_of(
    st.text(max_size=30),
    st.sampled_from(
        ["", ".", "..", "/", "a\0b", "\x1b[2J", "1e999d", f"{10**30}d", "0s", "1 fortnight"]
        + ["99 * * * *", "* * * *", "Mars/Base", "..", "Europe", "x" * 2000, "s3://", "://", "[::1"]
        + ["http://[", "postgresql://", "sqlite:///a\0b", "sqlite://", "file:///", "२d", "𝟛d"]
    ),
)
values = st.recursive(
    st.one_of(
        odd_texts,
        st.booleans(),
        st.integers(),
        st.integers(min_value=2**63 - 3, max_value=2**64),
        st.floats(allow_nan=False, allow_infinity=False),
    ),
    lambda inner: st.lists(inner, max_size=4),
    max_leaves=8,
)


def told(path):
    """What is said of a file, "" where nothing is wrong."""
    try:
        read_settings(path)
    except BadSettings as error:
        return str(error)
    return ""


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return tmp_path_factory.mktemp("settings") / "plant.toml"


@given(st.dictionaries(st.sampled_from(KEYS), values, min_size=1, max_size=4))
def test_any_values_of_known_keys_are_settings_or_a_sentence(file, chosen):
    lines: dict[str, list[str]] = {}
    for (section, key), value in chosen.items():
        lines.setdefault(section, []).append(f"{key} = {json.dumps(value)}")
    text = "\n".join(f"[{name}]\n" + "\n".join(given) for name, given in lines.items())
    file.write_text(text, encoding="utf-8", errors="surrogatepass")
    said = told(file)

    assert len(said) < 4000
    assert "\n" not in said
    assert not said or said.startswith(str(file))


@given(st.binary(max_size=300))
@example(b"a = " + b"[" * 5000)
@example(b"a = " + b"9" * 5000)
@example(b"\xff\xfe\x00")
@example(b"[plant]\nname = '" + b"x" * 2_000_000 + b"'")
@example(b"[plant.name]\n[[plant]]\n")
@example(b"plant = 7\n")
@example(b"[features]\nwindows = {a = 1}\n")
def test_any_bytes_are_settings_or_a_sentence(file, content):
    file.write_bytes(content)
    said = told(file)

    assert not said or said.startswith(str(file))


@pytest.mark.parametrize(("section", "key"), KEYS)
def test_a_password_is_told_nowhere(section, key):
    addresses = [f"{scheme}://user:{SECRET}@host/x" for scheme in ("s3", "postgresql", "nope")]
    tables = [{section: {key: value}} for value in (*addresses, addresses)]
    tables += [{section: value} for value in addresses]
    for table in tables:
        try:
            settings = parse_settings(table, folder=Path(), origin="plant.toml")
        except BadSettings as error:
            assert SECRET not in str(error)
        else:
            assert SECRET not in repr(settings) or (section, key) not in {
                ("store", "url"),
                ("readings", "uri"),
                ("events", "uri"),
            }


@pytest.mark.parametrize("section", ["readings", "events"])
def test_keys_in_the_address_of_a_source_are_sent_to_the_environment(section):
    table = {section: {"uri": f"s3://AKIA:{SECRET}@bucket/prefix"}}
    with pytest.raises(BadSettings, match="AWS_SECRET_ACCESS_KEY") as raised:
        parse_settings(table, folder=Path(), origin="plant.toml")

    assert SECRET not in str(raised.value)
