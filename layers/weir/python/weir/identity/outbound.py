"""HTTPS to log-in providers: short time-outs, a limit on the answer, no redirects, and nothing kept open.

The only module that speaks HTTP to anybody but AWS, by urllib3, which botocore brings along.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from weir.identity.oauth_errors import ProviderFailed, ProviderTimeout

CONNECT_SECONDS = 3.0
READ_SECONDS = 5.0
MOST_BYTES = 512 * 1024
"""Of an answer; the JWKS of large providers has a few KiB."""

FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer below 500, with its JSON."""

    status: int
    body: Any


class Web:
    """Asks providers. ``until`` is a moment of ``monotonic`` (seconds) by which the whole log-in must have its answers.

    A peer that drips its answer is ended at ``until``, or by the function's own time-out.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._made: Any = None

    def get(self, url: str, until: float, headers: Mapping[str, str] | None = None) -> Reply:
        """What GET answers; asked once more where that failed. ProviderFailed, ProviderTimeout."""
        try:
            return self._ask("GET", url, until, headers or {})
        except (ProviderFailed, ProviderTimeout):
            return self._ask("GET", url, until, headers or {})

    def post(self, url: str, fields: Mapping[str, str], until: float, headers: Mapping[str, str]) -> Reply:
        """What POST of a form answers; asked once, for a code holds once. ProviderFailed, ProviderTimeout."""
        return self._ask("POST", url, until, {**headers, "Content-Type": FORM}, urlencode(fields).encode())

    def _ask(self, method: str, url: str, until: float, headers: Mapping[str, str], body: bytes | None = None) -> Reply:
        import urllib3  # 60 ms: on first use, as every client

        left = until - self._monotonic()
        if left <= 0:
            raise ProviderTimeout("The log-in provider did not answer in time. Begin again.")
        try:
            response = self._pool().request(
                method,
                url,
                body=body,
                headers={"Accept": "application/json", "User-Agent": "weir", "Connection": "close", **headers},
                timeout=urllib3.Timeout(connect=min(CONNECT_SECONDS, left), read=min(READ_SECONDS, left)),
                retries=False,
                redirect=False,
                preload_content=False,
                decode_content=False,
            )
            try:
                return _reply(response.status, self._read(response, until))
            finally:
                response.close()
        except urllib3.exceptions.NewConnectionError as error:  # in urllib3 1.26 a time-out, which it is not
            raise ProviderFailed("The log-in provider can't be reached. Try again later.") from error
        except urllib3.exceptions.TimeoutError as error:
            raise ProviderTimeout("The log-in provider did not answer in time. Begin again.") from error
        except urllib3.exceptions.HTTPError as error:
            raise ProviderFailed("The log-in provider can't be reached. Try again later.") from error

    def _read(self, response: Any, until: float) -> bytes:
        whole = b""
        while chunk := response.read(16 * 1024):
            whole += chunk
            if len(whole) > MOST_BYTES:
                raise ProviderFailed("The log-in provider's answer is too large.")
            if self._monotonic() > until:
                raise ProviderTimeout("The log-in provider did not answer in time. Begin again.")
        return whole

    def _pool(self) -> Any:
        if self._made is None:
            import urllib3

            self._made = urllib3.PoolManager(cert_reqs="CERT_REQUIRED")
        return self._made


def _reply(status: int, raw: bytes) -> Reply:
    """The reply, where it is one: 5xx, redirects and what is no JSON are the provider's failures."""
    if status >= 500 or 300 <= status < 400:
        raise ProviderFailed(f"The log-in provider answered {status}. Try again later.")
    try:
        return Reply(status, json.loads(raw))
    except (ValueError, RecursionError) as error:
        raise ProviderFailed("The log-in provider's answer is no JSON.") from error
