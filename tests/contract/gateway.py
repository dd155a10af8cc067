"""API Gateway in this process: a WSGI application that makes proxy events of requests and calls the functions.

Routes are the template's, and so is the authorizer that is asked about every route which is not open. A request that no
route takes, or that the authorizer refuses, is answered as API Gateway itself would answer it:
https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-lambda-proxy-integrations.html
https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-use-lambda-authorizer.html
"""

import base64
import json
import re
import uuid
from collections.abc import Callable, Iterable, Iterator
from fnmatch import fnmatchcase
from functools import lru_cache
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
        sent = event(environ, found, path.removeprefix("/v1"))
        if not found.route.is_open:
            try:
                decision = self.account.call(stack.authorizer(), authorizer_event(sent))
            except Exception as error:
                return gateway_answer("UNAUTHORIZED" if str(error) == "Unauthorized" else "AUTHORIZER_FAILURE", sent)
            if not allows(decision["policyDocument"], method_arn(sent)):
                return gateway_answer("ACCESS_DENIED", sent)
            sent["requestContext"]["authorizer"] = {"principalId": decision["principalId"], **decision["context"]}
        answer = self.account.call(found.route.function, sent)
        body = answer.get("body") or ""
        raw = base64.b64decode(body) if answer.get("isBase64Encoded") else body.encode()
        headers = [(name, str(value)) for name, value in answer.get("headers", {}).items()]
        headers += [(name, value) for name, values in answer.get("multiValueHeaders", {}).items() for value in values]
        return answer["statusCode"], headers, raw


def method_arn(sent: dict[str, Any]) -> str:
    """What an authorizer is asked about."""
    where = f"arn:aws:execute-api:{stack.REGION}:{stack.ACCOUNT}:abcde12345"
    return f"{where}/v1/{sent['httpMethod']}{sent['path']}"


def authorizer_event(sent: dict[str, Any]) -> dict[str, Any]:
    """The event that an authorizer of type REQUEST gets of a request: all of it but the body."""
    kept = {name: value for name, value in sent.items() if name not in {"body", "isBase64Encoded"}}
    return {"type": "REQUEST", "methodArn": method_arn(sent), **kept}


def allows(policy: dict[str, Any], arn: str) -> bool:
    """Whether a policy of Allow statements lets a call through."""
    return any(
        statement["Effect"] == "Allow" and fnmatchcase(arn, pattern)
        for statement in policy["Statement"]
        for pattern in stack.many(statement["Resource"])
    )


def gateway_answer(kind: str, sent: dict[str, Any]) -> tuple[int, list[tuple[str, str]], bytes]:
    """A gateway response of the template."""
    told = stack.gateway_response(kind)
    text = str(told["ResponseTemplates"]["application/json"])
    known = {name: sent["requestContext"][name] for name in ("path", "requestId")}
    for name, value in known.items():
        text = text.replace(f"$context.{name}", json.dumps(value)[1:-1])
    headers = [
        (name, known["requestId"] if source == "context.requestId" else source.strip("'"))
        for name, source in told["ResponseParameters"]["Headers"].items()
    ]
    return int(told["StatusCode"]), headers, text.encode()


def match(method: str, path: str) -> Match | None:
    """The route that API Gateway would choose: a literal path before one with parameters."""
    for route, pattern in patterns():
        if route.method == method and (found := pattern.fullmatch(path)):
            return Match(route, found.groupdict())
    return None


@lru_cache(maxsize=1)
def patterns() -> list[tuple[stack.Route, re.Pattern[str]]]:
    """Every route with the paths that it takes, in the order in which they are looked at."""
    return [
        (route, re.compile(re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", re.escape(route.path))))
        for route in sorted(stack.routes(), key=lambda one: one.path.count("{"))
    ]


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
            "apiId": "abcde12345",
            "domainName": f"abcde12345.execute-api.{stack.REGION}.amazonaws.com",
            "httpMethod": found.route.method,
            "identity": {"sourceIp": "203.0.113.7", "userAgent": headers.get("User-Agent", "")},
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
