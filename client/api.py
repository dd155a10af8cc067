"""The HTTP API as calls: retries, idempotency keys, request ids, and problems (RFC 9457) as exceptions.

What is answered with 429, 502, 503 or 504, or with 409 and ``Retry-After``, is asked again after the time that the
answer names, or else after a random time that doubles (full jitter). So is what met a lost connection: reads do no harm
twice, and creating POSTs carry an ``Idempotency-Key``. Only a refresh of the session is sent once: its token is good
once, and who comes with it again is taken for a thief.
"""

import json
import random
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from itertools import islice
from typing import Any
from urllib.parse import quote

import httpx

from client.signing import AnswerLost, Refused, Signer
from client.target import Target

__all__ = ["Api", "ApiError", "Unreachable", "UploadFailed"]

Json = dict[str, Any]

_ATTEMPTS = 6
_LONGEST_WAIT_SECONDS = 30.0
_FIRST_BACKOFF_SECONDS = 0.25
_TIMEOUT = httpx.Timeout(35.0, connect=5.0)
"""API Gateway gives up after 29 s."""

_UPLOAD_TIMEOUT = httpx.Timeout(60.0, connect=5.0)
_NEXT_STEPS = {
    "run-not-found": "`weir runs` lists the runs that there are.",
    "run-closed": "`weir report` shows what it came to.",
    "source-unreadable": "Correct that line and start again.",
    "package-not-found": "`weir packages list` lists those that you may see.",
    "version-not-found": "`weir packages show NAME` lists its versions and aliases.",
}
_NEXT_STEPS_BY_STATUS = {
    401: "`weir login` logs in; WEIR_API_KEY may hold an API key instead.",
    403: "Check the address of the API, with its stage (.../v1), and that you may do this.",
    404: "Check the address of the API, with its stage (.../v1).",
    422: "Correct what is named and send it again; nothing was created.",
    429: "Wait a little, or ask for a higher quota.",
}
_ON_SERVER_ERROR = "Try again; if it stays, search the logs for the request id."


class ApiError(Exception):
    """The API answered with a problem.

    ``status`` is the HTTP status, ``slug`` the last part of the problem's type, ``errors`` are (field, message).
    ``str()`` is all that a person needs: what, which fields, what next, and the request id.
    """

    def __init__(
        self,
        status: int,
        title: str,
        detail: str,
        *,
        slug: str = "",
        errors: tuple[tuple[str, str], ...] = (),
        request_id: str | None = None,
    ) -> None:
        super().__init__(detail)
        self.status, self.title, self.detail, self.slug = status, title, detail, slug
        self.errors, self.request_id = errors, request_id

    @property
    def next_step(self) -> str | None:
        """What the person can do about it."""
        server = _ON_SERVER_ERROR if self.status >= 500 else None
        return _NEXT_STEPS.get(self.slug) or _NEXT_STEPS_BY_STATUS.get(self.status) or server

    def __str__(self) -> str:
        about = f", request {self.request_id}" if self.request_id else ""
        lines = [f"{self.title}: {self.detail}" if self.detail else self.title]
        lines += [f"  {field}: {message}" for field, message in self.errors if message not in self.detail]
        if self.next_step:
            lines.append(self.next_step)
        return "\n".join(lines) + f"\n[status {self.status}{about}]"


class Unreachable(Exception):
    """The API did not answer at all."""


class UploadFailed(Exception):
    """The storage refused the lines."""


class Api:
    """The routes that the command line uses, each a method that answers the JSON body as it came.

    Every method raises ApiError for a problem and Unreachable where nothing answers. ``sleep`` takes seconds. Requests
    carry the token of ``signer``, where there is one.
    """

    signer: Signer | None = None

    def __init__(
        self,
        target: Target,
        *,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._target = target
        self._http = httpx.Client(timeout=_TIMEOUT, transport=transport, trust_env=not target.is_local)
        self.sleep = sleep
        self._jitter = jitter

    def close(self) -> None:
        """Give the connections back."""
        self._http.close()

    def start_run(self, spec: Mapping[str, Any], idempotency_key: str | None = None) -> Json:
        """Start a run; asked twice with the same key, it is started once."""
        return self._json("POST", "/runs", key=idempotency_key, json=spec)

    def plan_run(self, spec: Mapping[str, Any]) -> Json:
        """What a run would come to and cost; nothing is started."""
        return self._json("POST", "/runs", json=spec, params={"dry_run": "true"})

    def new_source(self) -> Json:
        """A place to upload lines to: ``source`` for a spec's load, and the request to upload with."""
        return self._json("POST", "/runs/sources")

    def run(self, run_id: str) -> Json:
        """A run as it stands."""
        return self._json("GET", f"/runs/{quote(run_id, safe='')}")

    def runs(self, most: int) -> Iterator[Json]:
        """Runs, newest first, at most ``most``."""
        return islice(self.pages("/runs", min(most, 200)), most)

    def pages(self, path: str, limit: int = 200, filters: Mapping[str, str] | None = None) -> Iterator[Json]:
        """Every item of a list, page by page as they are wanted."""
        query = {**(filters or {}), "limit": str(limit)}
        while True:
            page = self._json("GET", path, params=query)
            yield from page["items"]
            if page["cursor"] is None:
                return
            query["cursor"] = page["cursor"]

    def report(self, run_id: str) -> Json:
        """The report of a closed run."""
        return self._json("GET", f"/runs/{quote(run_id, safe='')}/report")

    def report_html(self, run_id: str) -> str:
        """The report of a closed run as one self-contained page."""
        return self._send("GET", f"/runs/{quote(run_id, safe='')}/report", accept="text/html").text

    def stop(self, run_id: str) -> Json:
        """Stop a run; its stream is deleted right after."""
        return self._json("POST", f"/runs/{quote(run_id, safe='')}/stop")

    def health(self, check: str | None) -> Json:
        """Liveness, or with ``check`` readiness. ``failed`` comes as a 503 with the same body, and is no error here."""
        query = {"check": check} if check else {}
        answer = self._once("GET", "/health", {"X-Request-Id": str(uuid.uuid4())}, signed=False, params=query)
        document = _document(answer)
        if answer.status_code != 200 and not (answer.status_code == 503 and "checks" in document):
            raise _problem(answer)
        return document

    def upload(self, upload: Mapping[str, Any], read: Callable[[], Iterable[bytes]], size: int) -> None:
        """Send ``size`` bytes to where ``new_source`` said; each try calls ``read`` anew. UploadFailed if refused."""
        # S3 takes no chunked encoding in a presigned PUT, so the length is told.
        headers = {**upload["headers"], "Content-Length": str(size)}

        def put() -> httpx.Response:
            try:
                return self._http.request(
                    upload["method"], upload["url"], content=read(), headers=headers, timeout=_UPLOAD_TIMEOUT
                )
            except httpx.TransportError as error:
                raise Unreachable(f"The upload broke off: {error}") from error

        answer = self._tried(put, lambda answer: answer.status_code in {500, 503})
        if not answer.is_success:
            raise UploadFailed(f"The storage refused the lines with {answer.status_code}: {answer.text[:300]}")

    def log_in_post(self, path: str, body: Mapping[str, Any], *, once: bool = False) -> Json:
        """POST to a route that takes no token. Refused where it does not take what is in the body.

        With ``once`` it is not sent again, and AnswerLost is raised where it may have been done all the same.
        """
        try:
            return self._json("POST", path, once=once, signed=False, json=dict(body))
        except ApiError as error:
            if error.status == 401:
                raise Refused(str(error)) from error
            if once and error.status >= 500:
                raise AnswerLost(str(error)) from error
            raise
        except Unreachable as error:
            if once and not isinstance(error.__cause__, httpx.ConnectError | httpx.ConnectTimeout):
                raise AnswerLost(str(error)) from error
            raise

    def call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Json:
        """Any route that answers JSON, or nothing (204)."""
        return self._json(method, path, **({} if body is None else {"json": dict(body)}))

    def _json(self, method: str, path: str, **request: Any) -> Json:
        answer = self._send(method, path, **request)
        document = _document(answer)
        if not document and answer.status_code != 204:
            raise ApiError(answer.status_code, "Not Weir's API", f"{answer.request.url} answered something else.")
        return document

    def _send(
        self,
        method: str,
        path: str,
        *,
        key: str | None = None,
        accept: str = "application/json",
        once: bool = False,
        **request: Any,
    ) -> httpx.Response:
        """The answer to a request; ``request`` is httpx's. Every POST has an idempotency key, for it may be resent."""
        headers = {"Accept": accept, "X-Request-Id": str(uuid.uuid4())}
        if method == "POST":
            headers["Idempotency-Key"] = key or str(uuid.uuid4())
        send = partial(self._once, method, path, headers, **request)
        answer = send() if once else self._tried(send, _worth_asking_again)
        if not answer.is_success:
            raise _problem(answer)
        return answer

    def _tried(
        self, send: Callable[[], httpx.Response], worth_asking_again: Callable[[httpx.Response], bool]
    ) -> httpx.Response:
        """The first answer that is final, or else the last one. Unreachable where the last try met none."""
        for attempt in range(1, _ATTEMPTS):
            try:
                answer = send()
            except Unreachable:
                self._wait(attempt, None)
                continue
            if not worth_asking_again(answer):
                return answer
            self._wait(attempt, answer)
        return send()

    def _once(
        self, method: str, path: str, headers: Mapping[str, str], *, signed: bool = True, **request: Any
    ) -> httpx.Response:
        """One request; one more with another token where the API does not take the first."""
        signer = self.signer if signed else None
        if signer is None:
            return self._sent(method, path, headers, request)
        token = signer.token()
        answer = self._sent(method, path, {**headers, "Authorization": f"Bearer {token}"}, request)
        if answer.status_code != 401:
            return answer
        other = signer.renewed(token)
        if other is None:
            return answer
        return self._sent(method, path, {**headers, "Authorization": f"Bearer {other}"}, request)

    def _sent(self, method: str, path: str, headers: Mapping[str, str], request: Mapping[str, Any]) -> httpx.Response:
        try:
            return self._http.request(method, self._target.url + path, headers=dict(headers), **request)
        except httpx.TransportError as error:
            start = " `make up` starts the local AWS." if self._target.is_local else ""
            raise Unreachable(f"Nothing answers at {self._target.url} ({error}).{start}") from error

    def _wait(self, attempt: int, answer: httpx.Response | None) -> None:
        named = answer.headers.get("Retry-After", "") if answer is not None else ""
        backoff = _FIRST_BACKOFF_SECONDS * 2**attempt * self._jitter()
        told = named.isascii() and named.isdigit()
        self.sleep(min(float(named) if told else backoff, _LONGEST_WAIT_SECONDS))


def _worth_asking_again(answer: httpx.Response) -> bool:
    # A 409 with Retry-After: the first request with this Idempotency-Key is still at work.
    return answer.status_code in {429, 502, 503, 504} or (answer.status_code == 409 and "Retry-After" in answer.headers)


def _document(answer: httpx.Response) -> Json:
    """The JSON object of an answer; empty where it is something else."""
    try:
        document = answer.json()
    except (json.JSONDecodeError, UnicodeDecodeError):
        return {}
    return document if isinstance(document, dict) else {}


def _problem(answer: httpx.Response) -> ApiError:
    """The problem in an answer; API Gateway's own refusals have but a ``message``."""
    document = _document(answer)
    found = document.get("errors")
    errors = [(str(one.get("field")), str(one.get("message"))) for one in found] if isinstance(found, list) else []
    return ApiError(
        answer.status_code,
        str(document.get("title") or answer.reason_phrase or "The API refused"),
        str(document.get("detail") or document.get("message") or answer.text[:300]),
        slug=str(document.get("type") or "").rsplit("/", 1)[-1],
        errors=tuple(errors),
        request_id=answer.headers.get("X-Request-Id") or document.get("request_id"),
    )
