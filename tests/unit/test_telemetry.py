"""Law 13: onnxruntime's telemetry is off in every process, before it is imported."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
USES = "pm_app.scoring.predictor"


# Much else keeps it quiet: CI and its like, or a folder for caches.
NEEDED = ("PATH", "LANG", "LD_LIBRARY_PATH")


def run(code, home, **more):
    """A program of its own, whose environment is silent on telemetry and has this home."""
    environment = {name: os.environ[name] for name in NEEDED if name in os.environ}
    environment |= {"HOME": str(home), "PYTHONPATH": str(ROOT), **more}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return sorted(path.name for path in home.rglob("*") if path.is_file())


def test_onnxruntime_left_to_itself_writes_an_id_below_the_home_folder(tmp_path):
    """What the other tests here rest on: where this fails, they tell nothing any more."""
    assert "deviceid" in run("import onnxruntime", tmp_path)


@pytest.mark.parametrize("given", [None, "0", ""])
def test_under_pm_app_it_writes_nothing_whatever_the_environment_says(tmp_path, given):
    more = {} if given is None else {"ORT_DISABLE_TELEMETRY": given}

    assert run(f"import {USES}", tmp_path, **more) == []


@pytest.mark.parametrize("unit", ["pm-app", "pm-app-serve"])
def test_the_units_switch_it_off_as_well(unit):
    text = (ROOT / "deploy" / "systemd" / f"{unit}.service").read_text(encoding="utf-8")

    assert "\nEnvironment=ORT_DISABLE_TELEMETRY=1\n" in text
