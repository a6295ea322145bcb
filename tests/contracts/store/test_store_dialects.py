"""What differs between databases lies with their dialects, and nowhere else in the store."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import select

import pm_app.store
from pm_app.records.readings import AssetSpans
from pm_app.store.database.connection import columns_as_stored
from pm_app.store.dialects.table import DIALECTS, dialect_of
from pm_app.store.ledger.rows import widen_spans
from pm_app.store.schema.predictions import assets
from pm_app.store.schema.types import nanoseconds_list

ROOT = Path(pm_app.store.__file__).parent
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


def test_names_are_found_among_many_whatever_is_in_them(store):
    names = ['Öl "2"', "it's", "泵", "a\\b", "[1]", "{x}", " ", *map(str, range(40_000))]
    day = np.arange(2, dtype=np.int64) * 24 * 3600 * 10**9
    here = tuple(sorted([*names[:9], "another"]))
    spans = AssetSpans(here, *(np.full(len(here), moment) for moment in day))
    with store._database.writing() as connection:
        widen_spans(connection, spans)
    with store._database.reading() as connection:
        dialect = dialect_of(connection)
        moment = dialect.arrow_moment(assets.c.last_time)
        query = select(assets.c.asset_id, moment).order_by(assets.c.asset_id)
        found = [
            columns_as_stored(connection, query.where(dialect.among(assets.c.asset_id, asked)))
            for asked in (names, [])
        ]

    assert found[0][0] == tuple(sorted(names[:9]))
    assert nanoseconds_list(found[0][1]) == [day[1]] * 9
    assert found[1] == [(), ()]
