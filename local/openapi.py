"""The OpenAPI document, made from the handlers: ``python -m local.openapi`` writes it, ``--check`` compares.

Every module under ``functions/`` that makes an ``APIGatewayRestResolver`` is loaded beside the deployed layers, asked
for its schema (https://docs.aws.amazon.com/powertools/python/latest/core/event_handler/openapi/) and for what its
routes need of their callers, ``NEEDS``, and merged. ``openapi_answers`` then tells what every route answers besides its
own, ``openapi_security`` who may call it, and ``openapi_page`` makes ``docs/api.md``, which people browse. The gateway,
which is no such handler, has its routes in ``openapi_models``. No AWS is asked for anything.
"""

import argparse
import difflib
import importlib.util
import json
import os
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import Any

from local import openapi_models, places
from local.openapi_answers import COMPONENTS, SCHEMAS, with_common_answers, without_own_errors
from local.openapi_page import page
from local.openapi_security import SECURITY_SCHEMES, with_security

DOCUMENT = places.REPOSITORY / "openapi" / "weir.json"
PAGE = places.REPOSITORY / "docs" / "api.md"
LAYER = places.REPOSITORY / "layers" / "weir" / "python"
RESOLVER = "app = APIGatewayRestResolver("
HEADING: dict[str, Any] = {
    "openapi": "3.1.0",
    "servers": [{"url": "/v1", "description": "The stage of the stack's API; its output ApiUrl is the whole address"}],
    "tags": [
        {"name": "analyses", "description": "What the metrics of streams tell, by rules, and in words"},
        {"name": "api-keys", "description": "Keys for scripts and services"},
        {"name": "audit", "description": "Who changed what in identity, when, and from where"},
        {"name": "auth", "description": "Log-in with a password or at a provider, tokens, registration"},
        {"name": "caps", "description": "What may be used of models, by whom, in which time"},
        {"name": "health", "description": "Liveness, and readiness of each dependency"},
        {"name": "metrics", "description": "CloudWatch metrics of streams"},
        {"name": "model prices", "description": "What tokens of models cost, from when on"},
        {"name": "model providers", "description": "Who serves models, and where; their keys can be written alone"},
        {"name": "model routes", "description": "From a name to models of providers, and for whom"},
        openapi_models.TAG,
        {"name": "package files", "description": "Uploads and downloads of the files of packages, by presigned URLs"},
        {"name": "package imports", "description": "Repositories of the Hugging Face Hub as versions of packages"},
        {"name": "package trust", "description": "Rules, scores and signatures of versions; public keys"},
        {"name": "packages", "description": "Model packages: versions, aliases, yanks, their audit"},
        {"name": "prompts", "description": "Templates by which a model is told what to do"},
        {"name": "records", "description": "Records of streams, written and read"},
        {"name": "runs", "description": "Proofs of a stream end to end"},
        {"name": "streams", "description": "Kinesis streams and their shards"},
        {"name": "usage", "description": "Calls of models, one by one and summed up"},
        {"name": "users", "description": "Users, their roles and groups; for admins"},
    ],
}
DIFFERENCES_TOLD = 20


class MergeError(Exception):
    """Two handlers describe the same route or schema differently."""


def document() -> dict[str, Any]:
    """The whole API as an OpenAPI 3.1 document."""
    paths: dict[str, Any] = {}
    schemas: dict[str, Any] = {}
    needs: dict[str, str] = {}
    for source, module in handlers():
        schema = json.loads(module.app.get_openapi_json_schema(title="Weir", version="0"))
        part = _renamed(_ordered(without_own_errors(schema)), schemas, source.parent.name)
        _merge(paths, part.get("paths", {}), source)
        _merge(schemas, part.get("components", {}).get("schemas", {}), source)
        _merge(needs, module.NEEDS, source)
    for path, methods in paths.items():
        for method, operation in methods.items():
            guarded = with_security(operation, needs.get(f"{method.upper()} {path}"))
            methods[method] = with_common_answers(guarded)
    components = {name: COMPONENTS[name] | openapi_models.COMPONENTS[name] for name in COMPONENTS}
    components["schemas"] |= schemas
    return HEADING | {
        "info": _info(),
        "paths": paths | openapi_models.paths(),
        "components": components | {"securitySchemes": SECURITY_SCHEMES},
    }


def handlers() -> Iterator[tuple[Path, ModuleType]]:
    """Every module that has routes: its file, and itself, loaded as Lambda loads it."""
    for source in sorted((places.REPOSITORY / "functions").glob("*/*.py")):
        if RESOLVER in source.read_text(encoding="utf-8"):
            yield source, _loaded(source)


def render() -> dict[Path, str]:
    """The committed files and what they shall hold: keys sorted, so that only a change of the API changes them."""
    described = document()
    return {DOCUMENT: json.dumps(described, indent=2, sort_keys=True) + "\n", PAGE: page(described)}


def _info() -> dict[str, str]:
    project = tomllib.loads((places.REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return {"title": "Weir", "version": str(project["version"]), "description": str(project["description"]) + "."}


def _loaded(source: Path) -> ModuleType:
    """One handler module, loaded as Lambda loads it: its folder and the layer on the path."""
    name = f"openapi_{source.parent.name}_{source.stem}"
    with _settings(), _on_path(source.parent, LAYER):
        spec = importlib.util.spec_from_file_location(name, source)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return module


@contextmanager
def _on_path(*folders: Path) -> Iterator[None]:
    before = list(sys.path)
    sys.path[:0] = [str(folder) for folder in folders]
    try:
        yield
    finally:
        sys.path[:] = before


@contextmanager
def _settings() -> Iterator[None]:
    """Handlers refuse to load without their settings; describing routes uses none of the values."""
    with _on_path(LAYER):
        from weir.runtime import settings
    before = dict(os.environ)
    for name in settings.Settings.__dataclass_fields__:
        if getattr(settings.Settings(), name) == "":
            os.environ.setdefault(settings.PREFIX + name.upper(), "openapi")
    settings.forget()
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
        settings.forget()


def _ordered(value: Any) -> Any:
    """A schema whose sets are sorted: Python's come in another order in every process."""
    if isinstance(value, list):
        return [_ordered(one) for one in value]
    if not isinstance(value, dict):
        return value
    ordered = {key: _ordered(one) for key, one in value.items()}
    if ordered.get("uniqueItems") and isinstance(ordered.get("default"), list):
        ordered["default"].sort()
    return ordered


def _renamed(part: dict[str, Any], known: dict[str, Any], function: str) -> dict[str, Any]:
    """A part whose schemas that another handler uses for something else carry the function's name."""
    schemas = part.get("components", {}).get("schemas", {})
    for name in [name for name, schema in schemas.items() if known.get(name, schema) != schema]:
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


def stale(wanted: dict[Path, str]) -> list[str]:
    """What differs from the committed files, as the first lines of a unified diff each."""
    told: list[str] = []
    for path, text in wanted.items():
        committed = path.read_text(encoding="utf-8") if path.exists() else ""
        name = str(path.relative_to(places.REPOSITORY))
        lines = difflib.unified_diff(
            committed.splitlines(), text.splitlines(), name, "what the handlers say", n=1, lineterm=""
        )
        told += islice(lines, DIFFERENCES_TOLD)
    return told


def main(arguments: list[str] | None = None) -> int:
    """Write the files, or tell how the committed ones are stale."""
    parser = argparse.ArgumentParser(prog="python -m local.openapi", description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare with the committed files, write nothing")
    wanted = render()
    if not parser.parse_args(arguments).check:
        for path, text in wanted.items():
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return 0
    differences = stale(wanted)
    if not differences:
        return 0
    print("The description of the API is not what the handlers say. Run `make openapi` and commit.", file=sys.stderr)
    print("\n".join(differences), file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
