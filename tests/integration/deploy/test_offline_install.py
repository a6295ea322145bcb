"""A bundle is installed and used in a network namespace that has no network.

Built once a session from the locks (a minute, and the network it is built with): `-m slow`.
"""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from factories import make_plant, opened, promote_handmade, readings_table
from typer.testing import CliRunner

from pm_app import __version__
from pm_app.cli.app import app

DEPLOY = Path(__file__).parents[3] / "deploy"
ALONE = ("unshare", "--net") if os.geteuid() == 0 else ("unshare", "--net", "--map-root-user")
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"


def run(*words: str | Path, apart: bool = True, **more) -> tuple[int, str]:
    """A program, apart from every network; its exit code and all it says."""
    # Nothing of this environment leads to the packages of the one that is tested.
    environment = {"PATH": os.environ["PATH"], "HOME": str(more.get("cwd", "/"))}
    command = [*(ALONE if apart else ()), *map(str, words)]
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False, timeout=600, **more
    )
    return done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    """A bundle of what scores and serves, unpacked."""
    if shutil.which("unshare") is None or run("true")[0] != 0:
        pytest.skip("needs the right to make a network namespace: unshare --net")
    folder = tmp_path_factory.mktemp("bundle")
    command = [sys.executable, str(DEPLOY / "bundle"), "--python", PYTHON]
    command += ["--platform", os.uname().machine, "--for", "serve", "--output", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    print(done.stdout)
    (archive,) = folder.glob("*.tar")
    shutil.unpack_archive(archive, folder, filter="data")
    return archive.with_suffix("")


@pytest.fixture(scope="module")
def program(bundle, tmp_path_factory):
    """The installed program."""
    place = tmp_path_factory.mktemp("installed") / "pm-app"
    began = time.monotonic()
    code, words = run(bundle / "install", place, sys.executable)
    print(f"installed without a network in {time.monotonic() - began:.1f} s")
    assert code == 0, words
    return place / "bin" / "pm-app"


@pytest.mark.slow
def test_there_is_no_network_where_it_is_installed():
    """What these tests rest on."""
    code, words = run(
        sys.executable, "-c", "import socket; socket.create_connection(('192.0.2.1', 80), 2)"
    )

    assert code != 0 and "unreachable" in words


@pytest.mark.slow
def test_a_plant_is_made_looked_over_and_scored_without_a_network(program, tmp_path):
    assert run(program, "--version") == (0, f"{__version__}\n")
    assert run(program, "docs", "install")[1].startswith("# Install")
    assert run(program, "init", "line3", cwd=tmp_path)[0] == 0
    assert run(program, "check", "-c", "line3/plant.toml", cwd=tmp_path)[0] in (0, 1)
    there = make_plant(tmp_path / "learned")
    with opened(there) as plant:
        promote_handmade(plant)
    saved = CliRunner().invoke(app, ["backup", str(tmp_path / "a.pm"), "-c", str(there)])
    assert saved.exit_code == 0, saved.output
    code, words = run(program, "restore", "a.pm", "-c", "plant/plant.toml", cwd=tmp_path)
    assert code == 0, words
    make_plant(tmp_path / "plant", {"a.parquet": readings_table()})

    code, words = run(program, "score", "-c", "plant/plant.toml", cwd=tmp_path)

    assert code == 0 and "1 batches read" in words, words
    code, words = run(
        program, "predictions", "--latest", "--json", "-c", "plant/plant.toml", cwd=tmp_path
    )
    assert code == 0 and '"status": "scored"' in words, words
    code, words = run(program, "retrain", "-c", "plant/plant.toml", cwd=tmp_path)
    assert code != 0 and "pip install 'pm-app[train]'" in words


@pytest.mark.slow
def test_a_damaged_bundle_and_another_python_are_refused_in_words(bundle, tmp_path):
    copy = shutil.copytree(bundle, tmp_path / "copy", copy_function=os.link)
    wheel = next(path for path in (copy / "wheels").iterdir() if path.stat().st_size < 50_000)
    content = wheel.read_bytes()
    wheel.unlink()
    wheel.write_bytes(content[:-1] + b"x")
    damaged = run(copy / "install", tmp_path / "a", sys.executable)
    wheel.write_bytes(content)
    (copy / "for").unlink()
    (copy / "for").write_text("3.99 x86_64\n")
    other = run(copy / "install", tmp_path / "b", sys.executable)

    assert damaged[0] == 1 and "the bundle is damaged: copy it again" in damaged[1]
    assert other[0] == 1 and f"is for Python 3.99, {sys.executable} is {PYTHON}" in other[1]
    assert not (tmp_path / "a").exists() and not (tmp_path / "b").exists()
