"""Lists: ``limit`` (50 unless asked, at most 200) and an opaque, signed ``cursor``; never a silent truncation.

A cursor is ``base64url(json).base64url(mac)``. The MAC (HMAC-SHA-256, truncated to 128 bits) covers what the list is
(its kind and filters), so a cursor of one list can't be used on another, or be edited to read elsewhere.

Anybody can read what a cursor says. Where that may be the name of a thing that its bearer must not know of,
``seal_hidden`` makes it unreadable, by the same secret: the keystream is HMAC-SHA-256 over a nonce and a counter.
"""

import base64
import binascii
import hashlib
import hmac
import json
from secrets import token_bytes
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


def seal_hidden(kind: str, position: dict[str, Any]) -> str:
    """A cursor that tells its bearer nothing; for ``open_hidden``."""
    payload = json.dumps(position, separators=(",", ":"), sort_keys=True).encode()
    nonce = token_bytes(16)
    return seal(kind, {"nonce": _encode(nonce), "hidden": _encode(_masked(kind, nonce, payload))})


def open_hidden(kind: str, cursor: str) -> dict[str, Any]:
    """The position in a cursor that ``seal_hidden`` made for the same ``kind``. BadRequest for any other text."""
    sealed = open_cursor(kind, cursor)
    if sealed.keys() != {"nonce", "hidden"}:
        raise _not_ours()
    position: dict[str, Any] = json.loads(_masked(kind, _decode(sealed["nonce"]), _decode(sealed["hidden"])))
    return position


def _masked(kind: str, nonce: bytes, payload: bytes) -> bytes:
    """The payload under its keystream, or from under it. A key of its own keeps it apart from the MACs."""
    secret = secrets.secret(settings(needs=("cursor_secret_arn",)).cursor_secret_arn).encode()
    key = hmac.digest(secret, b"hidden cursors", hashlib.sha256)
    blocks = range(-(-len(payload) // 32))
    stream = b"".join(
        hmac.digest(key, nonce + block.to_bytes(4, "big") + kind.encode(), hashlib.sha256) for block in blocks
    )
    return bytes(one ^ other for one, other in zip(payload, stream, strict=False))


def _not_ours() -> BadRequest:
    return BadRequest("The cursor is not one that this list gave out. Start again without a cursor.")
