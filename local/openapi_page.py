"""``docs/api.md``: the OpenAPI document as a page to browse, on any host that shows Markdown, without a script."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from local.openapi_security import told as who_may_call

Document = Mapping[str, Any]
METHODS = ("get", "post", "put", "patch", "delete")
TOLD_ONCE = ("500", "default")
_BOUNDS = (
    ("minimum", "maximum", ""),
    ("minLength", "maxLength", " characters"),
    ("minItems", "maxItems", " items"),
)
HEAD = """\
# {title} {version}: the HTTP API

{description}

Made from the handlers by `make openapi`, as is [openapi/weir.json](../openapi/weir.json), which tools read. Paths stand
below the stage: `{server}`. Every failure is a [Problem](#problem) as `application/problem+json` (RFC 9457), those that
no table tells included; the routes of models tell theirs in their callers' dialects
([guides/gateway.md](guides/gateway.md)). Every answer bears `X-Request-Id`, every 202 `Location`, and 409, 429 and 503
bear `Retry-After` where trying again may help. Where a route needs a log-in, send `Authorization: Bearer` with an
access token or an API key; [guides/security.md](guides/security.md) tells which role brings which scope.
"""


def page(document: Document) -> str:
    """The document as Markdown: a table of the routes, then each route, then each schema."""
    info, server = document["info"], document["servers"][0]["url"]
    parts = [HEAD.format(**info, server=server), *_table(document)]
    for _, path, method, operation in _operations(document):
        parts += _operation(path, method, operation)
    parts.append("\n## Schemas\n")
    for name, schema in sorted(document["components"]["schemas"].items()):
        parts += _schema(name, schema)
    return "\n".join(parts).rstrip() + "\n"


def _operations(document: Document) -> list[tuple[str, str, str, Document]]:
    found = [
        (operation["tags"][0], path, method, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    return sorted(found, key=lambda one: (one[0], one[1], METHODS.index(one[2])))


def _table(document: Document) -> Iterator[str]:
    for tag in document["tags"]:
        yield f"\n**{tag['name']}**: {tag['description']}\n"
        yield "| route | |"
        yield "|---|---|"
        for name, path, method, operation in _operations(document):
            if name == tag["name"]:
                yield f"| [`{method.upper()} {path}`](#{operation['operationId'].lower()}) | {operation['summary']} |"


def _operation(path: str, method: str, operation: Document) -> Iterator[str]:
    yield f"\n## {operation['operationId']}\n"
    yield f"`{method.upper()} {path}`: {operation['summary']}.\n"
    if "description" in operation:
        yield operation["description"] + "\n"
    yield who_may_call(operation) + "\n"
    if operation.get("parameters"):
        yield "| parameter | in | type | |"
        yield "|---|---|---|---|"
        for one in operation["parameters"]:
            name = f"`{one['name']}`" + (" (required)" if one.get("required") else "")
            yield f"| {name} | {one['in']} | {_type(one['schema'])} | {_cell(one.get('description', ''))} |"
        yield ""
    if "requestBody" in operation:
        yield f"Body: {_content(operation['requestBody'])}\n"
    yield "| answer | body | |"
    yield "|---|---|---|"
    for status in sorted(set(operation["responses"]) - set(TOLD_ONCE)):
        answer = operation["responses"][status]
        yield f"| {status} | {_content(answer)} | {_cell(answer['description'])} |"


def _schema(name: str, schema: Document) -> Iterator[str]:
    yield f"\n### {name}\n"
    if "description" in schema:
        yield schema["description"].replace("``", "`") + "\n"
    if "properties" not in schema:
        yield _type(schema)
        return
    yield "| field | type | |"
    yield "|---|---|---|"
    required = schema.get("required", ())
    for field, one in schema["properties"].items():
        told = _cell(one.get("description", ""))
        yield f"| `{field}`{' (required)' if field in required else ''} | {_type(one)} | {told} |"


def _content(described: Document) -> str:
    found = [f"{_type(one.get('schema', {}))} as `{kind}`" for kind, one in (described.get("content") or {}).items()]
    return "; ".join(found) or "none"


def _type(schema: Document) -> str:
    """A schema in a few words: its type or a link to it, its limits, its default."""
    if "$ref" in schema:
        told = _link(schema["$ref"])
    elif "enum" in schema or "const" in schema:
        told = ", ".join(f"`{value}`" for value in schema.get("enum", [schema.get("const")]))
    elif "anyOf" in schema or "oneOf" in schema:
        told = " or ".join(_type(one) for one in schema.get("anyOf", schema.get("oneOf")) or ())
    elif schema.get("type") == "array":
        told = f"list of {_type(schema.get('items') or {})}"
    else:
        told = str(schema.get("format") or schema.get("type") or "any")
    return told + "".join(_limits(schema))


def _limits(schema: Document) -> Iterator[str]:
    """Bounds, pattern and default of a value, each with what leads to it."""
    for least, most, counted in _BOUNDS:
        low, high = schema.get(least), schema.get(most)
        if low is not None and high is not None:
            yield f", {low:,.10g} to {high:,.10g}{counted}"
        elif low is not None:
            yield f", at least {low:,.10g}{counted}"
        elif high is not None:
            yield f", at most {high:,.10g}{counted}"
    if "exclusiveMinimum" in schema:
        yield f", more than {schema['exclusiveMinimum']:,.10g}"
    if "pattern" in schema:
        yield f", like `{_cell(schema['pattern'])}`"
    if schema.get("default") is not None:
        yield f"; `{_cell(json.dumps(schema['default']))}` unless given"


def _link(reference: str) -> str:
    name = reference.rsplit("/", 1)[1]
    return f"[{name}](#{name.lower()})"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
