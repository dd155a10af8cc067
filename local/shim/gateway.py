"""API Gateway's REST APIs at the edge: its own answers, the caller's address, repeated headers, limits of one route.

AWS:

- Gateway responses stand in the API's OpenAPI document (``x-amazon-apigateway-gateway-responses``), where SAM puts
  them; ``$context.path`` in one is the path that was asked for
  (https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-gatewayResponse-definition.html).
- ``requestContext.identity.sourceIp`` is the address of the connection, whatever ``X-Forwarded-For`` says; it is put at
  the end of that header (https://docs.aws.amazon.com/apigateway/latest/developerguide/
  api-gateway-mapping-template-reference.html).
- A header that comes twice is two values in ``multiValueHeaders``, and the last of them in ``headers``
  (https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-lambda-proxy-integrations.html).
- A body above 10 MB is REQUEST_TOO_LARGE (https://docs.aws.amazon.com/apigateway/latest/developerguide/limits.html).
- A route in a stage's ``MethodSettings`` has each of its slashes as ``~1``
  (https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-properties-apigateway-stage-methodsetting.html).

- A function may answer without a body, or with null.

The emulator imports no gateway responses, takes the caller's word for the address, joins repeated headers by commas,
takes any body, finds no settings of one route, and breaks at a body that is null.
"""

import contextvars
import json
from typing import Any
from urllib.parse import quote

from ministack import app
from ministack.core.responses import get_request_client_ip
from ministack.core.sigv4 import decode_header_value
from ministack.services import apigateway_v1
from ministack.services.cloudformation import provisioners

from local.shim.patching import patch

RESPONSES = "x-amazon-apigateway-gateway-responses"
MOST_BODY_BYTES = 10_485_760
_FORWARDED = "x-forwarded-for"
_sent: contextvars.ContextVar[list[tuple[bytes, bytes]]] = contextvars.ContextVar("sent", default=[])  # noqa: B039
_path: contextvars.ContextVar[str] = contextvars.ContextVar("path", default="")


@patch(app, "pin_signed_request")
def remember_headers(
    original: Any, method: str, raw_path: str, query: Any, headers: Any, *rest: Any, **named: Any
) -> Any:
    """Keep the headers as they were sent, before equal names are made one."""
    _sent.set(list(headers))
    return original(method, raw_path, query, headers, *rest, **named)


@patch(apigateway_v1, "_import_rest_api")
def import_api(original: Any, document: Any, base_data: Any = None) -> Any:
    """Import the document's gateway responses, too."""
    api_id = original(document, base_data)
    for kind, response in (document.get(RESPONSES) or {}).items():
        answer = apigateway_v1._put_gateway_response(api_id, kind, response)
        if answer[0] >= 400:
            raise ValueError(f"The gateway response {kind} was refused: {answer[2]!r}")
    return api_id


@patch(apigateway_v1, "_handle_execute_in_scope")
async def handle(
    original: Any, api_id: str, stage: str, method: str, path: str, headers: Any, body: Any, *rest: Any
) -> Any:
    """Remember what was asked for."""
    _path.set(quote(f"/{stage}{path}", safe="/%:@!$&'()*+,;=~"))
    return await original(api_id, stage, method, path, headers, body, *rest)


@patch(apigateway_v1, "_execute_in_scope")
async def execute(original: Any, request: Any, *arguments: Any) -> Any:
    """Refuse a body that is too large, once the stage is known whose answer that is."""
    api_id, stage, body = arguments[0], arguments[1], arguments[5]
    known = apigateway_v1._stages_v1.get(api_id, {}).get(stage)
    if known and len(body or b"") > MOST_BODY_BYTES:
        request["stage"] = known
        return apigateway_v1._gw_error("REQUEST_TOO_LARGE", f"HTTP content length exceeded {MOST_BODY_BYTES} bytes.")
    return await original(request, *arguments)


@patch(apigateway_v1, "_gateway_error_response")
def gateway_response(original: Any, error: Any, request: Any) -> Any:
    """Tell the path in an answer that names it."""
    status, headers, body = original(error, request)
    return status, headers, body.replace(b"$context.path", json.dumps(_path.get())[1:-1].encode())


@patch(apigateway_v1, "_build_lambda_event_v1")
def event_of_a_function(original: Any, *arguments: Any, **named: Any) -> Any:
    """The event of a function behind a route."""
    return _as_sent(original(*arguments, **named))


@patch(apigateway_v1, "_invoke_authorizer_lambda")
async def event_of_an_authorizer(original: Any, authorizer: Any, event: Any, *scope: Any) -> Any:
    """The event of an authorizer."""
    return await original(authorizer, _as_sent(event) if "requestContext" in event else event, *scope)


def _as_sent(event: dict[str, Any]) -> dict[str, Any]:
    address = get_request_client_ip()
    headers: dict[str, list[str]] = {}
    for name, value in _sent.get():
        headers.setdefault(name.decode("latin-1").lower(), []).append(decode_header_value(value))
    headers[_FORWARDED] = [", ".join([*headers.get(_FORWARDED, []), address])]
    context = event["requestContext"]
    return event | {
        "headers": {name: values[-1] for name, values in headers.items()},
        "multiValueHeaders": headers,
        "requestContext": context | {"identity": context["identity"] | {"sourceIp": address}},
    }


@patch(apigateway_v1, "_lambda_proxy_response")
def answer_of_a_function(original: Any, result: dict[str, Any]) -> Any:
    """A function's answer, its body being text."""
    answer, failure = original(result)
    return ({**answer, "body": ""} if answer and answer.get("body") is None else answer), failure


@patch(provisioners, "_apigw_method_settings")
def method_settings(original: Any, raw: Any) -> Any:
    """Settings of one route, by its path as the emulator looks it up."""
    return {name.replace("~1", "/").replace("//", "/"): one for name, one in original(raw).items()}
