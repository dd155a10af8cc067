"""oidc-provider-mock, an OpenID Connect provider that others have written, in a process of its own."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

import httpx

_LISTENS = re.compile(r"running on (http://127\.0\.0\.1:\d+)")


@contextmanager
def mock_provider(*people: dict[str, object]) -> Iterator[str]:
    """Let it run; answers its issuer. ``people`` are the claims of those who can log in there."""
    told = [part for claims in people for part in ("--user-claims", json.dumps(claims))]
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "oidc_provider_mock", "--port", "0", "--require-nonce", *told],
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        yield _issuer(process.stderr)
    finally:
        process.terminate()
        process.communicate()


def _issuer(log: IO[str]) -> str:
    for line in log:
        if found := _LISTENS.search(line):
            return found[1]
    raise AssertionError("oidc-provider-mock did not start")


def say_yes(authorize_url: str, subject: str) -> str:
    """Log in at the provider as a subject: where it sends the browser."""
    answer = httpx.post(authorize_url, data={"sub": subject})
    assert answer.status_code == 302, answer.text
    return answer.headers["Location"]


def say_no(authorize_url: str) -> str:
    """Refuse at the provider: where it sends the browser."""
    answer = httpx.post(authorize_url, data={"action": "deny"})
    assert answer.status_code == 302, answer.text
    return answer.headers["Location"]
