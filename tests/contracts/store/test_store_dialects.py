"""What differs between databases lies with their dialects, and nowhere else in the store."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from pm_app import store
from pm_app.store.dialects.table import DIALECTS

ROOT = Path(store.__file__).parent
DIALECT_FILES = ROOT / "dialects"
# Migrations are steps that were taken once: they name the databases that there were.
APART = (DIALECT_FILES, ROOT / "migrations")
NAMES = re.compile("|".join(["sqlite", "postgres", "psycopg", "pragma", "pg_"]), re.IGNORECASE)


def words_of(tree: ast.Module) -> Iterator[str]:
    """Every name and text in code; documentation may say why."""
    documentation = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef))
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and id(node) not in documentation:
            yield str(node.value)
        for field in ("id", "attr", "arg", "name", "module"):
            yield str(getattr(node, field, None) or "")


def test_no_other_file_of_the_store_names_a_database():
    named = {
        f"{path.relative_to(ROOT)}: {word}"
        for path in ROOT.rglob("*.py")
        if not any(path.is_relative_to(folder) for folder in APART)
        for word in words_of(ast.parse(path.read_text(encoding="utf-8")))
        if NAMES.search(word)
    }

    assert not named


@pytest.mark.parametrize("name", DIALECTS)
def test_a_dialect_is_a_file_and_a_row(name):
    assert (DIALECT_FILES / f"{name}.py").is_file()
