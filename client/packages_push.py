"""``weir packages push``: a folder becomes a version, file by file and part by part, and goes on where it was killed.

The registry never sees a byte: each part goes to the storage by a URL that is signed for its checksum. Nothing about
an upload is kept here. What has arrived is asked for, and what is there with its checksum is not sent again.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from client.api import ApiError, Unreachable
from client.packages_api import PartLinks, Registry
from client.packages_crew import Crew
from client.packages_hash import Changed, Hashed, hash_file, part_range
from client.packages_paths import LocalFile
from client.packages_storage import Gone, StorageRefused

__all__ = ["Pushed", "push", "wait_until_settled"]

Json = dict[str, Any]

SETTLED = frozenset({"AVAILABLE", "QUARANTINED", "REJECTED"})
_ARRIVED = frozenset({"SCANNING", "AVAILABLE"})
_OPENED_MOST = 3
_ASKED_MOST = 5
_BEGUN_ANEW = frozenset({"upload-ended", "upload-not-found", "parts-wrong"})
_FIRST_POLL_SECONDS, _LONGEST_POLL_SECONDS = 0.25, 5.0


class _Anew(Exception):
    """The upload is no longer what it was taken for: it is opened again, and what is missing sent."""


@dataclass(frozen=True, slots=True)
class Pushed:
    """A file as it was read, to be uploaded."""

    local: LocalFile
    hashed: Hashed

    @property
    def declared(self) -> Json:
        """As the registry is told of it."""
        return {
            "path": self.local.path,
            "size": self.hashed.size,
            "sha256": self.hashed.sha256,
            "content_type": self.local.content_type,
        }


def push(registry: Registry, crew: Crew, spec: Mapping[str, Any], files: Sequence[LocalFile]) -> tuple[str, str]:
    """Hash files, register them as the version that ``spec`` describes, and upload them; its name and version.

    Raises
    ------
    ApiError, Unreachable
        From the registry: among others VersionExists where the version is there with other files.
    StorageRefused, Changed
        From the storage and the disk.
    """
    crew.told.begin("Hashing", sum(one.place.stat().st_size for one in files))
    read = [Pushed(one, hash_file(one.place, crew.moved)) for one in files]
    crew.told.begin("Registering", 0)
    version = registry.register({**spec, "files": [one.declared for one in read]})
    states = {one["path"]: one.get("state") for one in version.get("files") or ()}
    left = [one for one in read if states.get(one.local.path) not in _ARRIVED]
    crew.told.begin("Pushing", sum(one.hashed.size for one in left))
    named = (str(version["name"]), str(version["version"]))
    crew.each(partial(_push_file, registry, crew, named), left)
    return named


def wait_until_settled(registry: Registry, named: tuple[str, str], crew: Crew) -> Json:
    """Ask until the registry has hashed and scanned all files; the version then."""
    seconds = _FIRST_POLL_SECONDS
    crew.told.begin("Waiting until it is scanned", 0)
    while True:
        found = registry.version(*named)
        if found["state"] in SETTLED:
            return found
        registry.api.sleep(seconds)
        seconds = min(seconds * 1.5, _LONGEST_POLL_SECONDS)


def _push_file(registry: Registry, crew: Crew, named: tuple[str, str], file: Pushed) -> None:
    last: Exception | None = None
    for _ in range(_OPENED_MOST):
        opened = _answered(crew, lambda: registry.open_upload(*named, file.declared))
        if opened.get("present"):
            crew.moved(file.hashed.size)
            return
        try:
            _Upload(registry, crew, named, file, opened).run()
        except _Anew as error:
            last = error
        else:
            return
    raise StorageRefused(f"{file.local.place}: the upload ended {_OPENED_MOST} times before it was whole. {last}")


def _answered(crew: Crew, ask: Callable[[], Json]) -> Json:
    """The answer to what may be asked any number of times, once it is known, and once nobody else is committing.

    A commit that died holds its upload for a minute: longer than ``Api`` asks again by itself.
    """
    for turn in range(1, _ASKED_MOST):
        try:
            return ask()
        except Unreachable:
            pass
        except ApiError as error:
            if error.status < 500 and error.slug != "commit-under-way":
                raise
        crew.pause(turn)
    return ask()


class _Upload:
    """One open upload of one file."""

    def __init__(
        self, registry: Registry, crew: Crew, named: tuple[str, str], file: Pushed, opened: Mapping[str, Any]
    ) -> None:
        self._registry, self._crew, self._file = registry, crew, file
        self._where = (*named, str(opened["upload_id"]))
        self._part_size = int(opened["part_size"])
        self._count = int(opened["parts"])
        self._sums = self._checksums()
        self._lock, self._moved = threading.Lock(), 0

    def run(self) -> None:
        """Send what is missing, and commit. _Anew where the upload is gone."""
        arrived = {int(one["number"]): one for one in self._registry.arrived(*self._where)}
        etags = {number: one["etag"] for number, one in arrived.items() if self._is_whole(number, one)}
        self._move(sum(self._range(number)[1] for number in etags))
        missing = {number: self._sums[number] for number in self._sums if number not in etags}
        links = PartLinks(partial(self._registry.part_links, *self._where), missing)
        try:
            etags.update(self._crew.in_order(partial(self._put, links), missing))
            self._commit(etags)
        except Gone as error:
            raise self._anew(error) from error
        except ApiError as error:
            if error.slug not in _BEGUN_ANEW:
                raise
            raise self._anew(error) from error

    def _put(self, links: PartLinks, number: int) -> tuple[int, str]:
        start, length = self._range(number)
        place = self._file.local.place
        put = partial(self._crew.storage.put, path=place, start=start, length=length, moved=self._move)
        etag = self._crew.tried(put, partial(links.link, number))
        links.done(number)
        return number, etag

    def _commit(self, etags: Mapping[int, str]) -> None:
        """Commit; the same commit again answers the same."""
        parts = [{"number": number, "etag": etags[number], "sha256": self._sums[number]} for number in sorted(etags)]
        _answered(self._crew, lambda: self._registry.commit(*self._where, parts))

    def _checksums(self) -> dict[int, str]:
        """The checksum of each part, as the registry has cut the file."""
        hashed = self._file.hashed
        if self._part_size != hashed.part_size:
            again = hash_file(self._file.local.place, lambda _: None, self._part_size)
            if again.sha256 != hashed.sha256:
                raise Changed(f"{self._file.local.place} changed while it was pushed.")
            hashed = again
        if len(hashed.parts) != self._count:
            raise StorageRefused(
                f"The registry wants {self._count} parts of {self._part_size} bytes, which do not fit."
            )
        return dict(enumerate(hashed.parts, 1))

    def _is_whole(self, number: int, arrived: Mapping[str, Any]) -> bool:
        wanted = (self._range(number)[1], self._sums[number]) if number in self._sums else None
        return (arrived["size"], arrived.get("sha256")) == wanted

    def _range(self, number: int) -> tuple[int, int]:
        return part_range(self._file.hashed.size, self._part_size, number)

    def _move(self, count: int) -> None:
        self._crew.moved(count)  # first: where it breaks off, it has told nobody
        with self._lock:
            self._moved += count

    def _anew(self, error: Exception) -> _Anew:
        self._move(-self._moved)
        return _Anew(str(error))
