"""An install without TensorFlow scores and serves, and says what learning would need.

One program runs all commands here; the packages of the extra "train" cannot be imported in it.
"""

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from factories import make_plant, opened, promote_handmade, readings_table

from pm_app.errors import BadSettings
from pm_app.jobs.retrain.process import run_trainer

ROOT = Path(__file__).parents[3]
LEARNING = ("retrain", "backtest")
COMMANDS = ("score", "status", "check", "models", "predictions", "serve", *LEARNING)
PROGRAM = """
import json, sys
config, commands, names = sys.argv[1], json.loads(sys.argv[2]), json.loads(sys.argv[3])
for name in names:
    sys.modules[name] = None
from typer.testing import CliRunner
from pm_app.cli.app import app
from pm_app.cli.run import serve
serve.run_pages = lambda settings, now: print(serve.make_application(settings, now).routes[0])
answers = {}
for command in commands:
    done = CliRunner().invoke(app, [command, "-c", config])
    answers[command] = [done.exit_code, done.output, repr(done.exception)]
print(json.dumps(answers))
"""


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    """Exit code, what was said and the exception of each command, in the order of COMMANDS."""
    config = make_plant(tmp_path_factory.mktemp("slim"), {"a.parquet": readings_table()})
    with opened(config) as plant:
        promote_handmade(plant)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    names = [re.match(r"\w+", row)[0] for row in project["optional-dependencies"]["train"]]
    words = [sys.executable, "-c", PROGRAM, str(config), json.dumps(COMMANDS), json.dumps(names)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        words, env=environment, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("command", ["score", "models", "predictions", "serve"])
def test_a_slim_install_works_with_a_version_that_was_learned_elsewhere(answers, command):
    code, words, error = answers[command]

    assert code == 0, (words, error)
    if command == "score":
        assert "1 batches read" in words
    if command == "predictions":
        assert "scored" in words and "pump-00" in words


@pytest.mark.parametrize("command", ["status", "check"])
def test_a_slim_install_says_how_the_plant_is(answers, command):
    code, words, error = answers[command]

    # No daemon runs here, and nothing waits for one.
    assert code in (0, 1) and "SystemExit" in error + "SystemExit(0)", words
    assert "No module" not in words + error and "tensorflow" not in words + error


@pytest.mark.parametrize("command", LEARNING)
def test_a_slim_install_says_what_learning_needs(answers, command):
    code, words, error = answers[command]

    assert code != 0
    assert "learning needs tensorflow, keras, onnx, tf2onnx: pip install 'pm-app[train]'" in error


def test_a_daemon_without_what_learns_says_so_when_a_retraining_is_due(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "keras", None)

    with pytest.raises(BadSettings, match=r"learning needs keras: pip install 'pm-app\[train\]'"):
        run_trainer(tmp_path / "a", tmp_path / "b", print, timeout_seconds=1.0)
