"""Lists: ``limit`` (50 unless asked, at most 200) and an opaque, signed ``cursor``; never a silent truncation.

A cursor is ``base64url(json).base64url(mac)``. The MAC (HMAC-SHA-256, truncated to 128 bits) covers what the list is
(its kind and filters), so a cursor of one list can't be used on another, or be edited to read elsewhere.
"""

import base64
import binascii
import hashlib
import hmac
import json
from typing import Any

from weir.runtime import secrets
from weir.runtime.errors import BadRequest
from weir.runtime.settings import settings

DEFAULT_LIMIT = 50
MAX_LIMIT = 200


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _mac(kind: str, payload: bytes) -> bytes:
    key = secrets.secret(settings(needs=("cursor_secret_arn",)).cursor_secret_arn).encode()
    return hmac.digest(key, kind.encode() + b"\x00" + payload, hashlib.sha256)[:16]


def seal(kind: str, position: dict[str, Any]) -> str:
    """The cursor for a JSON-able position of the list ``kind`` (name and filters, such as ``runs:all``)."""
    payload = json.dumps(position, separators=(",", ":"), sort_keys=True).encode()
    return f"{_encode(payload)}.{_encode(_mac(kind, payload))}"


def open_cursor(kind: str, cursor: str) -> dict[str, Any]:
    """The position in a cursor that ``seal`` made for the same ``kind``. BadRequest for any other text."""
    try:
        payload_text, mac_text = cursor.split(".")
        payload, mac = _decode(payload_text), _decode(mac_text)
    except (ValueError, binascii.Error) as error:
        raise _not_ours() from error
    if not hmac.compare_digest(mac, _mac(kind, payload)):
        raise _not_ours()
    position: dict[str, Any] = json.loads(payload)
    return position


def _not_ours() -> BadRequest:
    return BadRequest("The cursor is not one that this list gave out. Start again without a cursor.")
