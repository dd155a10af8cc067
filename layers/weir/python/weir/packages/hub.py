"""The Hugging Face Hub, or a mirror of it, by urllib3: what a repository holds at a revision, and ranges of its files.

The one module of packages that speaks HTTP to anybody but AWS. A hub redirects to where its bytes are; what it says is
not believed: redirects lead to https alone (or to the hub's very own address, where that is http, as a mirror's may
be), are few, and never to an address that is private, of this machine, or of the metadata service. The address that was
checked is the one that is connected to, so that no name can change its mind in between. Nothing but a range and a user
agent is sent to anybody: there are no credentials to forward.

https://huggingface.co/docs/hub/api and https://huggingface.co/.well-known/openapi.json
"""

import json
import random
import re
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Any
from urllib.parse import quote, urljoin, urlsplit

from weir.packages.trust_errors import HubBusy, HubFailed, HubRefuses, RepositoryNotFound
from weir.runtime.clock import Clock, parse_rfc3339

CONNECT_SECONDS = 5.0
READ_SECONDS = 20.0
MOST_REDIRECTS = 5
TRIES = 4
LONGEST_WAIT = 10.0
"""Seconds between two tries, whatever Retry-After says: beyond it Step Functions waits, which costs nothing."""

MOST_LISTING_BYTES = 8 * 1024 * 1024
KEPT_SECONDS = 300.0
"""How long the address of a file is used again: one look-up for each part would use up the hub's rate limit."""

_CHUNK = 256 * 1024
_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_SHA1 = re.compile(r"[0-9a-f]{40}")
_RANGE = re.compile(r"bytes ([0-9]{1,19})-([0-9]{1,19})/([0-9]{1,19})")
_MOST_POOLS = 16
_MOST_FOUND = 1_000
_GLOBAL = IPv6Network("2000::/3")
"""All that IANA has given out of IPv6 for the public Internet."""

_NAT64 = IPv6Network("64:ff9b::/96")
"""The last four bytes are an IPv4 address, to which the connection goes (RFC 6052)."""

Resolve = Callable[[str, int], Sequence[str]]


@dataclass(frozen=True, slots=True)
class HubFile:
    """A file at a commit. ``sha256`` where it is in LFS, as the hub tells it; ``blob_id`` is git's own digest."""

    path: str
    size: int
    sha256: str | None
    blob_id: str | None


@dataclass(frozen=True, slots=True)
class Listing:
    """A repository at a commit. ``card`` is what its README says of it, as the hub reads it."""

    commit: str
    last_modified: datetime | None
    card: Mapping[str, Any]
    files: tuple[HubFile, ...]


@dataclass(frozen=True, slots=True)
class Place:
    """A file of a repository at a commit."""

    repo: str
    commit: str
    path: str
    size: int


class _Again(Exception):
    """Another try may do. ``after`` is what Retry-After asks for, in seconds."""

    def __init__(self, told: str, after: float = 0.0) -> None:
        super().__init__(told)
        self.after = after


class Hub:
    """Reads a hub. ``until``, a moment of the clock's ``monotonic`` (seconds), ends what a method does.

    Every method raises RepositoryNotFound, HubRefuses, HubFailed and HubBusy as these say.
    """

    def __init__(self, url: str, clock: Clock, resolve: Resolve | None = None) -> None:
        self._url, self._clock, self._resolve = url.rstrip("/"), clock, resolve or _addresses
        self._origin = _origin(self._url)
        self._pools: dict[tuple[str, str, int], Any] = {}
        self._found: dict[Place, tuple[float, str]] = {}

    def listing(self, repo: str, revision: str, until: float) -> Listing:
        """What a repository holds at a branch, tag or commit, pinned to its commit."""
        url = f"{self._url}/api/models/{quote(repo)}/revision/{quote(revision, safe='')}?blobs=true"

        def ask() -> bytes:
            response, _ = self._open(url, {"Accept": "application/json"}, until)
            try:
                if response.status != 200:
                    raise _failed(response)
                return self._body(response, MOST_LISTING_BYTES, until)
            finally:
                response.close()

        return _listing(self._tried(ask, until))

    def read(self, place: Place, start: int, length: int, until: float) -> bytes:
        """Exactly ``length`` bytes of a file from ``start`` on; what broke off is asked for from where it did."""
        got = bytearray()

        def ask() -> bytes:
            if len(got) < length:
                self._fetch(place, start + len(got), length - len(got), until, got)
            if len(got) < length:
                raise _Again(f"{place.path} broke off")
            return bytes(got)

        return self._tried(ask, until)

    def _fetch(self, place: Place, start: int, length: int, until: float, into: bytearray) -> None:
        """Append one range to ``into``; as much of it as came, where it breaks off."""
        known_until, url = self._found.get(place, (float("-inf"), ""))
        is_known = self._clock.monotonic() < known_until
        if not is_known:
            url = f"{self._url}/{quote(place.repo)}/resolve/{place.commit}/{quote(place.path)}"
        headers = {"Range": f"bytes={start}-{start + length - 1}"}
        response, final = self._open(url, headers, until)
        try:
            if response.status not in {200, 206} and is_known:
                self._found.pop(place, None)  # a signed address that has run out; the hub gives another
                raise _Again(f"the address of {place.path} is no good any more")
            if response.status not in {200, 206}:
                raise _failed(response)
            _check_range(response, place, start, length)
            if len(self._found) == _MOST_FOUND:
                self._found.clear()
            self._found[place] = (known_until if is_known else self._clock.monotonic() + KEPT_SECONDS, final)
            self._body(response, length, until, into)
        finally:
            response.close()

    def _tried(self, ask: Callable[[], bytes], until: float) -> bytes:
        """What ``ask`` answers, at up to four tries with jittered waits between. HubBusy after the last."""
        for tried in range(TRIES):
            try:
                return ask()
            except _Again as again:
                wait = max(again.after, random.uniform(0, 0.5 * 2**tried))
                late = self._clock.monotonic() + wait >= until
                if tried == TRIES - 1 or wait > LONGEST_WAIT or late:
                    raise HubBusy(f"The hub does not answer: {again}. Try again later.", retry_after=60) from again
                self._clock.sleep(wait)
        raise AssertionError("the last try answers or raises")

    def _open(self, url: str, headers: Mapping[str, str], until: float) -> tuple[Any, str]:
        """An answer that is no redirect, and the address it came from."""
        for _ in range(MOST_REDIRECTS + 1):
            response = self._ask(url, headers, until)
            location = response.headers.get("Location")
            if response.status not in {301, 302, 303, 307, 308} or not location:
                return response, url
            response.close()
            url = _joined(url, location)
        raise HubFailed(f"The hub redirects more than {MOST_REDIRECTS} times.")

    def _ask(self, url: str, headers: Mapping[str, str], until: float) -> Any:
        import urllib3  # 60 ms: on first use

        left = until - self._clock.monotonic()
        if left <= 0:
            raise HubBusy("The hub did not answer in time. Try again later.", retry_after=60)
        parts = urlsplit(url)
        sent = {"User-Agent": "weir", "Accept": "*/*", "Accept-Encoding": "identity", **headers}
        target = f"{parts.path or '/'}{f'?{parts.query}' if parts.query else ''}"
        pool = self._pool(url)
        try:
            return pool.request(
                "GET",
                target,
                headers={**sent, "Host": parts.netloc},
                timeout=urllib3.Timeout(connect=min(CONNECT_SECONDS, left), read=min(READ_SECONDS, left)),
                retries=False,
                redirect=False,
                preload_content=False,
                decode_content=False,
            )
        except urllib3.exceptions.HTTPError as error:
            self._pools.pop(_origin(url), None)  # its name may lead to another address by now
            raise _Again(f"{parts.hostname} can't be reached ({type(error).__name__})") from error

    def _pool(self, url: str) -> Any:
        """Connections to the place of a URL, by an address that may be connected to. HubFailed where none may."""
        import urllib3

        origin = _origin(url)
        if origin not in self._pools:
            scheme, host, port = origin
            address = self._allowed(origin)
            if len(self._pools) == _MOST_POOLS:
                self._pools.clear()
            if scheme == "https":
                self._pools[origin] = urllib3.HTTPSConnectionPool(
                    address, port, cert_reqs="CERT_REQUIRED", server_hostname=host, assert_hostname=host
                )
            else:
                self._pools[origin] = urllib3.HTTPConnectionPool(address, port)
        return self._pools[origin]

    def _allowed(self, origin: tuple[str, str, int]) -> str:
        scheme, host, port = origin
        if scheme != "https" and origin != self._origin:
            raise HubFailed("The hub leads to an address that is not https.")
        try:
            addresses = list(self._resolve(host, port))
        except OSError as error:
            raise _Again(f"the name {host} has no address") from error
        if not addresses:
            raise _Again(f"the name {host} has no address")
        # The configured hub may be anywhere, for an operator has said so; whom it names may not.
        if origin != self._origin and not all(is_public(one) for one in addresses):
            raise HubFailed("The hub leads to an address that is not public.")
        first = min(addresses, key=lambda one: ":" in one)  # IPv4 where there is one: a function may have no other
        return f"[{first}]" if ":" in first else first

    def _body(self, response: Any, most: int, until: float, into: bytearray | None = None) -> bytes:
        import urllib3

        whole = bytearray() if into is None else into
        before = len(whole)
        try:
            while chunk := response.read1(_CHUNK):  # what has come, so that one byte a second does not pass the end
                whole += chunk
                if len(whole) - before > most:
                    del whole[before:]
                    raise HubFailed(f"The hub answers more than {most:,} bytes.")
                if self._clock.monotonic() > until:
                    raise HubBusy("The hub did not answer in time. Try again later.", retry_after=60)
        except urllib3.exceptions.HTTPError as error:
            raise _Again(f"an answer broke off ({type(error).__name__})") from error
        return b"" if into is not None else bytes(whole)


def is_public(address: str) -> bool:
    """Whether an address is one of the public Internet, whichever way it is written down."""
    parsed = ip_address(address.partition("%")[0])
    if isinstance(parsed, IPv6Address):
        inner = IPv4Address(int(parsed) & 0xFFFFFFFF) if parsed in _NAT64 else parsed.ipv4_mapped or parsed.sixtofour
        if inner is None:
            return parsed in _GLOBAL and parsed.is_global
        parsed = inner
    return parsed.is_global and not parsed.is_multicast


def _addresses(host: str, port: int) -> list[str]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(one[4][0]) for one in found))


def _joined(url: str, location: str) -> str:
    try:
        return urljoin(url, location)
    except ValueError as error:
        raise HubFailed("The hub leads to an address that can't be read.") from error


def _origin(url: str) -> tuple[str, str, int]:
    """Scheme, host and port of a URL. HubFailed where it is none that can be asked."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise HubFailed("The hub's address can't be read.") from error
    plain = url.isascii() and url.isprintable()
    if parts.scheme not in {"http", "https"} or not host or parts.username is not None or not plain:
        raise HubFailed("The hub leads to an address that can't be asked.")
    return parts.scheme, host, port or (443 if parts.scheme == "https" else 80)


def _failed(response: Any) -> Exception:
    """What an answer that holds nothing means."""
    match response.status:
        case 401 | 403:
            return HubRefuses("The hub gives this to nobody who is not logged in, or has no such repository.")
        case 404 | 410:
            return RepositoryNotFound("The hub has no such repository, revision or file.")
        case 408 | 429:
            return _Again("it asks to wait", _seconds(response.headers.get("Retry-After")))
        case status if status >= 500:
            return _Again(f"it answered {status}", _seconds(response.headers.get("Retry-After")))
        case status:
            return HubFailed(f"The hub answered {status}.")


def _seconds(told: str | None) -> float:
    return float(told) if told and told.isascii() and told.isdigit() and len(told) < 6 else 0.0


def _check_range(response: Any, place: Place, start: int, length: int) -> None:
    """HubFailed unless the answer is the very range that was asked for, or all of the file where that was asked for."""
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise HubFailed("The hub encodes what was asked for as it is.")
    if response.status == 200:
        if (start, length) != (0, place.size) or response.headers.get("Content-Length") not in {None, str(length)}:
            raise HubFailed(f"The hub does not give ranges of {place.path}.")
        return
    found = _RANGE.fullmatch(response.headers.get("Content-Range", ""))
    if found is None or tuple(map(int, found.groups())) != (start, start + length - 1, place.size):
        raise HubFailed(f"The hub gives another range of {place.path} than was asked for.")


def _listing(raw: bytes) -> Listing:
    try:
        document = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise HubFailed("The hub's answer is no JSON.") from error
    commit, siblings = (document.get("sha"), document.get("siblings")) if isinstance(document, dict) else (None, None)
    if not isinstance(commit, str) or not _COMMIT.fullmatch(commit) or not isinstance(siblings, list):
        raise HubFailed("The hub does not tell the commit and its files.")
    card = document.get("cardData")
    told = {key: document[key] for key in ("library_name", "pipeline_tag") if isinstance(document.get(key), str)}
    card = {**told, **(card if isinstance(card, dict) else {})}
    return Listing(commit, _moment(document.get("lastModified")), card, tuple(_file(one) for one in siblings))


def _file(told: Any) -> HubFile:
    path = told.get("rfilename") if isinstance(told, dict) else None
    if not isinstance(path, str):
        raise HubFailed("The hub tells of a file without a name.")
    lfs = told.get("lfs")
    sha256, size = (lfs.get("sha256"), lfs.get("size")) if isinstance(lfs, dict) else (None, told.get("size"))
    blob_id = told.get("blobId")
    if type(size) is not int or size < 0:
        raise HubFailed(f"The hub does not tell the size of {path[:128]!r}.")
    if isinstance(lfs, dict):
        if not isinstance(sha256, str) or not _SHA256.fullmatch(sha256):
            raise HubFailed(f"The hub does not tell the SHA-256 of {path[:128]!r}.")
    elif not isinstance(blob_id, str) or not _SHA1.fullmatch(blob_id):
        raise HubFailed(f"The hub does not tell the digest of {path[:128]!r}.")
    return HubFile(path, size, sha256, blob_id if isinstance(blob_id, str) else None)


def _moment(told: Any) -> datetime | None:
    try:
        return parse_rfc3339(told) if isinstance(told, str) else None
    except ValueError:
        return None
