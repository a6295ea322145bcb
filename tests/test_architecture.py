"""The layers of the house, and who may use what, held against the imports of the code."""

import ast

import house
import pytest

from pm_app.cli.demo.plant import MARKER

ROOT = house.ROOT
# Each layer may import those above it, and siblings only where SIBLINGS says so.
LAYERS = {
    **dict.fromkeys(("errors", "times", "threads", "progress", "wording"), 0),
    **dict.fromkeys(("records", "settings", "durable", "docs"), 1),
    "ports": 2,
    **dict.fromkeys(("features", "learning", "scoring", "simulator"), 3),
    **dict.fromkeys(("state", "store"), 4),
    **dict.fromkeys(("jobs", "pictures"), 5),
    **dict.fromkeys(("daemon", "web", "wiring", "engine_trainer"), 6),
    **dict.fromkeys(("cli", "__main__"), 7),
}
# Files of the state folder and of the database, and systems that are not ours, need no stage of
# learning; what reads features and pictures needs no file.
HIGHEST = {3: 2, 4: 2, 8: 2}
SIBLINGS = {
    ("learning", "features"),
    ("scoring", "features"),
    # A candidate is judged by the very predictor that will score with it.
    ("learning", "scoring"),
    ("wording", "times"),
    # A plant.toml that cannot be read is told with whose it is.
    ("settings", "durable"),
    ("web", "daemon"),
    ("wiring", "daemon"),
    ("engine_trainer", "wiring"),
    ("__main__", "cli"),
}
# Parts of a folder in the order of the flow: each may import those before it.
STAGES = {
    "pm_app.learning": (
        *(
            "dataset",
            "data",
            "importance",
            "allocation",
            "network",
            "evaluation",
            "pool",
            "training",
            "normality",
        ),
        *("ranking", "rolling", "pipeline"),
    ),
    "pm_app.store": (
        *("dialects", "schema", "database", "rows", "users", "oidc_sessions", "sign_in_attempts"),
        *("lineage", "ledger", "alarms"),
        *("predictions", "opening", "migrations"),
    ),
    "pm_app.jobs": (
        *("plant", "workers", "ingest", "score", "backfill", "retrain", "normality"),
        *("backtest", "operations"),
    ),
}
ONLY_IN = {
    "tensorflow": "pm_app/learning/network",
    "keras": "pm_app/learning/network",
    "apscheduler": "pm_app/daemon/schedule",
    "sqlalchemy": ("pm_app/store", "connectors/sql"),
    "alembic": "pm_app/store",
    "connectors": "pm_app/wiring",
    "authlib": "pm_app/web/auth",
    "typer": "pm_app/cli",
    "fastapi": "pm_app/web",
    "starlette": "pm_app/web",
    "jinja2": "pm_app/web",
    "uvicorn": "pm_app/web/",
}
MODULES = house.product()


def place_of(module: house.Module) -> str:
    return module.place


every_module = pytest.mark.parametrize("module", MODULES, ids=place_of)


def part_of(name: str) -> str:
    """The part of the house a dotted name lies in: "pm_app.store.users" in "store"."""
    names = name.split(".")
    return "connectors" if names[0] == "connectors" else names[1] if len(names) > 1 else ""


@every_module
def test_a_module_imports_only_what_its_layer_may(module):
    own = part_of(module.name)
    layer = {**LAYERS, "connectors": 8, "": 7}[own]
    limit = HIGHEST.get(layer, layer - 1)

    for name in module.imports:
        other = part_of(name)
        if not name.startswith("pm_app.") or other in (own, "__version__"):
            continue
        allowed = LAYERS[other] <= limit or (own, other) in SIBLINGS
        assert allowed, f"{module.place} (layer {layer}) imports {name}"


@every_module
def test_stages_of_a_folder_import_only_earlier_ones(module):
    for folder, stages in STAGES.items():
        if not module.name.startswith(f"{folder}."):
            continue
        own = module.name.removeprefix(f"{folder}.").partition(".")[0]
        for name in module.imports:
            other = name.removeprefix(f"{folder}.").partition(".")[0]
            if name.startswith(f"{folder}.") and other != own:
                assert own in stages and other in stages, f"{folder}: {own} or {other} has no stage"
                assert stages.index(other) < stages.index(own), f"{module.place} imports {name}"


@every_module
def test_each_heavy_library_lives_behind_one_module(module):
    for name in module.imports:
        home = ONLY_IN.get(name.split(".")[0])
        own = module.place.startswith("connectors") and name.startswith("connectors")
        assert home is None or own or module.place.startswith(home), f"{module.place}: {name}"


def test_the_top_level_holds_only_what_was_agreed():
    allowed = {"pyproject.toml", "pm_app", "connectors", "tests", "deploy", "README.md"}
    found = {
        path.name
        for path in ROOT.iterdir()
        if not path.name.startswith(".") and not path.name.endswith(".egg-info")
        # The demo lays its plant beside them.
        if not (path / MARKER).exists()
    }

    assert found - {"build", "dist"} <= allowed


# Whoever changes files outside of durable.py: sources of demonstration plants and folders that a
# person asked for, the lock, what Keras needs as a file, scratch that dies with its job,
# and a word to the kernel.
CHANGES_FILES = {
    "pm_app/durable.py",
    "pm_app/cli/demo/plant.py",
    "pm_app/cli/look/checks/findings.py",
    "pm_app/cli/output.py",
    "pm_app/cli/run/init.py",
    "pm_app/state/lock.py",
    "pm_app/jobs/backtest/fold.py",
    "pm_app/jobs/operations/backup.py",
    "pm_app/jobs/score/explain.py",
    "pm_app/jobs/score/replay.py",
    "pm_app/jobs/retrain/request.py",
    "pm_app/jobs/retrain/process.py",
    "pm_app/learning/network/serialization.py",
    "connectors/cmapss.py",
}
CHANGES = {
    *("unlink", "rmdir", "mkdir", "makedirs", "removedirs", "rmtree", "rename", "renames"),
    *("write_text", "write_bytes", "touch", "symlink_to", "hardlink_to", "link", "symlink"),
    *("chmod", "fsync", "fdatasync", "truncate", "copyfile", "copytree", "copy2", "move"),
    *("TemporaryDirectory", "NamedTemporaryFile", "mkstemp", "mkdtemp"),
}


def changes_files(call: ast.Call) -> bool:
    """Whether a call has the shape of one that changes the file system."""
    name = call.func.attr if isinstance(call.func, ast.Attribute) else ""
    if name in {"replace", "remove", "open"}:
        owner = getattr(getattr(call.func, "value", None), "id", "")
        return owner == "os"
    if name in CHANGES:
        return True
    modes = [a.value for a in call.args if isinstance(a, ast.Constant) and isinstance(a.value, str)]
    opens = name == "open" or getattr(call.func, "id", "") == "open"
    return opens and any(set(mode) & set("wax+") and len(mode) <= 3 for mode in modes)


@every_module
def test_files_are_changed_in_one_place(module):
    calls = (n for n in ast.walk(module.tree) if isinstance(n, ast.Call))
    found = [ast.unparse(call) for call in calls if changes_files(call)]

    assert not found or module.place in CHANGES_FILES
