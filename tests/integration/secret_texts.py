"""Every secret that the suite uses: none of them may stand in a log, and the last test looks for them there.

Clients made by ``watched`` note what they send and get by themselves.
"""

import json
import os
from collections.abc import Iterator
from typing import Any

import httpx

from local import places, stack

SHORTEST = 12
"""Characters: shorter texts turn up by chance."""

FIELDS = frozenset(
    {
        *("password", "current_password", "new_password", "access_token", "refresh_token", "device", "secret"),
        *("code", "code_verifier", "client_secret"),
    }
)
"""Members of bodies that hold a secret."""

OF_OURS = 43
"""Characters of base64url at the end of Weir's own keys and tokens, which may hold underscores."""

KEPT = places.SCRATCH / "secrets"
"""Where processes leave what they have used, each in a file that nobody else may read; `make down` removes them."""

_known: set[str] = set()


def remember(*secrets: str | None) -> None:
    """Note secrets as they were used."""
    _known.update(secret for secret in secrets if secret and len(secret) >= SHORTEST)


def keep() -> None:
    """Leave them to the process that looks for them."""
    KEPT.mkdir(parents=True, exist_ok=True)
    stack.write_private(KEPT / f"{os.getpid()}.json", json.dumps(sorted(_known)))


def take() -> int:
    """Note what other processes have left; how many there were."""
    left = list(KEPT.glob("*.json"))
    for file in left:
        remember(*json.loads(file.read_text()))
        file.unlink()
    return len(left)


def known() -> Iterator[str]:
    """All of them; of those with parts, such as a token with its signature, the telling part too."""
    for secret in sorted(_known):
        yield secret
        last = secret[-OF_OURS:] if secret.startswith("weir_") else secret.rpartition(".")[2]
        if last != secret and len(last) >= SHORTEST:
            yield last


def watched(**options: Any) -> httpx.Client:
    """An HTTP client that notes the secrets it sends and gets."""
    return httpx.Client(event_hooks={"request": [_sent], "response": [_got]}, **options)


def _sent(request: httpx.Request) -> None:
    remember(request.headers.get("Authorization", "").partition(" ")[2])
    _note(request.read())


def _got(response: httpx.Response) -> None:
    if "json" in response.headers.get("Content-Type", ""):
        _note(response.read())


def _note(body: bytes) -> None:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return
    if isinstance(document, dict):
        remember(*(value for name, value in document.items() if name in FIELDS and isinstance(value, str)))
