"""README, the documentation in the wheel and CONTRIBUTING, held against the program."""

import io
import re
import shlex
import sys
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import get_args

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import typer
from rendered_docs import GENERATED
from rich.console import Console
from typer.testing import CliRunner

from pm_app.cli import main
from pm_app.cli.app import app
from pm_app.docs import TOPICS, read_topic
from pm_app.settings.strategies import STRATEGY_NAMES
from pm_app.store.rows import BatchStatus
from pm_app.store.schema.predictions import metadata
from pm_app.web.pages.alarms.page import ALARM_STATES
from pm_app.web.pages.models.texts import DECISIONS
from pm_app.web.texts import LEVELS
from pm_app.wording import STATUS_WORDS

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "pm_app" / "docs"
README = ROOT / "README.md"
DOCUMENTS = sorted([README, *DOCS.glob("*.md"), *(ROOT / ".github").glob("*.md")])
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
CODE = re.compile(r"`(?:[A-Z_]+=\S+ )?(?:\.venv/bin/)?pm-app ([^`]+)`")
# They make an environment; .ci/run runs the one and the demo's own test what the other does.
INSTALLS = "python3 -m venv .venv && "
# They go on until they are stopped, and have tests of their own.
SERVERS = ("run", "serve", "record")


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def name_of(path: Path) -> str:
    return path.name


def anchors(text: str) -> set[str]:
    """Anchors of a page's headings, as a browser and GitHub know them."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading).lower().replace(" ", "-") for heading in headings}


def test_the_readme_is_short():
    assert len(read(README).splitlines()) <= 200


def test_every_topic_is_a_file_and_every_file_a_topic():
    assert {path.stem for path in DOCS.glob("*.md")} == set(TOPICS)
    assert all(read_topic(name).startswith("# ") for name in TOPICS)


def test_an_unknown_topic_is_wrong_usage_told_the_nearest_and_all(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["pm-app", "docs", "setings"])

    with pytest.raises(SystemExit, match="2"):
        main()

    assert (
        "the nearest is 'settings'; topics: install, operate, sources, " in capsys.readouterr().err
    )


def test_topics_are_listed_with_a_line_each():
    listed = CliRunner().invoke(app, ["docs"]).output

    assert all(f" {name} " in listed and words in listed for name, words in TOPICS.items())


def test_a_topic_is_plain_markdown_in_a_pipe_and_laid_out_on_a_terminal(monkeypatch):
    piped = CliRunner().invoke(app, ["docs", "scale"]).output
    written = io.StringIO()
    terminal = Console(file=written, force_terminal=True, width=100)
    monkeypatch.setattr("pm_app.cli.look.docs.out", terminal)
    CliRunner().invoke(app, ["docs", "scale"])

    assert piped == read_topic("scale")
    assert "## What that needs" not in written.getvalue()
    assert "What that needs" in written.getvalue() and "\x1b[" in written.getvalue()


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_links_lead_somewhere(path):
    for target in LINK.findall(read(path)):
        if target.startswith(("http://", "https://")):
            continue
        file, _, anchor = target.partition("#")
        there = path.parent / file if file else path
        assert there.exists(), f"{path.name}: {target}"
        if anchor:
            assert anchor in anchors(read(there)), f"{path.name}: {target}"


@pytest.mark.parametrize("path", sorted(DOCS.glob("*.md")), ids=name_of)
def test_what_ships_links_to_what_ships(path):
    files = {target.partition("#")[0] for target in LINK.findall(read(path)) if "://" not in target}

    assert {file for file in files if file} <= {f"{name}.md" for name in TOPICS}


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_no_document_names_a_place_of_one_machine(path):
    assert re.findall(r"(?<![\w.:/])/(?:home|work|root|tmp|Users)/\S*", read(path)) == []


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_every_command_that_is_named_exists_with_its_options(path):
    # What recipes make is theirs.
    text = read(path).split("\n## Recipes")[0]
    blocks = re.findall(
        r"^pm-app (.+)$", "\n".join(re.findall(r"```\w*\n(.*?)```", text, re.S)), re.M
    )
    for line in [*CODE.findall(text), *blocks]:
        words = line.replace("\\|", "|").split("#")[0].split()
        # A line of usage is generated from the command itself.
        if any(word.startswith("[") for word in words) or words[0] == "COMMAND":
            continue
        _require_command(words, line)


@cache
def commands() -> typer.core.TyperGroup:
    """All commands of the program."""
    return typer.main.get_command(app)


def _require_command(words: list[str], line: str) -> None:
    command = commands()
    while words and words[0] in getattr(command, "commands", {}):
        command, words = command.commands[words[0]], words[1:]
    assert command.name, f"pm-app {line}"
    options = {option for each in command.params for option in each.opts} | {"--help", "--version"}
    asked = {word.rstrip(",;") for word in words if word.startswith("-")}
    assert command is not commands() and asked <= options, f"pm-app {line}"


@pytest.mark.parametrize("name", list(GENERATED))
def test_generated_documentation_is_that_of_the_program(name):
    remedy = "python tests/support/rendered_docs.py writes it anew"

    assert read(DOCS / name) == GENERATED[name](), remedy


def test_every_table_and_column_is_described():
    described = {}
    for section in read(DOCS / "tables.md").split("\n## ")[1:]:
        name = section.splitlines()[0]
        # Views repeat columns; the contract of the store holds them to their description.
        if name == "Views":
            continue
        described[name] = re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)

    assert described == {
        table.name: [column.name for column in table.columns] for table in metadata.sorted_tables
    }


def test_the_words_of_pages_and_tables_are_explained():
    text = read(DOCS / "glossary.md") + read(DOCS / "operate.md") + read(DOCS / "how-it-learns.md")
    text += read(DOCS / "tables.md")
    words = {
        *STATUS_WORDS,
        *filter(None, STATUS_WORDS.values()),
        *filter(None, ALARM_STATES),
        *(words.lower() for words in LEVELS.values()),
        *get_args(BatchStatus),
        *STRATEGY_NAMES,
        *(word.removesuffix("ted").removesuffix("t") for word in DECISIONS if "_" not in word),
    }

    assert sorted(word for word in words if word not in text) == []


def test_every_promise_names_a_test_that_exists():
    rows = re.findall(r"^\| .+ \| .+ \| (`.+`) \|$", read(DOCS / "promises.md"), re.MULTILINE)
    paths = [path for row in rows for path in re.findall(r"tests/[\w/]+(?:\.py)?", row)]

    assert len(rows) >= 50 and len(paths) >= 50
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_every_test_that_documents_name_exists():
    paths = {
        p for each in DOCUMENTS for p in re.findall(r"tests/[\w/]+\.(?:py|md|png)", read(each))
    }

    assert sorted(path for path in paths if not (ROOT / path).exists()) == []


def test_every_file_that_contributors_are_sent_to_exists():
    guide = read(ROOT / ".github" / "CONTRIBUTING.md").split("## Recipes")[0]
    paths = set(re.findall(r"`((?:pm_app|connectors|tests)/[\w/.]+\.\w+)`", guide))

    assert len(paths) > 20
    assert sorted(path for path in paths if not (ROOT / path).exists()) == []


def make_files(folder: Path) -> None:
    """Readings and one failure as the README lays them out."""
    start = datetime(2026, 1, 1, tzinfo=UTC)
    times = [start + timedelta(minutes=10 * step) for step in range(600)]
    readings = {
        "asset_id": ["pump-1"] * 600,
        "timestamp": times,
        "vibration": [2.3 + step % 7 / 10 for step in range(600)],
        "pressure": [None if step % 50 == 0 else 6.9 for step in range(600)],
    }
    events = {
        "asset_id": ["pump-1", "pump-1"],
        "timestamp": [times[300], times[330]],
        "kind": ["failure", "maintenance"],
        "code": ["bearing", "bearing"],
    }
    pq.write_table(pa.table(readings), folder / "readings" / "one.parquet")
    pq.write_table(pa.table(events), folder / "events" / "one.parquet")


def test_the_commands_of_the_readme_run_in_its_order(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```sh\n(.*?)```", read(README), re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    commands = [line for line in lines if not line.startswith(INSTALLS)]
    assert len(lines) - len(commands) == 2

    for line in commands:
        program, *words = shlex.split(line)
        assert program == "pm-app"
        if words[0] in SERVERS:
            continue
        done = CliRunner().invoke(app, words)
        # One failure is too few to learn from, as the README says.
        too_few = words[0] == "retrain" and "not enough data: 1 failures, 10 needed" in done.output
        assert done.exit_code == 0 or too_few, (line, done.output, done.exception)
        if words[0] == "init":
            make_files(tmp_path / words[1])
