"""API Gateway in this process: a WSGI application that makes proxy events of requests and calls the functions.

Routes are the template's. A request that no route takes is answered as API Gateway itself would answer it:
https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-lambda-proxy-integrations.html
"""

import base64
import json
import re
import uuid
from collections.abc import Callable, Iterable, Iterator
from http import HTTPStatus
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

from tests.contract import stack
from tests.contract.account import Account

Environ = dict[str, Any]
NO_ROUTE = "MissingAuthenticationTokenException"
"""How API Gateway itself calls a request that no route takes."""

DOCUMENT = stack.ROOT / "openapi" / "weir.json"


class Match(NamedTuple):
    """A route that takes a request, and what its path parameters are."""

    route: stack.Route
    parameters: dict[str, str]


class Gateway:
    """The application; ``account`` holds the functions that it calls."""

    def __init__(self) -> None:
        self.account: Account | None = None

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        status, headers, body = self._answer(environ)
        start_response(f"{status} {HTTPStatus(status).phrase}", headers)
        return [body]

    def _answer(self, environ: Environ) -> tuple[int, list[tuple[str, str]], bytes]:
        path = environ["PATH_INFO"].encode("latin-1").decode("utf-8", "replace")
        if path == "/openapi.json":
            return 200, [("Content-Type", "application/json")], DOCUMENT.read_bytes()
        found = match(environ["REQUEST_METHOD"], path.removeprefix("/v1"))
        if found is None or self.account is None:
            told = json.dumps({"message": "Missing Authentication Token"}).encode()
            return 403, [("Content-Type", "application/json"), ("x-amzn-ErrorType", NO_ROUTE)], told
        answer = self.account.call(found.route.function, event(environ, found, path.removeprefix("/v1")))
        body = answer.get("body") or ""
        raw = base64.b64decode(body) if answer.get("isBase64Encoded") else body.encode()
        headers = [(name, str(value)) for name, value in answer.get("headers", {}).items()]
        headers += [(name, value) for name, values in answer.get("multiValueHeaders", {}).items() for value in values]
        return answer["statusCode"], headers, raw


def match(method: str, path: str) -> Match | None:
    """The route that API Gateway would choose: a literal path before one with parameters."""
    for route in sorted(stack.routes(), key=lambda one: one.path.count("{")):
        pattern = re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", re.escape(route.path))
        found = re.fullmatch(pattern, path)
        if found and route.method == method:
            return Match(route, found.groupdict())
    return None


def event(environ: Environ, found: Match, path: str) -> dict[str, Any]:
    """The proxy event of a request."""
    length = int(environ.get("CONTENT_LENGTH") or 0)
    body = environ["wsgi.input"].read(length).decode("utf-8", "replace") if length else None
    headers = dict(sent_headers(environ))
    query: dict[str, list[str]] = {}
    for name, value in parse_qsl(environ.get("QUERY_STRING", ""), keep_blank_values=True):
        query.setdefault(name, []).append(value)
    return {
        "resource": found.route.path,
        "path": path,
        "httpMethod": found.route.method,
        "headers": headers,
        "multiValueHeaders": {name: [value] for name, value in headers.items()},
        "queryStringParameters": {name: values[-1] for name, values in query.items()} or None,
        "multiValueQueryStringParameters": query or None,
        "pathParameters": found.parameters or None,
        "stageVariables": None,
        "requestContext": {
            "accountId": stack.ACCOUNT,
            "httpMethod": found.route.method,
            "path": f"/v1{path}",
            "requestId": str(uuid.uuid4()),
            "resourcePath": found.route.path,
            "stage": "v1",
        },
        "body": body,
        "isBase64Encoded": False,
    }


def sent_headers(environ: Environ) -> Iterator[tuple[str, str]]:
    """The request's headers by their usual names."""
    if environ.get("CONTENT_TYPE"):
        yield "Content-Type", environ["CONTENT_TYPE"]
    for key, value in environ.items():
        if key.startswith("HTTP_"):
            yield key.removeprefix("HTTP_").replace("_", "-").title(), value
