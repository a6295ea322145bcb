"""The layer table of the project, held against what the modules import."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LAYERS = {
    "errors": 0,
    "records": 1,
    "settings": 1,
    "settings_values": 1,
    "times": 1,
    "wording": 1,
    "second_look": 1,
    "durable": 1,
    "instants": 1,
    "clock": 1,
    "threads": 1,
    "segments": 1,
    "pane_tables": 2,
    "settings_sections": 1,
    "survival": 1,
    "scores": 1,
    "ports": 2,
    "features": 3,
    "learning": 3,
    "scoring": 3,
    "simulator": 3,
    "registry": 4,
    "history": 4,
    "event_history": 4,
    "memories": 4,
    "state_lock": 4,
    "health": 4,
    "supervisor": 4,
    "store": 4,
    "jobs": 5,
    "pictures": 5,
    "turns": 6,
    "daemon": 6,
    "wiring": 6,
    "engine_trainer": 6,
    "demo": 6,
    "web": 6,
    "cli": 7,
}
# Within a layer only these may see each other: settings and records are made of times,
# learning's stages follow one another.
SAME_LAYER = {
    ("survival", "records"),
    ("scores", "records"),
    ("settings", "settings_values"),
    ("durable", "instants"),
    ("segments", "durable"),
    ("settings", "settings_sections"),
    ("settings_sections", "settings_values"),
    ("settings_sections", "times"),
    ("settings_values", "times"),
    ("records", "times"),
    ("wording", "times"),
    ("demo", "wiring"),
    ("engine_trainer", "wiring"),
    ("daemon", "turns"),
    ("web", "turns"),
}
ONLY_IN = {
    "tensorflow": "pm_app/learning/network",
    "keras": "pm_app/learning/network",
    "apscheduler": "pm_app/turns",
    "sqlalchemy": "pm_app/store",
    "alembic": "pm_app/store",
    "connectors": "pm_app/wiring",
    "typer": "pm_app/cli",
    "fastapi": "pm_app/web",
    "starlette": "pm_app/web",
    "jinja2": "pm_app/web",
    "uvicorn": "pm_app/cli/serve",
}
SOURCES = sorted([*ROOT.glob("pm_app/**/*.py"), *ROOT.glob("connectors/**/*.py")])


def imports_of(path: Path) -> set[str]:
    """Every absolute module this file imports, also inside functions."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found.add(node.module or "")
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return found


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_a_module_imports_only_what_its_layer_may(path):
    place = name_of(path)
    parts = place.removesuffix(".py").split("/")
    own = parts[1] if parts[0] == "pm_app" else "connectors"
    if own == "__init__" or own == "__main__":
        return
    layer = 8 if own == "connectors" else LAYERS[own]
    limit = 2 if own == "connectors" else {3: 2, 4: 2}.get(layer, layer)

    for module in imports_of(path):
        names = module.split(".")
        if names[0] != "pm_app" or len(names) < 2 or names[1] == own or names[1] == "__version__":
            continue
        other = LAYERS[names[1]]
        allowed = other <= limit if limit != layer else other < layer
        assert allowed or (own, names[1]) in SAME_LAYER, f"{place} (layer {layer}) imports {module}"


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_each_heavy_library_lives_behind_one_module(path):
    place = name_of(path)
    for module in imports_of(path):
        home = ONLY_IN.get(module.split(".")[0])
        own = place.startswith("connectors") and module.startswith("connectors")
        assert home is None or own or place.startswith(home), f"{place} imports {module}"


def test_the_top_level_holds_only_what_was_agreed():
    allowed = {"pyproject.toml", "pm_app", "connectors", "tests", "deploy", "README.md"}
    found = {
        path.name
        for path in ROOT.iterdir()
        if not path.name.startswith(".") and not path.name.endswith(".egg-info")
    }

    assert found - {"build", "dist"} <= allowed


# Whoever changes files outside of durable.py: sources of demonstration plants and folders that a
# person asked for, the lock, what Keras needs as a file, scratch that dies with its job,
# and a word to the kernel.
CHANGES_FILES = {
    "pm_app/durable.py",
    "pm_app/cli/demo/plant.py",
    "pm_app/cli/act/export.py",
    "pm_app/cli/run/plant.py",
    "pm_app/state/lock.py",
    "pm_app/jobs/backtest/fold.py",
    "pm_app/jobs/operations/backup.py",
    "pm_app/jobs/score/explain.py",
    "pm_app/jobs/score/replay.py",
    "pm_app/jobs/retrain/run.py",
    "pm_app/jobs/retrain/process.py",
    "pm_app/learning/network/storing.py",
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


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_files_are_changed_in_one_place(path):
    calls = (n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Call))
    found = [ast.unparse(call) for call in calls if changes_files(call)]

    assert not found or name_of(path) in CHANGES_FILES
