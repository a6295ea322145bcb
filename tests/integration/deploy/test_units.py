"""systemd units of deploy/systemd: what systemd says of them, and that they start what exists."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pm_app.cli.app import app

UNITS = Path(__file__).parents[3] / "deploy" / "systemd"
SINGLE = sorted(path.name for path in UNITS.iterdir() if "@" not in path.name)
SERVICES = sorted(path.name for path in UNITS.glob("*.service"))
# Of a single plant, and what stands for it in the template of several.
PLANT_BY_NAME = {
    r"/var/lib/pm-app-backups/": "/var/lib/pm-app-backups/%i/",
    r"/var/lib/pm-app(?=/|$)": "/var/lib/pm-app/%i",
    r"/etc/pm-app/secrets\.env": "/etc/pm-app/%i.env",
    r"^StateDirectory=pm-app\b(?!-)": "StateDirectory=pm-app/%i",
    r"(?<=%i )pm-app-backups$": "pm-app-backups/%i",
    r"(?<=After=network-online.target )pm-app\.service": "pm-app@%i.service",
    r"^(Description=.*)$": r"\1, plant %i",
}


def lines(name: str) -> list[str]:
    """What systemd reads of a unit."""
    text = (UNITS / name).read_text(encoding="utf-8")
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def template(name: str) -> list[str]:
    """The lines of a single plant's unit as the template of several has to have them."""
    changed = lines(name)
    for pattern, text in PLANT_BY_NAME.items():
        changed = [re.sub(pattern, text, line) for line in changed]
    return changed


@pytest.mark.parametrize("name", SINGLE)
def test_the_template_for_several_plants_is_the_unit_of_one_with_a_name_in_its_places(name):
    stem, _, kind = name.rpartition(".")

    assert lines(f"{stem}@.{kind}") == template(name)


@pytest.mark.parametrize("name", SERVICES)
def test_a_unit_starts_a_command_that_exists_on_the_settings_it_says_to_make(name):
    text = (UNITS / name).read_text(encoding="utf-8")

    start = re.search(r"^ExecStart=.*/opt/pm-app/bin/pm-app (\S+) .*-c (\S+?)'?$", text, re.M)
    assert start is not None
    commands = {each.name or each.callback.__name__ for each in app.registered_commands}
    assert start[1] in commands
    folder = "/var/lib/pm-app/%i" if "@" in name else "/var/lib/pm-app"
    assert start[2] == f"{folder}/plant.toml"
    assert f"\nWorkingDirectory={folder}\n" in text
    assert "\nEnvironment=ORT_DISABLE_TELEMETRY=1\n" in text


@pytest.fixture(scope="module")
def analyze():
    """systemd-analyze, its exit code and all it says."""
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("needs systemd-analyze: apt-get install systemd")

    def run(*words: str) -> tuple[int, str]:
        done = subprocess.run(
            [program, *words], capture_output=True, text=True, check=False, timeout=60
        )
        return done.returncode, done.stdout + done.stderr

    return run


@pytest.mark.server
def test_systemd_finds_nothing_to_say_of_any_unit(analyze, tmp_path):
    program = tmp_path / "pm-app"
    shutil.copy(sys.executable, program)
    for path in UNITS.iterdir():
        text = path.read_text(encoding="utf-8")
        (tmp_path / path.name).write_text(text.replace("/opt/pm-app/bin/pm-app", str(program)))
    names = [path.name.replace("@.", "@line3.") for path in sorted(UNITS.iterdir())]

    code, words = analyze("verify", *(str(tmp_path / name) for name in names))

    # Of units that the machine itself has it may say what it likes.
    ours = [line for line in words.splitlines() if "pm-app" in line]
    assert (code, ours) == (0, []), words


@pytest.mark.server
@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_exposed_by_no_more_than_three_of_ten(analyze, name):
    code, words = analyze("security", "--offline=true", "--threshold=30", str(UNITS / name))

    assert code == 0, words
    print(words.splitlines()[-1])


@pytest.mark.server
def test_a_unit_without_these_limits_would_be_told(analyze, tmp_path):
    """What the test above rests on."""
    bare = tmp_path / "bare.service"
    bare.write_text("[Service]\nExecStart=/bin/true\n")

    assert analyze("security", "--offline=true", "--threshold=30", str(bare))[0] != 0
