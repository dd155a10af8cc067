"""The OpenAPI document, made from the handlers: ``python -m local.openapi`` writes it, ``--check`` compares.

Every module under ``functions/`` that makes an ``APIGatewayRestResolver`` is loaded beside the deployed layers, asked
for its schema, and merged. What Powertools adds by itself to describe failed validation is replaced by what the API
really answers: a problem document (RFC 9457).
"""

import argparse
import importlib.util
import json
import os
import sys
from pathlib import Path
from typing import Any

from local import places

DOCUMENT = places.REPOSITORY / "openapi" / "weir.json"
LAYER = places.REPOSITORY / "layers" / "weir" / "python"
RESOLVER = "app = APIGatewayRestResolver("
TITLE = "Weir"
SCHEMAS = "#/components/schemas/"
PROBLEM = "application/problem+json"
PROBLEM_SCHEMA: dict[str, Any] = {
    "title": "Problem",
    "description": "RFC 9457 problem details.",
    "type": "object",
    "required": ["type", "title", "status", "detail", "instance", "request_id"],
    "properties": {
        "type": {"type": "string", "format": "uri"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "instance": {"type": "string"},
        "request_id": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["field", "message"],
                "properties": {"field": {"type": "string"}, "message": {"type": "string"}},
            },
        },
    },
}
_REPLACED = ("HTTPValidationError", "ResponseValidationError", "ValidationError")


class MergeError(Exception):
    """Two handlers describe the same route or schema differently."""


def document() -> dict[str, Any]:
    """The whole API as an OpenAPI 3.1 document, keys sorted."""
    merged: dict[str, Any] = {"paths": {}, "components": {"schemas": {"Problem": PROBLEM_SCHEMA}}}
    for source in sorted((places.REPOSITORY / "functions").glob("*/*.py")):
        if RESOLVER in source.read_text():
            part = _renamed(_schema(source), merged["components"]["schemas"], source.parent.name)
            _merge(merged["paths"], part.get("paths", {}), source)
            _merge(merged["components"]["schemas"], _schemas(part), source)
    for operation in (o for path in merged["paths"].values() for o in path.values() if isinstance(o, dict)):
        _tell_problems(operation)
    heading = {"openapi": "3.1.0", "info": {"title": TITLE, "version": _version()}, "servers": [{"url": "/v1"}]}
    return heading | merged


def render() -> str:
    """The document as the text that is committed."""
    return json.dumps(document(), indent=2, sort_keys=True) + "\n"


def _schema(source: Path) -> dict[str, Any]:
    """One handler module's own schema, loaded as Lambda loads it: its folder and the layer on the path."""
    added = [str(source.parent), str(LAYER)]
    sys.path[:0] = added
    try:
        spec = importlib.util.spec_from_file_location(f"openapi_{source.parent.name}_{source.stem}", source)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    finally:
        for folder in added:
            sys.path.remove(folder)
    described: dict[str, Any] = json.loads(module.app.get_openapi_json_schema(title=TITLE, version=_version()))
    return described


def _schemas(part: dict[str, Any]) -> dict[str, Any]:
    schemas = part.get("components", {}).get("schemas", {})
    return {name: schema for name, schema in schemas.items() if name not in _REPLACED}


def _renamed(part: dict[str, Any], known: dict[str, Any], function: str) -> dict[str, Any]:
    """A part whose schemas that another handler uses for something else carry the function's name."""
    taken = [name for name, schema in _schemas(part).items() if known.get(name, schema) != schema]
    for name in taken:
        own = function.title().replace("_", "") + name
        part = json.loads(json.dumps(part).replace(f'"{SCHEMAS}{name}"', f'"{SCHEMAS}{own}"'))
        part["components"]["schemas"][own] = part["components"]["schemas"].pop(name)
    return part


def _merge(whole: dict[str, Any], part: dict[str, Any], source: Path) -> None:
    for name, value in part.items():
        if isinstance(value, dict) and isinstance(whole.get(name), dict) and name.startswith("/"):
            _merge(whole[name], value, source)  # another method of the same path
        elif whole.setdefault(name, value) != value:
            raise MergeError(f"{source.relative_to(places.REPOSITORY)} describes {name} unlike another handler")


def _tell_problems(operation: dict[str, Any]) -> None:
    for status, response in operation.get("responses", {}).items():
        content = response.get("content") or {}
        replaced = any(f"{SCHEMAS}{name}" in json.dumps(content) for name in _REPLACED)
        if replaced or (status >= "400" and PROBLEM in content):
            response["content"] = {PROBLEM: {"schema": {"$ref": f"{SCHEMAS}Problem"}}}


def _version() -> str:
    import tomllib

    project = tomllib.loads((places.REPOSITORY / "pyproject.toml").read_text())["project"]
    return str(project["version"])


def _stand_in_settings() -> None:
    """Handlers refuse to load without their settings; describing routes uses none of the values."""
    sys.path.insert(0, str(LAYER))
    from dataclasses import fields

    from weir.runtime.settings import PREFIX, Settings

    for field in fields(Settings):
        if field.default == "":
            os.environ.setdefault(PREFIX + field.name.upper(), "openapi")
    os.environ.setdefault("AWS_DEFAULT_REGION", places.REGION)


def main() -> int:
    """Write the document, or tell that the committed one is stale."""
    parser = argparse.ArgumentParser(prog="python -m local.openapi", description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare with the committed document")
    check = parser.parse_args().check
    _stand_in_settings()
    text = render()
    if not check:
        DOCUMENT.parent.mkdir(exist_ok=True)
        DOCUMENT.write_text(text)
        return 0
    if DOCUMENT.exists() and DOCUMENT.read_text() == text:
        return 0
    print("openapi/weir.json is not what the handlers say: make openapi", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
