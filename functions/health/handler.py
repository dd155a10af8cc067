"""HTTP: liveness, at once and out of the standard library alone; everything else goes to ``health_routes``.

``GET /health`` without ``check`` is asked by load balancers and people in a hurry: it loads neither the resolver nor
pydantic nor botocore, which together are most of a cold start.
"""

import json
from importlib import import_module
from typing import Any

from weir.health.liveness import ALIVE
from weir.runtime import http


def handler(event: dict[str, Any], context: Any) -> Any:
    """Answer an API Gateway proxy event."""
    if event.get("path") == "/health" and event.get("httpMethod") == "GET" and not _asks(event):
        return {
            "statusCode": 200,
            "headers": {
                "Content-Type": "application/json",
                "Cache-Control": "no-store",
                "X-Request-Id": http.request_id(event),
            },
            "body": json.dumps(ALIVE),
        }
    return import_module("health_routes").handler(event, context)


def _asks(event: dict[str, Any]) -> bool:
    return bool(event.get("queryStringParameters") or event.get("multiValueQueryStringParameters"))
