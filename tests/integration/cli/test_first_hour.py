"""What newcomers meet in their first hour: another user's files, wrong names, local times."""

import ctypes
import json
import os
import re
import socket
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
import typer
from factories import ALARMING_TOML, NOW, drop, make_plant, opened, promote_handmade, readings_table
from rich.console import Console

from pm_app.cli import output
from pm_app.cli.app import app
from pm_app.jobs.score.run import score
from pm_app.settings.plant import read_settings

NOBODY = 65_534
# Runs command lines from standard input one after the other, in a process that may open no file
# of another user.
RUNNER = """
import contextlib, io, json, sys, traceback
from pm_app.cli import main
for words in json.load(sys.stdin):
    sys.argv, out, err, code = ["pm-app", *words], io.StringIO(), io.StringIO(), 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main()
        except SystemExit as done:
            code = done.code or 0
        except BaseException:
            code = traceback.format_exc()
    print(json.dumps([words[0], code, out.getvalue(), err.getvalue()]), file=sys.__stdout__)
"""
COMMANDS = (
    ("status",),
    ("status", "--json"),
    ("check",),
    ("predictions", "--latest"),
    ("score",),
    ("run",),
    ("retrain",),
    ("notifications",),
    ("alarms",),
    ("users",),
    ("batches", "--retry"),
    ("models",),
    ("importance",),
    ("explain", "pump-1"),
    ("promote", "1"),
    ("replay", "--from", "2026-01-01", "--to", "2026-02-01"),
    ("backfill", "--from", "2026-01-01", "--to", "2026-02-01"),
    ("backtest",),
    ("serve",),
)


@pytest.fixture(scope="module")
def plant(tmp_path_factory):
    toml = ALARMING_TOML.replace("[plant]", '[plant]\ntimezone = "Europe/Berlin"', 1)
    config = make_plant(
        tmp_path_factory.mktemp("hour") / "plant", {"a.parquet": readings_table(hours=5)}, toml=toml
    )
    with opened(config) as live:
        promote_handmade(live)
        score(live, now=NOW)
    return config


def as_stranger(lines, config: Path) -> list[list]:
    """Command, exit code, stdout and stderr of each, by a user who may open no file of others."""

    def may_not_override() -> None:
        # The superuser without CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH.
        for capability in (1, 2):
            ctypes.CDLL(None).prctl(24, capability, 0, 0, 0)

    ended = subprocess.run(
        [sys.executable, "-c", RUNNER],
        input=json.dumps([[*line, "-c", str(config)] for line in lines]),
        capture_output=True,
        text=True,
        preexec_fn=may_not_override,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "COLUMNS": "400"},
    )
    assert ended.returncode == 0, ended.stderr
    return [json.loads(line) for line in ended.stdout.splitlines() if line.startswith("[")]


@pytest.fixture
def belongs_to_another(plant, tmp_path):
    """A copy of the plant whose part is another user's, where only that user may do anything."""

    def make(part: str) -> Path:
        copy = tmp_path / "plant"
        subprocess.run(["cp", "-r", str(plant.parent), str(copy)], check=True)
        for path in (copy, *copy.rglob("*")):
            path.chmod(0o755 if path.is_dir() else 0o644)
        closed = copy / part
        closed.chmod(0o700 if closed.is_dir() else 0o600)
        os.chown(closed, NOBODY, NOBODY)
        return copy / "plant.toml"

    if os.geteuid() != 0:
        pytest.skip("files are given to another user by the superuser alone")
    return make


@pytest.mark.parametrize("part", ["plant.toml", "state", "state/pm.sqlite", "state/lock"])
def test_files_of_another_user_are_named_with_whose_they_are_and_what_to_do(
    belongs_to_another, part
):
    config = belongs_to_another(part)
    lines = COMMANDS if part == "state" else COMMANDS[:4]
    if part == "state/lock":
        lines = (("score",), ("run",))
    ended = as_stranger(lines, config)

    assert len(ended) == len(lines)
    for command, code, out, err in ended:
        assert code in (1, 2), (command, code)
        words = " ".join((out + err).split())
        assert str(config.parent / part) in words, (command, words)
        assert "belongs to nobody and is closed to root" in words, (command, words)
        assert "sudo -u nobody" in words, (command, words)
        assert part != "state" or "no daemon has run here" not in words


def test_a_folder_in_place_of_a_file_and_no_file_say_what_to_do(pm_app, tmp_path):
    _, _, folder = pm_app("status", "-c", tmp_path)
    _, _, nothing = pm_app("status", "-c", tmp_path / "plant.toml")

    assert str(tmp_path / "plant.toml") in " ".join(folder.split())
    assert "-c names another, `pm-app init FOLDER` makes one" in nothing


def test_a_port_in_use_is_told_before_any_address(pm_app, plant):
    with socket.create_server(("127.0.0.1", 0)) as door:
        address = f"127.0.0.1:{door.getsockname()[1]}"
        code, out, err = pm_app("serve", "-c", plant, "--listen", address)

    assert code == 2 and "http://" not in out + err
    assert "another program listens there already" in err and "--listen 127.0.0.1:8081" in err


@pytest.mark.parametrize("host", ["a]b", "//[x", "file:[?", "memory:///[0", "]'%#0["])
def test_an_odd_host_of_a_lake_is_named(pm_app, plant, host, tmp_path, monkeypatch):
    pytest.importorskip("deltalake")
    monkeypatch.chdir(tmp_path)
    code, _, err = pm_app("export", "--delta", host, "-c", plant)

    assert code in (1, 2) and repr(host)[1:-1] in err.replace("\\\\", "\\")


@pytest.mark.parametrize("words", [("predictions",), ("predictions", "--latest"), ("alarms",)])
def test_a_mistyped_asset_is_told_the_nearest_names(pm_app, plant, words):
    (name, *_) = json.loads(pm_app("predictions", "--json", "-c", plant)[1])
    wrong = name["asset_id"].upper()
    code, out, err = pm_app(*words, "--asset", wrong, "-c", plant)

    assert code == 2 and "nothing yet" not in out + err
    assert (
        f"there is no asset {wrong!r}; there are" in err
        and "did you mean" in err
        and repr(name["asset_id"]) in err
    )


def test_brackets_are_shown_wherever_they_are_printed(capsys, monkeypatch):
    for console in ("out", "talk"):
        getattr(output, console).print("pip install 'pm-app[web]'", soft_wrap=True)
    output.print_rows([{"sensor [bar]": "speed [1/min]"}], title="of [web]")
    output.print_rows([], title="of [web]")
    shown = capsys.readouterr()

    assert "pm-app[web]" in shown.out and "pm-app[web]" in shown.err and "of [web]" in shown.err
    assert "speed [1/min]" in shown.out and "sensor [bar]" in shown.out and "of [web]" in shown.out


def test_times_are_taken_and_shown_by_the_plants_clock(pm_app, plant):
    rows = json.loads(pm_app("predictions", "--json", "-c", plant)[1])
    newest = max(row["cutoff"] for row in rows)
    assert read_settings(plant).plant.timezone == "Europe/Berlin" and newest.endswith("+00:00")

    local = datetime.fromisoformat(newest).astimezone(ZoneInfo("Europe/Berlin"))
    since = local.replace(tzinfo=None).isoformat()
    table = pm_app("predictions", "--since", since, "-c", plant)[1]
    same = json.loads(pm_app("predictions", "--json", "--since", newest, "-c", plant)[1])
    naive = json.loads(pm_app("predictions", "--json", "--since", since, "-c", plant)[1])

    assert naive == same and {row["cutoff"] for row in naive} == {newest}
    assert local.isoformat(" ", timespec="minutes") in table
    assert "+01:00" in table or "+02:00" in table


@pytest.mark.parametrize("width", [80, 140])
@pytest.mark.parametrize("words", [("predictions",), ("models",), ("alarms",), ("batches",)])
def test_no_table_breaks_a_time_into_two_lines(pm_app, plant, width, words, monkeypatch, capsys):
    monkeypatch.setattr(output, "out", Console(width=width, markup=False))
    shown = pm_app(*words, "-c", plant)[1]

    assert not re.search(r"\d{4}-\d\d-(\s|$|\d\s)|\d{4}-\d\d-\d\d[ T]\d\d:?(\s|$)", shown), shown
    assert max(map(len, shown.splitlines())) <= width


def commands(group=None, name=""):
    """Every command with its full name."""
    group = typer.main.get_command(app) if group is None else group
    for own, command in group.commands.items():
        yield f"{name}{own}", command
        if hasattr(command, "commands"):
            yield from commands(command, f"{own} ")


def test_help_says_what_is_meant_and_gives_times_an_example(pm_app):
    for name, command in commands():
        shown = pm_app(*name.split(), "--help")[1]
        assert not re.search(r"--\S+ .*<str", shown), shown
        times = [each for each in command.params if each.metavar == "TIME"]
        assert not times or "2026-01-31T14:00" in re.sub(r"[│\s]+", " ", shown), shown


def test_help_groups_commands_by_what_one_wants_and_completion_is_on(pm_app):
    shown = pm_app("--help")[1]

    for group in ("Begin", "Run", "Look", "Learn", "Act", "Keep"):
        assert f"─ {group} ─" in shown
    assert "─ Commands ─" not in shown
    assert "--install-completion" in shown


def test_times_without_a_zone_name_the_section_that_sets_one(pm_app, tmp_path):
    config = make_plant(tmp_path)
    naive = pa.table(
        {
            "asset_id": ["p"] * 3,
            "timestamp": pa.array([0, 1, 2], pa.timestamp("us")),
            "vibration": [1.0, 2.0, 3.0],
            "kind": ["failure"] * 3,
        }
    )
    drop(config, "a.parquet", naive)
    drop(config, "a.parquet", naive, source="events")
    _, shown, _ = pm_app("check", "-c", config)

    words = " ".join(shown.split())
    assert all(f"{name}.timezone, where their clock st" in words for name in ("readings", "events"))


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("predictions",), "predictions: nothing yet"),
        (("models",), "versions: nothing yet"),
        (("explain", "P1"), "no readings of any have been read yet"),
        (("restore", "nothing.tar"), "nothing.tar: no such file; pm-app backup FILE writes one"),
    ],
)
def test_an_empty_plant_says_what_is_missing(pm_app, new_plant, words, told):
    assert told in " ".join(pm_app(*words, "-c", new_plant(champion=False))[2].split())
