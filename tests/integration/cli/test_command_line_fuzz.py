"""Whatever is typed after `pm-app`: a result, or one line on what is wrong with it."""

import io
import sys

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.main import get_command

from pm_app.cli import main
from pm_app.cli.app import app

# They learn for minutes, run for ever, or write what they are told to where they are told to.
LEFT_OUT = {
    "run",
    "serve",
    "record",
    "demo",
    "retrain",
    "learn-normal",
    "selftest",
    "import",
    "init",
}
texts = st.one_of(
    st.text(max_size=12).filter(lambda text: "\0" not in text),
    st.sampled_from(
        ["", "-", "--", "-1", "0", "1", "9" * 20, "1e3", "NaN", "ÿ", "\udcff", "a" * 5000, "*", "%"]
        + ["0001-01-01T00:00+14:00", "9999-12-31T23:59-12:00", "2026-02-30", "now", "1969-01-01"]
        + ["2023-08-14", "2023-08-15T10:00+02:00", "pump-00", "'; DROP TABLE predictions; --"]
    ),
)


def commands():
    """Every command that is tried: its name, and the flags and options that it knows."""
    found = dict(get_command(app).commands)
    for name, group in list(found.items()):
        found |= {
            f"{name} {own}": command for own, command in getattr(group, "commands", {}).items()
        }
    return {
        name: [param for param in command.params if param.name != "config"]
        for name, command in found.items()
        if name.split()[0] not in LEFT_OUT
    }


@st.composite
def lines(draw):
    name = draw(st.sampled_from(sorted(commands())))
    line = name.split()
    for param in draw(st.lists(st.sampled_from(commands()[name] or [None]), max_size=4)):
        if param is None:
            continue
        option = param.opts[0] if param.param_type_name == "option" else None
        if option == "--out":
            continue
        line += [option] if option else []
        line += [] if getattr(param, "is_flag", False) else [draw(texts)]
    return line + draw(st.lists(texts, max_size=1))


@pytest.fixture(scope="module")
def plant(tmp_path_factory):
    from factories import ALARMING_TOML, NOW, make_plant, opened, promote_handmade, readings_table

    from pm_app.jobs.score.run import score

    folder, table = tmp_path_factory.mktemp("plant"), readings_table(hours=5)
    config = make_plant(folder, {"a.parquet": table}, toml=ALARMING_TOML)
    with opened(config) as plant:
        promote_handmade(plant)
        score(plant, now=NOW)
    return config


@given(line=lines())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_no_arguments_give_a_traceback(plant, capfd, monkeypatch, line):
    monkeypatch.chdir(plant.parent)
    monkeypatch.setattr(sys, "argv", ["pm-app", *line])
    monkeypatch.setattr(sys, "stdin", io.StringIO("a password for someone\n"))
    try:
        main()
        code = 0
    except SystemExit as done:
        code = done.code or 0
    out, err = capfd.readouterr()

    assert code in (0, 1, 2)
    assert "Traceback" not in out + err
    # What `status` finds is its result, not an error.
    assert code == 0 or err.strip() or (line[0] == "status" and out.strip()), line
