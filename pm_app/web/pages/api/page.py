"""API page: every address, parameter and record of the OpenAPI document, without scripts."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from fastapi import APIRouter, FastAPI, Request, Response

from pm_app.web.context import Page, PageContext

Schema = Mapping[str, Any]
_REFERENCE: Final = "#/components/schemas/"
_BOUNDS: Final = {"minimum": "from", "maximum": "to", "maxLength": "characters up to"}


@dataclass(frozen=True)
class Value:
    """A parameter or field: its name, what it takes, and what is said of it."""

    name: str
    kind: str
    words: str


@dataclass(frozen=True)
class Operation:
    """One method of one address. answer: the record that comes, "" for none of ours."""

    method: str
    path: str
    summary: str
    description: str
    parameters: tuple[Value, ...]
    body: str
    answer: str


@dataclass(frozen=True)
class Record:
    """An object of JSON that is sent or comes."""

    name: str
    description: str
    fields: tuple[Value, ...]


def add_api_page(router: APIRouter, context: PageContext) -> None:
    """The page."""

    @router.get("/api")
    def show(request: Request) -> Response:
        found, named = _document(request.app)
        base = f"{context.settings.web.prefix}/api/v1"
        return context.show(
            request, API_PAGE, title="API", base=base, operations=found, records=named
        )


@cache
def _document(app: FastAPI) -> tuple[list[Operation], list[Record]]:
    document = app.openapi()
    return [*operations(document)], [*records(document)]


def operations(document: Schema) -> Iterator[Operation]:
    """Of an OpenAPI document, in its order."""
    for path, methods in document["paths"].items():
        for method, found in methods.items():
            answers = found["responses"].get("200", {}).get("content", {})
            body = found.get("requestBody", {}).get("content", {})
            yield Operation(
                method=method.upper(),
                path=path,
                summary=found.get("summary", ""),
                description=found.get("description", ""),
                parameters=tuple(map(_parameter, found.get("parameters", ()))),
                body=_kind(_json_schema(body)),
                answer=_kind(_json_schema(answers)),
            )


def records(document: Schema) -> Iterator[Record]:
    """Objects that the document names, by name; those of the framework's own errors are none."""
    for name, schema in sorted(document["components"]["schemas"].items()):
        if "properties" in schema and "Validation" not in name:
            required = schema.get("required", ())
            fields = tuple(
                Value(field, _kind(inner), "" if field in required else "may be left out")
                for field, inner in schema["properties"].items()
            )
            yield Record(name, schema.get("description", ""), fields)


def _json_schema(content: Schema) -> Schema:
    found: Schema = content.get("application/json", {}).get("schema", {})
    return found


def _parameter(found: Schema) -> Value:
    schema = found["schema"]
    words = [f"in the {found['in']}"] + (["required"] if found.get("required") else [])
    if schema.get("default") not in (None, ""):
        words.append(f"{schema['default']} by default")
    return Value(found["name"], _kind(schema), ", ".join(words))


def _kind(schema: Schema) -> str:
    """What a value is, in words; records by their name."""
    if "$ref" in schema:
        return str(schema["$ref"]).removeprefix(_REFERENCE)
    if "anyOf" in schema:
        return " or ".join(_kind(choice) for choice in schema["anyOf"])
    if "enum" in schema or "const" in schema:
        return ", ".join(str(value) for value in schema.get("enum", [schema.get("const")]))
    if schema.get("type") == "array":
        return f"list of {_kind(schema.get('items', {}))}".rstrip()
    if schema.get("type") == "object" and isinstance(schema.get("additionalProperties"), dict):
        return f"object of {_kind(schema['additionalProperties'])}"
    bounds = [f"{word} {schema[key]:,}" for key, word in _BOUNDS.items() if key in schema]
    kind = str(schema.get("format", schema.get("type", "")))
    return " ".join([kind, *bounds])


API_PAGE: Final = Page("api", "/api", add_api_page)
