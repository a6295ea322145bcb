"""Reference of plant.toml: an example with every key, and tables of keys in Markdown.

Both are made from what the sections say of themselves, so that each key is explained once.
"""

import json
import textwrap
from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from pm_app.settings.plant import Settings

Given = Mapping[str, Mapping[str, Any]]
_HEAD = "# Every key with its default; each may be left out. What is commented out is an example."
_COMMENT_COLUMN = 40
_LINE_WIDTH = 100


def example_toml(given: Given | None = None, *, named: Given | None = None) -> str:
    """A plant.toml that gives every key its default; those without one are comments.

    given: values of other keys, by section and key; any text will do, it is quoted here. named:
    the same of tables that are named by whoever needs them, such as 'sensors."Druck [bar]"'.
    """
    lines = [_HEAD, *_example_lines(given or {})]
    for table, keys in (named or {}).items():
        lines += ["", f"[{table}]", *(f"{key} = {_toml(value)}" for key, value in keys.items())]
    return "\n".join(lines) + "\n"


def named_table(section: str, name: str) -> str:
    """How a table of that section is headed: sensors and Druck [bar] give sensors."Druck [bar]"."""
    return f"{section}.{_toml(name)}"


def reference_markdown() -> str:
    """Sections and keys with what they take, their defaults and their meaning, as Markdown."""
    return "\n".join(_reference_lines()) + "\n"


def settings_sections() -> dict[str, type[BaseModel]]:
    """The tables of plant.toml by name, in the order of the file."""
    return {name: section for name, section in _tables().items() if name.isalpha()}


def _tables() -> dict[str, type[BaseModel]]:
    """Tables by name, with those of which there may be any number, like modes.NAME."""
    found = {}
    for name, field in Settings.model_fields.items():
        section = _section_of(field)
        if section is None:
            continue
        found[f"{name}.NAME" if get_args(field.annotation) else name] = section
        for key, inner in section.model_fields.items():
            if (named := _section_of(inner)) is not None:
                found[f"{name}.{key}.NAME"] = named
    return found


def _section_of(field: FieldInfo) -> type[BaseModel] | None:
    """The section that a field holds, or holds any number of; None where it is a key."""
    inner = get_args(field.annotation)
    section = inner[-1] if inner else field.annotation
    return section if isinstance(section, type) and issubclass(section, BaseModel) else None


def _keys_again(name: str, section: type[BaseModel], *, mark: str) -> str:
    """What a table takes whose keys are those of the one it lies in."""
    keys = ", ".join(f"{mark}{key}{mark}" for key in section.model_fields)
    return f"Keys, as in [{name.split('.')[0]}]: {keys}."


def keys_of(section: type[BaseModel]) -> dict[str, FieldInfo]:
    """The keys of a table that are no tables themselves."""
    return {key: each for key, each in section.model_fields.items() if _section_of(each) is None}


def _example_lines(given: Given) -> Iterator[str]:
    for name, section in _tables().items():
        yield ""
        yield from _comment(_summary(section))
        yield f"[{name}]" if name.isalpha() else f"# [{name}]"
        if name.count(".") > 1:
            yield from _comment(_keys_again(name, section, mark=""))
            continue
        for key, field in keys_of(section).items():
            value = given.get(name, {}).get(key)
            lines = _key_lines(key, field, value)
            # Of tables that are named by whoever needs them there is none by default.
            yield from lines if name.isalpha() else map(_commented, lines)


def _key_lines(key: str, field: FieldInfo, value: Any) -> Iterator[str]:
    """`key = value  # meaning`, the meaning above where it is long; None: the default.

    Commented out where an example stands for what is not set by default.
    """
    assignment = f"{key} = {_toml(field.default if value is None else value)}"
    if value is None and not _is_set(field):
        assignment = f"# {key} = {_toml(_example(field))}"
    line = f"{assignment:<{_COMMENT_COLUMN - 2}}  # {field.description}"
    if len(line) <= _LINE_WIDTH:
        yield line
    else:
        yield from _comment(field.description or "")
        yield assignment


def _commented(line: str) -> str:
    return line if line.startswith("#") else f"# {line}"


def _comment(text: str) -> list[str]:
    return [f"# {line}" for line in textwrap.wrap(text, _LINE_WIDTH - 2)]


def _is_set(field: FieldInfo) -> bool:
    """Whether there is anything by default."""
    return field.default not in (None, "", (), {})


def _example(field: FieldInfo) -> Any:
    return (field.examples or [field.default])[0]


def _reference_lines() -> Iterator[str]:
    schema = Settings.model_json_schema()
    for name, section in _tables().items():
        yield from (f"## [{name}]", "", _summary(section), "")
        if name.count(".") > 1:
            yield from (_keys_again(name, section, mark="`"), "")
            continue
        yield from (
            "| key | takes | default, or none and an example | meaning |",
            "| --- | --- | --- | --- |",
        )
        properties = schema["$defs"][section.__name__]["properties"]
        for key, field in keys_of(section).items():
            takes, default = _kind(properties[key]), _default_cell(field)
            yield f"| `{key}` | {takes} | {default} | {field.description} |"
        yield ""


def _summary(section: type[BaseModel]) -> str:
    return " ".join((section.__doc__ or "").split())


def _default_cell(field: FieldInfo) -> str:
    return f"`{_toml(field.default)}`" if _is_set(field) else f"none; `{_toml(_example(field))}`"


def _kind(schema: dict[str, Any]) -> str:
    """What a value has to be, from its JSON schema."""
    if "anyOf" in schema:
        kinds = (_kind(choice) for choice in schema["anyOf"] if choice.get("type") != "null")
        return " or ".join(kinds)
    if "const" in schema or "enum" in schema:
        return ", ".join(f"`{json.dumps(v)}`" for v in schema.get("enum", [schema.get("const")]))
    kind = str(schema.get("type", ""))
    if kind == "array":
        return f"list of {_kind(schema['items'])}"
    if kind == "object":
        return f"table of text to {_kind(schema['additionalProperties'])}"
    words = {"string": "text", "integer": "whole number", "boolean": "true or false"}
    text = str(schema.get("format", words.get(kind, kind)))
    return f"{text}{_bounds(schema)}"


def _bounds(schema: dict[str, Any]) -> str:
    words = {
        "minimum": "from",
        "exclusiveMinimum": "above",
        "maximum": "to",
        "exclusiveMaximum": "below",
    }
    return "".join(
        f" {word} {_number(schema[key])}" for key, word in words.items() if key in schema
    )


def _number(value: float) -> str:
    return f"{int(value):,}" if value == int(value) else str(value)


def _toml(value: Any) -> str:
    """A value as TOML has it; a TOML string takes what a JSON string does."""
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{_toml(key)} = {_toml(each)}' for key, each in value.items())} }}"
    return json.dumps(value, ensure_ascii=False)
