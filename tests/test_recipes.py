"""The recipes of CONTRIBUTING, each followed in a scratch copy of the repository and run there."""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from pm_app.store.schema.predictions import REVISION

ROOT = Path(__file__).parents[1]
GUIDE = (ROOT / ".github" / "CONTRIBUTING.md").read_text(encoding="utf-8")
FENCE = re.compile(r"^```(\w+) (\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COPIED = ("pm_app", "connectors", "tests/support")
EXTENSIONS = {
    *("source", "strategy", "statistic of windows", "page", "command", "settings key"),
    *("schema step", "dialect"),
}


@dataclass(frozen=True)
class Recipe:
    """Blocks of a recipe: language, file or word, text."""

    blocks: tuple[tuple[str, str, str], ...]

    def of(self, *words: str) -> list[str]:
        """Texts of the blocks that are named so."""
        return [text for _, name, text in self.blocks if name in words]

    @property
    def edits(self) -> list[tuple[str, str]]:
        """Files that are changed, each with a block of changes."""
        return [(name, text) for language, name, text in self.blocks if language == "diff"]

    @property
    def new_files(self) -> dict[str, str]:
        """Files that come."""
        words = ("check", "run")
        return {n: t for language, n, t in self.blocks if language != "diff" and n not in words}


def read_recipes() -> dict[str, Recipe]:
    """Recipes by what they add."""
    parts = re.split(r"^### Add an? ", GUIDE.split("\n## Recipes\n")[1], flags=re.MULTILINE)[1:]
    numbers = {"NEXT": f"{int(REVISION) + 1:04}", "NEWEST": REVISION}
    found = {}
    for part in parts:
        text = re.sub("NEXT|NEWEST", lambda word: numbers[word[0]], part)
        found[part.splitlines()[0]] = Recipe(tuple(FENCE.findall(text)))
    return found


RECIPES = read_recipes()
every_recipe = pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES.keys())


def test_there_is_a_recipe_for_every_kind_of_extension():
    assert set(RECIPES) == EXTENSIONS


@every_recipe
def test_a_recipe_is_one_new_folder_at_most_and_one_file_with_a_row(recipe):
    edited = {name for name, _ in recipe.edits if not name.startswith("pm_app/docs/")}

    assert len({Path(name).parent for name in recipe.new_files}) <= 1
    assert len(edited) <= 1
    assert recipe.of("check")


@every_recipe
def test_following_a_recipe_makes_what_it_says(recipe, tmp_path):
    copy, scratch = tmp_path / "copy", tmp_path / "scratch"
    scratch.mkdir()
    for folder in COPIED:
        ignored = shutil.ignore_patterns("__pycache__", "fixtures")
        shutil.copytree(ROOT / folder, copy / folder, ignore=ignored)
    for name, text in recipe.new_files.items():
        assert not (copy / name).exists(), f"{name} is there already"
        (copy / name).parent.mkdir(exist_ok=True)
        (copy / name).write_text(text, encoding="utf-8")
    for name, change in recipe.edits:
        edit(copy / name, change)

    shutil.copy(ROOT / "pyproject.toml", copy)
    touched = {*recipe.new_files, *(name for name, _ in recipe.edits)}
    python = [name for name in touched if name.endswith(".py")]
    run([sys.executable, "-m", "ruff", "check", *python], copy)
    run([sys.executable, "-m", "ruff", "format", "--check", *python], copy)

    for command in (line for text in recipe.of("run") for line in text.splitlines()):
        assert command.startswith("python ")
        run([sys.executable, *command.split()[1:]], copy)
    (check,) = recipe.of("check")
    begin = f"import pathlib\nscratch = pathlib.Path({str(scratch)!r})\n"
    end = f"\nimport pm_app\nassert pm_app.__file__.startswith({str(copy)!r})\n"
    run([sys.executable, "-c", begin + check + end], copy)


def edit(file: Path, change: str) -> None:
    """Apply a block of changes where its other lines stand."""
    lines = [line or " " for line in change.splitlines()]
    assert {line[0] for line in lines} <= {" ", "+", "-"}, change
    before = "\n".join(line[1:] for line in lines if line[0] != "+")
    after = "\n".join(line[1:] for line in lines if line[0] != "-")
    text = file.read_text(encoding="utf-8")
    assert text.count(before) == 1, f"{file.name} should hold once:\n{before}"
    file.write_text(text.replace(before, after), encoding="utf-8")


def run(command: list[str], folder: Path) -> None:
    """A command in the scratch copy, importing what lies there."""
    places = (folder, folder / "tests", folder / "tests" / "support")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, places))}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
