"""API Gateway: the authorizer of every route but the public ones. The rules are in ``weir.identity.authorizing``.

It loads no Powertools, whose logger alone would cost a cold start 40 ms: what it logs, refusals, it writes by itself,
in JSON lines as well.
"""

import json
import sys
from typing import Any

from weir.identity import authorizing
from weir.identity.authorizing import Gate
from weir.identity.errors import BadToken
from weir.identity.keyring import Keyring
from weir.identity.revocations import Revocations
from weir.identity.table import table
from weir.runtime import aws, secrets
from weir.runtime.clock import SYSTEM, rfc3339
from weir.runtime.observability import traced
from weir.runtime.settings import settings

NEEDED = ("identity_table", "signing_secret_arn", "key_pepper_secret_arn", "token_issuer")
settings(needs=NEEDED)


class Unauthorized(Exception):
    """API Gateway answers 401 to an authorizer that fails with this very word, and AUTHORIZER_FAILURE to any other."""

    def __init__(self) -> None:
        super().__init__("Unauthorized")


def _gate() -> Gate:
    """This process's gate, and its clients."""
    conf, items = settings(), table()
    aws.client("secretsmanager")
    return Gate(
        items,
        Keyring(lambda stage: secrets.version(conf.signing_secret_arn, stage), SYSTEM.monotonic),
        Revocations(items, SYSTEM),
        lambda: secrets.secret(conf.key_pepper_secret_arn).encode(),
        issuer=conf.token_issuer,
        audience=conf.token_audience,
        clock=SYSTEM,
    )


def _handle(event: dict[str, Any], _: Any) -> dict[str, Any]:
    try:
        admitted = GATE.admit(authorizing.bearer(event))
    except BadToken as error:
        _tell(event, error.reason)
        raise Unauthorized from None
    return authorizing.allow(event["methodArn"], admitted)


def _tell(event: dict[str, Any], reason: str) -> None:
    """Log a refusal: why, of what, from where, and never the credential."""
    conf, request = settings(), event.get("requestContext") or {}
    line = {
        "level": "WARNING",
        "message": "refused",
        "timestamp": rfc3339(SYSTEM.now()),
        "service": conf.service,
        "stage": conf.stage,
        "reason": reason,
        "route": f"{event.get('httpMethod')} {event.get('resource')}",
        "source_ip": (request.get("identity") or {}).get("sourceIp"),
        "request_id": request.get("requestId"),
    }
    sys.stdout.write(json.dumps(line) + "\n")


GATE = _gate()  # at the start, and not in the first request, for there is no request that needs none of it
handler = traced(_handle)
