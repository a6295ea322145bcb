"""plant.toml: what it takes, what it refuses, and in which words."""

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pm_app.errors import BadSettings
from pm_app.settings.plant import Settings, parse_settings, read_settings
from pm_app.settings.values import read_running

# Tables of tables, and no table of plant.toml.
NAMED = ("folder", "modes", "recorders", "sensors")
SECTIONS = [name for name in Settings.model_fields if name not in NAMED]
KEYS = [
    (section, key)
    for section in SECTIONS
    for key in Settings.model_fields[section].annotation.model_fields
]


def parse(text="", folder="."):
    return parse_settings(tomllib.loads(text), folder=Path(folder), origin="plant.toml")


def test_an_empty_file_is_a_plant_of_defaults():
    settings = parse()

    assert settings == parse_settings({}, folder=Path(), origin="plant.toml")
    assert settings.features.pane_ns == 600 * 10**9
    assert settings.target.horizons_hours == (24.0, 72.0)
    assert settings.state == Path("state")


@pytest.mark.parametrize("section", SECTIONS)
def test_a_misspelled_section_names_the_nearest_one(section):
    with pytest.raises(BadSettings, match=rf"unknown key '{section}x' \(did you mean '{section}'"):
        parse(f"[{section}x]")


@pytest.mark.parametrize("section, key", KEYS)
def test_a_misspelled_key_names_the_nearest_one_of_its_section(section, key):
    wrong = key[:-1] + "_" + key[-1]
    with pytest.raises(BadSettings) as refused:
        parse(f'[{section}]\n{wrong} = "x"')

    assert str(refused.value) == (
        f"plant.toml: unknown key '{section}.{wrong}' (did you mean {key!r}?)"
    )


def test_a_key_like_no_other_lists_those_there_are():
    with pytest.raises(BadSettings, match=r"unknown key 'drift.zzz' \(known: p_value, in_a_row\)"):
        parse("[drift]\nzzz = 1")


@pytest.mark.parametrize(
    "text, said",
    [
        ('[features]\npane = "10 minutes"', "features.pane: a duration looks like"),
        ('[features]\npane = "0min"', "features.pane: a duration must be longer than nothing"),
        ('[scoring]\nbackfill = "99999w"', "scoring.backfill: a duration must be at most 36500d"),
        ('[features]\nwindows = ["15min"]', "windows must be whole panes of 10min, got '15min'"),
        ('[features]\nwindows = ["60min", "1h"]', "windows must differ, got ['60min', '1h']"),
        ("[features]\nwindows = []", "features.windows: tuple should have at least 1 item"),
        ('[features]\nwindows = ["1h", "soon"]', "features.windows.1: a duration looks like"),
        (
            '[features]\nmemory = ["lif"]',
            'memory: each must be "life", "change", "scaled change" or',
        ),
        ('[features]\nmemory = ["7"]', "or a half-life, and a duration looks like"),
        ('[features]\nmemory = ["7d", "1w"]', "kinds of memory must differ, got ['7d', '1w']"),
        ('[features]\nmemory = ["life", "life"]', "must differ, got ['life', 'life']"),
        ('[features]\nmemory = ["200y"]', "got '200y'"),
        ('[features]\nmemory = "life"', "features.memory: input should be a valid tuple"),
        ('[features]\nbeginning = "0d"', "features.beginning: a duration must be longer than"),
        ('[features]\nclock = "sometimes"', "features.clock: input should be a valid boolean"),
        ('[target]\nrul_cap = "48h"', "rul_cap must be at least the longest horizon, got '48h'"),
        ('[target]\nhorizons = ["24h", "1d"]', "horizons must differ, got ['24h', '1d']"),
        ('[target]\nkind = "column"', "column must name the label column when kind ="),
        ('[target]\ncolumn = "y"', 'column goes with kind = "column", got kind = "life"'),
        ('[target]\nkind = "mood"', "target.kind: input should be 'life' or 'column', got 'mood'"),
        ('[allocation]\nstrategy = "best"', "allocation.strategy: input should be 'uniform', "),
        ("[allocation]\nmax_parameters = 499", "greater than or equal to 500, got 499"),
        ("[drift]\np_value = 0.5", "drift.p_value: input should be less than 0.5, got 0.5"),
        ("[drift]\nin_a_row = 0", "drift.in_a_row: input should be greater than or equal to 1"),
        ('[retraining]\ncron = "daily"', "cron must have five fields like"),
        ("[retraining]\nminimum_failures = 1", "greater than or equal to 2, got 1"),
        ("[alarms]\nthreshold = 1.0", 'must be "auto" or a number between 0 and 1, got 1.0'),
        ("[alarms]\nthreshold = true", 'must be "auto" or a number between 0 and 1, got True'),
        ("[alarms]\npersistence = 0", "alarms.persistence: input should be greater than or equal"),
        ("[alarms]\nclear = 1.5", "alarms.clear: input should be less than or equal to 1, got 1.5"),
        ('[plant]\nname = ""', "plant.name: string should have at least 1 character, got ''"),
        ('[plant]\ntimezone = "CEST+2"', 'a time zone looks like "Europe/Berlin", got'),
        ('[plant]\ntimezone = "../etc/passwd"', 'a time zone looks like "Europe/Berlin", got'),
        (
            "plant = 3",
            "plant: input should be a valid dictionary or instance of PlantSettings, got 3",
        ),
        ('folder = "/tmp"', "unknown key 'folder'"),
    ],
)
def test_what_cannot_be_used_is_named_by_key_need_and_value(text, said):
    with pytest.raises(BadSettings) as refused:
        parse(text)

    assert str(refused.value).startswith("plant.toml: ")
    assert said in str(refused.value)


def test_all_that_is_wrong_is_told_at_once():
    with pytest.raises(BadSettings) as refused:
        parse('[plant]\nnmae = "x"\n[scoring]\nevery = "soon"\n[drift]\nin_a_row = 0')

    for said in ("plant.nmae", "scoring.every", "drift.in_a_row"):
        assert said in str(refused.value)


words = st.text("ah1é*/ \n", max_size=6)


@given(
    tables=st.dictionaries(
        st.sampled_from([*SECTIONS, "folder", "x", ""]),
        st.one_of(
            st.integers(),
            words,
            st.none(),
            st.dictionaries(
                st.sampled_from([key for _, key in KEYS] + ["y"]),
                st.one_of(
                    words,
                    st.integers(),
                    st.floats(),
                    st.booleans(),
                    st.lists(words, max_size=3),
                    st.sampled_from(["1h", "30d", "column", "0 2 * * *", "UTC"]),
                ),
                max_size=4,
            ),
        ),
        max_size=3,
    )
)
def test_any_tables_are_either_settings_or_refused_in_one_line(tables):
    try:
        settings = parse_settings(tables, folder=Path(), origin="plant.toml")
    except BadSettings as refused:
        assert str(refused).startswith("plant.toml: ")
        assert len(str(refused).splitlines()) == 1
    else:
        again = settings.model_dump(mode="json")
        assert parse_settings(again, folder=Path(), origin="plant.toml") == settings


def test_windows_and_horizons_are_sorted_whatever_their_order_in_the_file():
    settings = parse('[features]\nwindows = ["24h", "1h"]\n[target]\nhorizons = ["3d", "12h"]')

    assert settings.features.windows_ns == (3600 * 10**9, 24 * 3600 * 10**9)
    assert settings.target.horizons_hours == (12.0, 72.0)


def test_memory_is_what_its_words_say_and_an_empty_list_is_none():
    some = parse(
        '[features]\nmemory = ["2w", "life", "36h", "change"]\nbeginning = "25min"'
    ).features
    none = parse("[features]\nmemory = []").features

    assert (some.life, some.change, some.scaled_change) == (True, True, False)
    assert some.smooth_ns == (36 * 3600 * 10**9, 14 * 86400 * 10**9)
    # Whole panes of ten minutes.
    assert some.beginning_ns == 30 * 60 * 10**9
    assert (none.life, none.change, none.scaled_change) == (False, False, False)
    assert (none.beginning_ns, none.smooth_ns) == (None, ())


def test_a_password_in_the_address_of_the_store_is_not_shown():
    settings = parse('[store]\nurl = "postgresql://plant:secret@db/pm"')

    assert "secret" not in repr(settings)
    assert "secret" not in str(settings.store)


def test_the_digest_changes_with_what_is_learned_and_with_nothing_else():
    plain = parse().digest

    assert parse('[features]\npane = "30min"').digest != plain
    assert parse('[target]\nrul_cap = "20d"').digest != plain
    assert parse('[plant]\nname = "other"\n[scoring]\nevery = "5min"').digest == plain
    assert parse(folder="/elsewhere").digest == plain


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["plain", "with a byte order mark"])
def test_a_file_is_read_as_it_is_written_on_any_system(tmp_path, mark):
    path = tmp_path / "plant.toml"
    path.write_bytes(mark + '[plant]\r\nname = "Größe"\r\n'.encode())

    settings = read_settings(path)

    assert settings.plant.name == "Größe"
    assert settings.state == tmp_path / "state"


@pytest.mark.parametrize(
    "content, said",
    [(b"[plant\n", "not valid TOML"), (b'name = "\xff"', "cannot be read"), (None, "no such file")],
)
def test_a_file_that_is_no_toml_is_named(tmp_path, content, said):
    path = tmp_path / "plant.toml"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(BadSettings, match=f"{path}: {said}"):
        read_settings(path)


@pytest.mark.parametrize(
    ("state", "said"),
    [
        (".", "readings.uri, got '.' beside 'readings'"),
        ("events", "events.uri, got 'events' beside 'events'"),
        ("readings/state", "readings.uri, got 'readings/state' beside 'readings'"),
        ("../line3/events/../events", "events.uri"),
    ],
)
def test_state_is_never_where_somebody_elses_files_are(tmp_path, state, said):
    folder = tmp_path / "line3"
    folder.mkdir()
    tables = {"plant": {"state": state}}

    with pytest.raises(BadSettings, match="state must be a folder apart") as info:
        parse_settings(tables, folder=folder, origin="plant.toml")

    assert said in str(info.value)


def test_state_may_be_anywhere_else(tmp_path):
    for state in ("state", "../readings-state", str(tmp_path / "elsewhere")):
        tables = {"plant": {"state": state}, "readings": {"uri": "s3://plant/readings"}}
        parse_settings(tables, folder=tmp_path / "line3", origin="plant.toml")


@pytest.mark.parametrize("section", ["readings", "events"])
@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ('asset_from = "*.csv"', 'with {asset} once where it names the machine, .* got "?.\\*.csv'),
        ('asset_from = "{asset}_{asset}"', "{asset} once"),
        ('asset_from = "/data/{asset}.csv"', "part of a file's path"),
        ('asset_from = "{asset}"\nformat = "sql"', "asset_from is of files, whose paths name"),
        ('asset_from = "{asset}"\nquery = "SELECT 1"', "names them in asset_column, here"),
    ],
)
def test_where_paths_name_machines_is_a_pattern_with_a_place_for_them(section, keys, said):
    with pytest.raises(BadSettings, match=said):
        parse(f"[{section}]\n{keys}\n")


def test_tables_of_files_of_events_hold_what_is_otherwise_and_nothing_else():
    toml = '[events]\ntime_column = "Datum"\n[events.files."*Alarme*"]\ndefault_kind = "error"\n'
    found = parse(toml).events.model_dump()

    assert found["files"] == {"*Alarme*": {"default_kind": "error"}}
    assert found["time_column"] == "Datum"


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ('files."*".default_kin = "error"', r"unknown key 'events.files.\*.default_kin' \(did you"),
        ('files."*".default_kind = "alarm"', r"events.files.\*.default_kind: .*'error'"),
        ('files."*".uri = "x"', r"unknown key 'events.files.\*.uri'"),
        ('query = "SELECT 1"\nfiles."f*".code_column = "part"', "files is of files .* 'f\\*'"),
    ],
)
def test_a_table_of_files_of_events_takes_keys_of_columns_only(keys, said):
    with pytest.raises(BadSettings, match=said):
        parse(f"[events]\n{keys}\n")


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ('tags = ["{asset}"]', "needed {asset} and {sensor} once each"),
        ('tags = ["{asset}.{sensor}.{sensor}"]', "once each where a tag names them"),
        ('tags = ["{asset}.{sensor}"]\nasset = "press"', "tags and asset both say which machine"),
        ('tags = ["{asset}.{sensor}"]\nasset_from = "{asset}.csv"', "tags and asset_from both"),
    ],
)
def test_patterns_of_tags_name_machine_and_sensor_and_nothing_else_does(keys, said):
    with pytest.raises(BadSettings, match=said):
        parse(f"[readings]\n{keys}\n")


def test_what_tells_that_a_machine_runs_is_a_sensor_and_a_bound():
    found = parse_settings({"readings": {"running": "speed > 2.5"}}, folder=Path(), origin="p")

    assert read_running(found.readings.running) == ("speed", 2.5)
    assert read_running("a > b > -1e3") == ("a > b", -1000.0)


@pytest.mark.parametrize("text", ["speed", "speed > ", "> 5", "speed > fast", "speed > nan"])
def test_what_tells_that_a_machine_runs_is_refused_in_words(text):
    with pytest.raises(BadSettings, match='readings.running: needed .* like "speed > 10"'):
        parse_settings({"readings": {"running": text}}, folder=Path(), origin="p")


def test_what_tells_that_a_machine_runs_is_among_the_sensors_that_are_read():
    tables = {"readings": {"running": "speed > 2.5", "sensors": ["load"]}}
    with pytest.raises(BadSettings, match="'speed', which is not among sensors"):
        parse_settings(tables, folder=Path(), origin="p")


@pytest.mark.parametrize(
    "key, hint",
    [
        ("events.timestamp_column", "did you mean 'time_column'?"),
        ("events.weather", "known: format"),
        ("events.untl_column", "did you mean 'until_column'?"),
        ("readings.kind_column", "it is a key of events"),
        ("readings.path", "did you mean 'uri'?"),
        ("alarms.horizons", "it is a key of target"),
        ("plant.zone", "did you mean 'timezone'?"),
        ("web.port", "did you mean 'listen'?"),
    ],
)
def test_a_hint_is_the_key_that_was_meant_or_none(key, hint):
    section, name = key.split(".")
    with pytest.raises(BadSettings) as refused:
        parse(f'[{section}]\n{name} = "x"')

    assert f"unknown key {key!r} ({hint}" in str(refused.value)


def test_modes_are_tables_of_codes_in_the_order_of_the_file():
    settings = parse('[modes.seal]\n[modes.bearing]\ncodes = ["B*"]\naction = "grease it"')

    assert list(settings.modes) == ["seal", "bearing"]
    assert settings.modes["bearing"].codes == ("B*",)
    assert settings.digest != parse().digest == parse("").digest


@pytest.mark.parametrize(
    "text, said",
    [
        ('[modes.a]\ncodez = ["x"]', r"unknown key 'modes.a.codez' (did you mean 'codes'?)"),
        ('[modes]\ncodes = ["x"]', "modes: 'codes' stands in no mode; a mode is a table, like"),
        ("[modes.other]", "modes: 'other' is what belongs to no mode, and no name of one"),
        ('[modes.a]\ncodes = ["B?"]\n[modes.b]\ncodes = ["B1"]', "got 'B1' for 'a' and 'b'"),
        ('[modes.a]\ncodes = ["B1"]\n[modes.b]\ncodes = ["*"]', "got 'a' for 'a' and 'b'"),
        ('[modes.seal]\n[modes.b]\ncodes = ["seal"]', "must belong to one mode, got 'seal'"),
        ("[modes.a]\naction = 7", "modes.a.action: input should be a valid string, got 7"),
    ],
)
def test_what_is_wrong_with_modes_is_told(text, said):
    with pytest.raises(BadSettings) as refused:
        parse(text)

    assert said in str(refused.value)
