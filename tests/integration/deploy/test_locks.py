"""Lock files: versions for every dependency, and hashes for every file, in agreement."""

import importlib.metadata
import importlib.util
import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[3]
REMEDY = "pip install uv && python deploy/locks/write.py"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]


def _writer():
    spec = importlib.util.spec_from_file_location("write", ROOT / "deploy" / "locks" / "write.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


WRITER = _writer()


def versions() -> dict[str, str]:
    """Name to version, of requirements.lock."""
    lines = (ROOT / "deploy" / "requirements.lock").read_text(encoding="utf-8").split()
    pairs = (line.split("==") for line in lines)
    return {canonicalize_name(name): version for name, version in pairs}


def entries(purpose: str) -> dict[str, str]:
    """Name to lines of a lock and of those it rests on."""
    text = (ROOT / "deploy" / "locks" / f"{purpose}.txt").read_text(encoding="utf-8")
    _, below = WRITER.PURPOSES[purpose]
    assert re.findall(r"^-r (\w+)\.txt$", text, re.MULTILINE) == list(below)
    found = {canonicalize_name(name): block for name, block in WRITER.entries(text).items()}
    for other in below:
        found = entries(other) | found
    return found


def required(purpose: str) -> list[Requirement]:
    """What pyproject.toml asks for, for a purpose."""
    texts = [*PROJECT["dependencies"]]
    for extra in WRITER.extras_of(purpose):
        texts += EXTRAS[extra]
    found = [Requirement(text) for text in texts]
    own = [extra for each in found if each.name == "pm-app" for extra in each.extras]
    found += [Requirement(text) for extra in own for text in EXTRAS[extra]]
    return [each for each in found if each.name != "pm-app"]


def test_every_extra_has_its_lock():
    elsewhere = {extra for purpose in WRITER.PURPOSES for extra in WRITER.extras_of(purpose)}

    assert elsewhere == set(EXTRAS)


@pytest.mark.parametrize("purpose", list(WRITER.PURPOSES))
def test_a_lock_holds_a_version_within_bounds_for_every_dependency(purpose):
    locked, versioned = entries(purpose), versions()

    for wanted in required(purpose):
        name = canonicalize_name(wanted.name)
        assert Version(versioned[name]) in wanted.specifier, str(wanted)
        assert name in locked, f"{wanted}: {REMEDY}"


@pytest.mark.parametrize("purpose", list(WRITER.PURPOSES))
def test_a_lock_names_the_same_versions_with_their_files(purpose):
    versioned = versions()

    for name, block in entries(purpose).items():
        version = re.search(r"==([^\s;]+)", block)[1]
        # What another system needs is in no environment here.
        elsewhere = " ; " in block.splitlines()[0] and name not in versioned
        assert elsewhere or version == versioned[name], f"{name}: {REMEDY}"
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", block), name


@pytest.mark.parametrize("purpose", list(WRITER.PURPOSES))
def test_nothing_that_a_locked_package_needs_is_missing(purpose):
    locked = entries(purpose)

    for name, block in locked.items():
        try:
            there = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue
        # Another version may need what this one does not.
        needs = (there.requires or []) if f"=={there.version} " in block else []
        for wanted in map(Requirement, needs):
            if wanted.marker is None or wanted.marker.evaluate({"extra": ""}):
                assert canonicalize_name(wanted.name) in locked, f"{name} needs {wanted}: {REMEDY}"


def test_the_licence_of_every_locked_package_is_listed():
    text = (ROOT / "deploy" / "locks" / "licences.md").read_text(encoding="utf-8")
    listed = {canonicalize_name(n) for n in re.findall(r"^\| ([\w.-]+) \|", text, re.MULTILINE)}
    locked = {**entries("serve"), **entries("train"), **entries("connect")}

    # What another system needs is in no environment here.
    ours = {name for name, block in locked.items() if " ; " not in block.splitlines()[0]}
    assert ours - listed == set()


def test_what_scores_and_serves_holds_nothing_that_learns():
    heavy = {canonicalize_name(Requirement(text).name) for text in EXTRAS["train"]}

    assert heavy.isdisjoint(entries("serve")) and heavy <= set(entries("train"))
