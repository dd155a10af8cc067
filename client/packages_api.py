"""The routes of the package registry, as the command line uses them: what they take and answer stands here alone."""

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any
from urllib.parse import quote

from client.api import Api, ApiError
from client.packages_storage import Link, StorageRefused

__all__ = ["FileLink", "PartLinks", "PartUrl", "Registry"]

Json = dict[str, Any]

BATCH = 200
"""Part URLs asked for at once: more would expire on a slow line before their turn comes."""

_MARGIN = 0.8
"""The share of a URL's life after which another is asked for."""


@dataclass(frozen=True, slots=True)
class PartUrl:
    """Where to put a part, with which headers, for how many seconds."""

    number: int
    url: str
    headers: Mapping[str, str]
    seconds: float


class Registry:
    """Packages over the HTTP API. Every method raises ApiError and Unreachable, as ``Api`` does."""

    def __init__(self, api: Api) -> None:
        self.api = api

    def register(self, spec: Mapping[str, Any]) -> Json:
        """Register a version, or meet it as it is registered already."""
        return self.api.call("POST", "/packages", spec)

    def search(self, filters: Mapping[str, str]) -> Iterator[Json]:
        """Packages that match, page by page."""
        return self.api.pages("/packages", filters=filters)

    def package(self, name: str) -> Json:
        """A package's card."""
        return self.api.call("GET", _path(name))

    def versions(self, name: str) -> Iterator[Json]:
        """A package's versions, the newest first."""
        return self.api.pages(_path(name, "versions"))

    def version(self, name: str, version: str) -> Json:
        """A version, or the one that an alias names, with its files."""
        return self.api.call("GET", _path(name, version))

    def validate(self, name: str, version: str) -> Json:
        """The report of the registry's rules."""
        return self.api.call("POST", _path(name, version, "validate"), {})

    def signature(self, name: str, version: str) -> Json | None:
        """A version's signature, as the registry judges it; None where it has none."""
        try:
            return self.api.call("GET", _path(name, version, "signature"))
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    def open_upload(self, name: str, version: str, declared: Mapping[str, Any]) -> Json:
        """Open the upload of a file, or meet the one that is open; ``present`` where its bytes are there already."""
        body = {"file": declared["path"], **{key: declared[key] for key in ("size", "sha256", "content_type")}}
        return self.api.call("POST", _path(name, version, "uploads"), body)

    def arrived(self, name: str, version: str, upload_id: str) -> Iterator[Json]:
        """The parts that the storage holds: ``number``, ``size``, ``etag``, ``sha256`` (base64)."""
        return self.api.pages(_path(name, version, "uploads", upload_id), 1_000)

    def commit(self, name: str, version: str, upload_id: str, parts: Iterable[Mapping[str, Any]]) -> Json:
        """Make a file of parts."""
        path = _path(name, version, "uploads", upload_id, "commit")
        return self.api.call("POST", path, {"parts": list(parts)})

    def part_links(self, name: str, version: str, upload_id: str, checksums: Mapping[int, str]) -> Iterator[PartUrl]:
        """Where to put the parts named."""
        body = {
            "numbers": sorted(checksums),
            "checksums": {str(number): checksum for number, checksum in checksums.items()},
        }
        answer = self.api.call("POST", _path(name, version, "uploads", upload_id, "parts"), body)
        seconds = float(answer["expires_in"])
        return (PartUrl(int(one["number"]), str(one["url"]), dict(one["headers"]), seconds) for one in answer["items"])

    def download(self, name: str, version: str, path: str) -> Json:
        """Where to get a file: ``url``, ``expires_in`` seconds, ``sha256``, ``size``."""
        # The path is one segment: "/" is "~1" and "~" is "~0", as in RFC 6901.
        segment = path.replace("~", "~0").replace("/", "~1")
        return self.api.call("GET", _path(name, version, "files", segment, "download"))


class PartLinks:
    """URLs of an upload's parts, asked for in batches, and again where they are no longer taken. For many threads."""

    def __init__(
        self,
        issue: Callable[[Mapping[int, str]], Iterable[PartUrl]],
        checksums: Mapping[int, str],
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._issue, self._now = issue, now
        self._left = dict(sorted(checksums.items()))
        self._held: dict[int, Link] = {}
        self._lock = threading.Lock()

    def link(self, number: int, refused: Link | None = None) -> Link:
        """A URL of a part, other than the one that was refused."""
        with self._lock:
            held = self._held.get(number)
            if held is None or held is refused or held.until <= self._now():
                self._ask(number, refused.until if refused else 0.0)
            return self._held[number]

    def done(self, number: int) -> None:
        """A part has arrived: no URL of it is asked for again."""
        with self._lock:
            self._left.pop(number, None)
            self._held.pop(number, None)

    def _ask(self, number: int, refused_until: float) -> None:
        """Ask for a URL of a part, and of the others whose URLs are no better."""
        asked = self._now()
        old = max(refused_until, asked)
        others = (one for one in self._left if one not in self._held or self._held[one].until <= old)
        wanted = dict.fromkeys((number, *islice(others, BATCH - 1)))
        for one in self._issue({each: self._left[each] for each in wanted}):
            self._held[one.number] = Link(one.url, one.headers, asked + one.seconds * _MARGIN)
        if number not in self._held:
            raise StorageRefused(f"The registry gives no URL for part {number}.")


class FileLink:
    """The URL of a file to download, asked for again where it is no longer taken. For many threads."""

    def __init__(self, issue: Callable[[], Json], now: Callable[[], float] = time.monotonic) -> None:
        self._issue, self._now = issue, now
        self._held: Link | None = None
        self._lock = threading.Lock()

    def link(self, refused: Link | None = None) -> Link:
        """The URL, other than the one that was refused."""
        with self._lock:
            if self._held is None or self._held is refused or self._held.until <= self._now():
                asked = self._now()
                found = self._issue()
                seconds = float(found["expires_in"])
                self._held = Link(str(found["url"]), {}, asked + seconds * _MARGIN)
            return self._held


def _path(*segments: str) -> str:
    return "".join(f"/{quote(segment, safe='')}" for segment in ("packages", *segments))
