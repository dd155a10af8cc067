"""``weir packages verify``: whether a folder is what the registry says that a version is, digest by digest."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal

from client.packages_hash import hash_whole
from client.packages_paths import LocalFile
from client.packages_storage import Moved

__all__ = ["Compared", "compare"]

_AT_ONCE = 2


@dataclass(frozen=True, slots=True)
class Compared:
    """A file here beside the same in the registry; ``detail`` says what differs."""

    path: str
    verdict: Literal["same", "differs", "missing", "extra"]
    detail: str = ""


def compare(files: Sequence[LocalFile], version: Mapping[str, Any], moved: Moved) -> list[Compared]:
    """Every file of a folder and of a version, in the order of their paths. OSError where one can't be read."""
    here = {one.path: one for one in files}
    there = {one["path"]: one for one in version["files"]}
    with ThreadPoolExecutor(_AT_ONCE, "hash") as pool:
        return list(
            pool.map(lambda path: _compare(path, here.get(path), there.get(path), moved), sorted({*here, *there}))
        )


def _compare(path: str, here: LocalFile | None, there: Mapping[str, Any] | None, moved: Moved) -> Compared:
    if here is None:
        return Compared(path, "missing", "published, and not here")
    if there is None:
        return Compared(path, "extra", "here, and not published")
    size = here.place.stat().st_size
    if size != there["size"]:
        return Compared(path, "differs", f"{size:,} bytes here, {there['size']:,} published")
    digest = hash_whole(here.place, moved)
    if digest != there["sha256"]:
        return Compared(path, "differs", f"SHA-256 {digest} here, {there['sha256']} published")
    return Compared(path, "same", digest)
