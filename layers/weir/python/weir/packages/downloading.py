"""Giving out a file: a short URL of S3's, pinned to the object's version, for whoever may see the package.

A URL is good for whoever holds it until it expires, so that the audit tells that it was issued, and to whom; that it
was used, S3's own log tells. It ends earlier where the session of the role that signed it does: ask for another.
"""

import re
from dataclasses import dataclass
from urllib.parse import quote

from weir.packages import audit
from weir.packages.bucket import URL_SECONDS
from weir.packages.errors import FileNotFound, NotAvailable
from weir.packages.finding import seen_version
from weir.packages.models import File, State
from weir.packages.wiring import Deps
from weir.runtime.audit import Asker

DEFAULT_SECONDS = 300
_PLAIN = re.compile(r"[^A-Za-z0-9._ -]")


@dataclass(frozen=True, slots=True)
class Download:
    """Where a file is, for ``expires_in`` seconds, and what is to be there: checked by whoever gets it."""

    url: str
    expires_in: int
    file: File
    object_version: str
    yanked: str | None


def download(name: str, version: str, path: str, seconds: int, asker: Asker, deps: Deps) -> Download:
    """A URL of a file, for 1 to 900 seconds: what is asked for beyond is cut off. Two reads and an entry of the audit.

    A yanked version is served to whoever names it, and says so.

    Raises
    ------
    PackageNotFound, VersionNotFound, FileNotFound
    NotAvailable
        The file or its version is not, or no longer, what was verified.
    """
    _, found = seen_version(name, version, asker.principal, deps.store)
    file = deps.store.file(found.name, found.version, path)
    # Of a version that is served every file has a row; of another, the manifest tells whether it is to have one.
    if file is None and (found.is_served or deps.store.manifest(found).declared(path) is None):
        raise FileNotFound(f"{found.name} {found.version} has no file {path!r}.")
    if not found.is_served:
        raise NotAvailable(f"{found.name} {found.version} is {found.state}; files are served once all are AVAILABLE.")
    if file is None or file.state is not State.AVAILABLE or file.object_version is None:
        raise NotAvailable(f"The file {path!r} is {file.state if file else State.INITIATED}.")
    lasts = max(1, min(URL_SECONDS, seconds))
    detail = {"file": path, "object_version": file.object_version, "seconds": str(lasts)}
    entry = audit.entry("file.download-issued", asker, found.name, found.version, deps.clock.now(), detail).put
    assert entry is not None
    deps.store.table.put(entry)
    url = deps.bucket.download_url(file.key, file.object_version, lasts, disposition(path), file.declared.content_type)
    return Download(url, lasts, file, file.object_version, found.yanked)


def disposition(path: str) -> str:
    """The Content-Disposition of a file: saved, never shown, under its own name (RFC 6266, RFC 8187)."""
    name = path.rsplit("/", 1)[-1]
    plain = _PLAIN.sub("_", name)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"
