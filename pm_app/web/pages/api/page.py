"""API page: every address, parameter and record of the OpenAPI document, without scripts."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final
from urllib.parse import quote, urlencode

from fastapi import APIRouter, FastAPI, Request, Response

from pm_app.web.api.document import api_document
from pm_app.web.context import Page, PageContext

Schema = Mapping[str, Any]
_REFERENCE: Final = "#/components/schemas/"
_KINDS: Final = {
    "string": "text",
    "integer": "whole number",
    "boolean": "true or false",
    "date-time": "time with its zone",
}
_BOUNDS: Final = {"minimum": "from", "maximum": "to"}


@dataclass(frozen=True)
class Value:
    """A parameter or field: its name, what it takes, and what is said of it."""

    name: str
    kind: str
    words: str


@dataclass(frozen=True)
class Operation:
    """One method of one address. answer: the record that comes, "" for none of ours.

    example: what stands in the address of a request, and sent: the JSON that goes with it.
    """

    method: str
    path: str
    summary: str
    description: str
    parameters: tuple[Value, ...]
    body: str
    answer: str
    example: str
    sent: str


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
        scheme = "https" if context.authenticator.over_tls(request) else "http"
        server = f"{scheme}://{request.headers.get('host', '')}{context.settings.web.prefix}"
        return context.show(
            request, API_PAGE, title="API", server=server, operations=found, records=named
        )


@cache
def _document(app: FastAPI) -> tuple[list[Operation], list[Record]]:
    document = api_document(app)
    return [*operations(document)], [*records(document)]


def operations(document: Schema) -> Iterator[Operation]:
    """Of an OpenAPI document, in its order."""
    for path, methods in document["paths"].items():
        for method, found in methods.items():
            answers = found["responses"].get("200", {}).get("content", {})
            body = _json_schema(found.get("requestBody", {}).get("content", {}))
            parameters = found.get("parameters", ())
            yield Operation(
                method=method.upper(),
                path=path,
                summary=found.get("summary", ""),
                description=found.get("description", ""),
                parameters=tuple(map(_parameter, parameters)),
                body=_kind(body),
                answer=_kind(_json_schema(answers)),
                example=_example_path(path, parameters),
                sent=_example_body(body, document["components"]["schemas"]),
            )


def records(document: Schema) -> Iterator[Record]:
    """Objects that the document names, by name; those of the framework's own errors are none."""
    for name, schema in sorted(document["components"]["schemas"].items()):
        if "properties" in schema and "Validation" not in name:
            required = schema.get("required", ())
            fields = tuple(
                Value(field, _kind(inner), _field_words(inner, needed=field in required))
                for field, inner in schema["properties"].items()
            )
            yield Record(name, schema.get("description", "").replace("`", ""), fields)


def _field_words(schema: Schema, *, needed: bool) -> str:
    words = [str(schema.get("description", "")), "" if needed else "may be left out"]
    return "; ".join(filter(None, words))


def _example_path(path: str, parameters: Iterable[Schema]) -> str:
    """The path with examples of what it takes, and of its query."""
    query: dict[str, object] = {}
    for found in parameters:
        example = found.get("example")
        if found["in"] == "path":
            path = path.replace(f"{{{found['name']}}}", quote(str(example or "NAME")))
        elif example is not None:
            query[found["name"]] = example
    return f"{path}?{urlencode(query, safe=':')}" if query else path


def _example_body(body: Schema, schemas: Schema) -> str:
    """JSON of a record that is sent, by the examples of its fields; "" where nothing is."""
    named = next((each for each in (body, *body.get("anyOf", ())) if "$ref" in each), None)
    if named is None:
        return ""
    fields = schemas[_kind(named)]["properties"].items()
    return json.dumps({name: each["examples"][0] for name, each in fields if "examples" in each})


def _json_schema(content: Schema) -> Schema:
    found: Schema = content.get("application/json", {}).get("schema", {})
    return found


def _parameter(found: Schema) -> Value:
    schema = found["schema"]
    words = [str(found.get("description", ""))] + (["needed"] if found.get("required") else [])
    if schema.get("default") not in (None, ""):
        words.append(f"{json.dumps(schema['default'])} by default")
    # An address carries no null: what may be null may be left out.
    kind = _kind(schema).removesuffix(" or null")
    return Value(found["name"], kind, "; ".join(filter(None, words)))


def _kind(schema: Schema) -> str:
    """What a value is, in words; records by their name."""
    if "$ref" in schema:
        return str(schema["$ref"]).removeprefix(_REFERENCE)
    if "anyOf" in schema:
        kinds = [_kind(choice) for choice in schema["anyOf"]]
        return " or ".join(sorted(kinds, key="null".__eq__))
    if "enum" in schema or "const" in schema:
        return ", ".join(str(value) for value in schema.get("enum", [schema.get("const")]))
    if schema.get("type") == "array":
        return f"list of {_kind(schema.get('items', {}))}".rstrip()
    if schema.get("type") == "object" and isinstance(schema.get("additionalProperties"), dict):
        return f"object of {_kind(schema['additionalProperties'])}"
    bounds = [f"{word} {schema[key]:,}" for key, word in _BOUNDS.items() if key in schema]
    kind = str(schema.get("format", schema.get("type", "")))
    longest = f", at most {schema['maxLength']:,} characters" if "maxLength" in schema else ""
    return " ".join([_KINDS.get(kind, kind), *bounds]) + longest


API_PAGE: Final = Page("api", "/api", add_api_page)
