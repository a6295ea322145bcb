"""Measures of the house: files a folder, importers a file, names, lengths, parameters.

    python tests/support/house.py

prints them for the tree that it lies in; `tests/test_architecture.py` holds them to their bounds.
"""

import ast
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MOST_FILES, MOST_TEST_FILES = 12, 15
MOST_LINES, MOST_FUNCTION_LINES, MOST_PARAMETERS = 350, 40, 6
# A file shorter than this that one other file imports belongs into that one.
SPLINTER_LINES = 60
# Rows of a table are short by nature: a file each, which the table alone imports.
ROWS = (
    "pm_app/cli/look/",
    "pm_app/cli/act/",
    "pm_app/cli/run/",
    "pm_app/web/pages/",
    "pm_app/web/api/",
    "pm_app/learning/allocation/rules/",
    "pm_app/store/database/dialects/",
    "pm_app/store/migrations/",
    "connectors/",
)
# Words that name no value: each had ten meanings. One is a key of every version's card on disk.
NO_NAMES = {"told", "said", "known", "made"}
STORED_NAMES = {("pm_app/records/learning.py", "said")}

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, eq=False)
class Module:
    """One Python file of the product, parsed. place: its path from the top, with slashes."""

    place: str
    text: str
    tree: ast.Module

    @property
    def name(self) -> str:
        """Its dotted name."""
        return self.place.removesuffix(".py").removesuffix("/__init__").replace("/", ".")

    @property
    def lines(self) -> int:
        """How many lines it has."""
        return self.text.count("\n")

    @cached_property
    def imports(self) -> set[str]:
        """Every absolute module it imports, also inside functions, and what it takes of each."""
        found: set[str] = set()
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                found.update(alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{self.place}: relative import"
                found.add(node.module or "")
                found.update(f"{node.module}.{alias.name}" for alias in node.names)
        return found

    @cached_property
    def functions(self) -> list[Function]:
        """Every function and method, nested ones included."""
        return [node for node in ast.walk(self.tree) if isinstance(node, Function)]

    @cached_property
    def classes(self) -> list[ast.ClassDef]:
        """Every class, nested ones included."""
        return [node for node in ast.walk(self.tree) if isinstance(node, ast.ClassDef)]


def product(root: Path = ROOT) -> list[Module]:
    """Every Python file of pm_app and connectors, by path."""
    paths = sorted([*root.glob("pm_app/**/*.py"), *root.glob("connectors/**/*.py")])
    texts = ((path, path.read_text(encoding="utf-8")) for path in paths)
    return [
        Module(path.relative_to(root).as_posix(), text, ast.parse(text)) for path, text in texts
    ]


def files_a_folder(root: Path = ROOT) -> dict[str, int]:
    """How many Python files lie in each folder, `__init__` and steps of migrations left out."""
    counts: dict[str, int] = defaultdict(int)
    for top in ("pm_app", "connectors", "tests"):
        for path in root.glob(f"{top}/**/*.py"):
            folder = path.parent.relative_to(root).as_posix()
            if path.name != "__init__.py" and not folder.endswith("migrations/versions"):
                counts[folder] += 1
    return dict(counts)


def importers(modules: list[Module]) -> dict[str, set[str]]:
    """The places that import each place, packages' own `__init__` included."""
    places = {module.name: module.place for module in modules}
    found: dict[str, set[str]] = {module.place: set() for module in modules}
    for module in modules:
        for name in module.imports:
            place = places.get(name)
            if place is not None and place != module.place:
                found[place].add(module.place)
    return found


def splinters(modules: list[Module]) -> dict[str, str]:
    """Short files that one other file of their layer imports, and which; rows excepted."""
    by_place = importers(modules)
    found = {
        module.place: next(iter(by_place[module.place]))
        for module in modules
        if module.lines < SPLINTER_LINES
        and len(by_place[module.place]) == 1
        and not module.place.endswith("__init__.py")
        and not module.place.startswith(ROWS)
    }
    return {
        one: other
        for one, other in found.items()
        # A package's `__init__` is the face of its files, not their user.
        if _layer(one) == _layer(other) and not other.endswith("__init__.py")
    }


def _layer(place: str) -> str:
    """The part of the house: a job of few lines and its command belong into two of them."""
    return "/".join(place.split("/")[:2])


def duplicate_classes(modules: list[Module]) -> dict[str, list[str]]:
    """Class names, a leading underscore apart, that stand for more than one thing."""
    places: dict[str, list[str]] = defaultdict(list)
    for module in modules:
        for node in module.classes:
            places[node.name.lstrip("_")].append(f"{module.place}:{node.lineno}")
    return {name: found for name, found in sorted(places.items()) if len(found) > 1}


def function_lines(modules: list[Module]) -> list[tuple[int, str]]:
    """Lines of every function with its place, longest first."""
    found = [
        ((node.end_lineno or node.lineno) - node.lineno + 1, _at(module, node))
        for module in modules
        for node in module.functions
    ]
    return sorted(found, reverse=True)


def parameter_counts(modules: list[Module]) -> list[tuple[int, str]]:
    """Parameters of every function but `self`, most first; commands' options are no parameters."""
    found = [
        (_count_parameters(node), _at(module, node))
        for module in modules
        for node in module.functions
        if not _is_command(node)
    ]
    return sorted(found, reverse=True)


def takers_of(modules: list[Module], record: str) -> list[str]:
    """`module:function` of every function with a parameter annotated as this class."""
    return sorted(
        f"{module.name}:{node.name}"
        for module in modules
        for node in module.functions
        for argument in _arguments(node)
        if argument.annotation is not None
        and record in ast.unparse(argument.annotation).strip("'\"").split(" | ")
    )


def values_named(modules: list[Module], names: set[str]) -> list[str]:
    """Where a variable, attribute, parameter or function bears one of these names."""
    return sorted(
        f"{module.place}:{line} {name}"
        for module in modules
        for line, name in _bound_names(module.tree)
        if name.lstrip("_") in names and (module.place, name) not in STORED_NAMES
    )


def _bound_names(tree: ast.Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.attr
        elif isinstance(node, ast.arg):
            yield node.lineno, node.arg
        elif isinstance(node, Function | ast.ClassDef):
            yield node.lineno, node.name


def _arguments(node: Function) -> list[ast.arg]:
    return [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]


def _count_parameters(node: Function) -> int:
    return len([a for a in _arguments(node) if a.arg not in ("self", "cls")])


def _is_command(node: Function) -> bool:
    """Whether its parameters are the options of a command: Typer reads them from annotations."""
    annotations = [ast.unparse(a.annotation) for a in _arguments(node) if a.annotation]
    return any("Option" in text or "Argument" in text for text in annotations)


def _at(module: Module, node: Function) -> str:
    return f"{module.place}:{node.lineno} {node.name}"


def _print_rows(title: str, rows: list[str]) -> None:
    print(f"\n{title}: {len(rows)}")
    for row in rows:
        print(f"  {row}")


def main() -> None:
    """Print every measure of the tree."""
    modules = product()
    lines = sum(module.lines for module in modules)
    print(f"product: {len(modules)} files, {lines:,} lines")
    folders = sorted(files_a_folder().items(), key=lambda item: (-item[1], item[0]))
    _print_rows("files a folder", [f"{count:3} {folder}" for folder, count in folders])
    by_place = importers(modules)
    single = [place for place, users in by_place.items() if len(users) == 1]
    print(f"\nfiles that one other imports: {len(single)}")
    _print_rows("splinters", [f"{a} <- {b}" for a, b in splinters(modules).items()])
    doubles = duplicate_classes(modules)
    _print_rows("duplicate class names", [f"{a}: {', '.join(b)}" for a, b in doubles.items()])
    longest = sorted(((m.lines, m.place) for m in modules), reverse=True)
    _print_rows("longest files", [f"{n:4} {place}" for n, place in longest[:5]])
    functions = function_lines(modules)
    _print_rows("longest functions", [f"{n:4} {place}" for n, place in functions[:5]])
    over = [f"{n:4} {place}" for n, place in functions if n > MOST_FUNCTION_LINES]
    _print_rows(f"functions over {MOST_FUNCTION_LINES} lines", over)
    many = [f"{n:4} {place}" for n, place in parameter_counts(modules) if n > MOST_PARAMETERS]
    _print_rows(f"parameters above {MOST_PARAMETERS}", many)
    named = values_named(modules, NO_NAMES)
    _print_rows(f"values named {', '.join(sorted(NO_NAMES))}", named)
    _print_rows("functions that take the plant", takers_of(modules, "Plant"))


if __name__ == "__main__":
    sys.exit(main())
