"""Refuse to deploy a template whose HTTP routes anybody may call: ``python -m local.open_routes template.yaml``.

A route is open when neither it nor its API names an authorizer. Those in ``OPEN_BY_DESIGN`` are; those in
``GUARDED_BY_THEIR_FUNCTION`` look so and are not. The model is SAM's:
``Auth.DefaultAuthorizer`` on the API guards every route of it, and ``Auth.Authorizer`` on a route's event replaces
that, ``NONE`` opening it (https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/, "ApiAuth"
and "ApiFunctionAuth"). Routes written into an OpenAPI ``DefinitionBody`` are not looked into: such an API counts as
open.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

OPEN_BY_DESIGN = frozenset(
    {
        "GET /health",
        "GET /health/aws",
        "GET /health/llm",
        "POST /auth/login",
        "POST /auth/refresh",
        "POST /auth/register",
        "POST /auth/token",
        "GET /auth/providers",
        "GET /auth/oauth/{provider}/authorize",
        "GET /auth/oauth/{provider}/callback",
    }
)
"""What anybody may call: health, and the ways in."""

GUARDED_BY_THEIR_FUNCTION = frozenset(
    {
        "POST /anthropic/v1/messages",
        "POST /anthropic/v1/messages/count_tokens",
        "GET /anthropic/v1/models",
        "POST /openai/v1/chat/completions",
        "POST /openai/v1/embeddings",
        "GET /openai/v1/models",
        "POST /bedrock/model/{model_id}/converse",
        "POST /bedrock/model/{model_id}/converse-stream",
        "POST /bedrock/model/{model_id}/invoke",
        "POST /bedrock/model/{model_id}/invoke-with-response-stream",
    }
)
"""Models: the gateway checks credentials by itself, for it takes ``x-api-key`` too, and refuses in many dialects."""

API_TYPES = frozenset({"Api", "HttpApi"})
NO_AUTHORIZER = "NONE"


class _Template(yaml.SafeLoader):
    """CloudFormation's YAML: a tagged node (``!Ref Api``) becomes ``{"Ref": "Api"}``."""


def _tagged(loader: yaml.SafeLoader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    if isinstance(node, yaml.ScalarNode):
        return {suffix: loader.construct_scalar(node)}
    if isinstance(node, yaml.SequenceNode):
        return {suffix: loader.construct_sequence(node, deep=True)}
    assert isinstance(node, yaml.MappingNode)
    return {suffix: loader.construct_mapping(node, deep=True)}


_Template.add_multi_constructor("!", _tagged)


def parse(text: str) -> dict[str, Any]:
    """A template's document."""
    document: dict[str, Any] = yaml.load(text, Loader=_Template)  # noqa: S506 - a SafeLoader
    return document


def open_routes(template: dict[str, Any]) -> list[str]:
    """Routes without an authorizer, as ``GET /path (Function)``, in the template's order."""
    resources: dict[str, Any] = template.get("Resources", {})
    guarded = {name for name, resource in resources.items() if _default_authorizer(template, resource)}
    found = [f"every route of {name}" for name, resource in resources.items() if _has_own_routes(resource)]
    for name, resource in resources.items():
        routes = [event["Properties"] for event in _events(resource) if event.get("Type") in API_TYPES]
        found += [f"{_named(route)} ({name})" for route in routes if _is_open(route, guarded)]
    return found


def _events(resource: dict[str, Any]) -> list[dict[str, Any]]:
    return list((resource.get("Properties", {}).get("Events") or {}).values())


def _named(route: dict[str, Any]) -> str:
    return f"{route.get('Method', 'ANY').upper()} {route['Path']}"


def _is_open(route: dict[str, Any], guarded: set[str]) -> bool:
    if _named(route) in OPEN_BY_DESIGN | GUARDED_BY_THEIR_FUNCTION:
        return False
    own = (route.get("Auth") or {}).get("Authorizer")
    if own:
        return bool(own == NO_AUTHORIZER)
    return not any(api in guarded for api in _apis(route))


def _apis(route: dict[str, Any]) -> Iterator[str]:
    for field in ("RestApiId", "ApiId"):
        named = route.get(field)
        if isinstance(named, dict):
            yield str(named.get("Ref"))
        elif named:
            yield str(named)


def _default_authorizer(template: dict[str, Any], resource: dict[str, Any]) -> bool:
    kind = resource.get("Type", "").removeprefix("AWS::Serverless::")
    if kind not in API_TYPES:
        return False
    inherited = template.get("Globals", {}).get(kind, {}).get("Auth") or {}
    auth = inherited | (resource.get("Properties", {}).get("Auth") or {})
    return bool(auth.get("DefaultAuthorizer", NO_AUTHORIZER) != NO_AUTHORIZER)


def _has_own_routes(resource: dict[str, Any]) -> bool:
    properties = resource.get("Properties", {})
    return (
        "DefinitionBody" in properties or "DefinitionUri" in properties if "Api" in resource.get("Type", "") else False
    )


def main() -> int:
    """Tell the open routes; the status is non-zero if there are any."""
    found = open_routes(parse(Path(sys.argv[1]).read_text()))
    if not found:
        return 0
    print("Not deployed: anybody could call these routes, because no authorizer guards them:", file=sys.stderr)
    for route in found:
        print(f"  {route}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
