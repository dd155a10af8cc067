"""Files whose object was lost past Weir, and whose bytes were sent again: they are given the object that is there.

What is told of the bytes is then of the new object alone, and the files that had the old one would name, for good, one
that nobody has. The new one is given to them once it is verified, so that it is the very bytes that they were of.
"""

from dataclasses import replace

from weir.packages import audit
from weir.packages.finishing import one_more
from weir.packages.models import Blob, File, State
from weir.packages.store import stored_file
from weir.packages.wiring import Deps
from weir.runtime.dynamodb import Write


def may_have(file: File, blob: Blob | None) -> bool:
    """Whether a file that is served names another object than that of its bytes, and could be given that one."""
    return (
        file.state is State.AVAILABLE
        and blob is not None
        and blob.verified
        and not blob.is_going
        and blob.object_version != file.object_version
    )


def heal(file: File, deps: Deps) -> bool:
    """Give a file the object of its bytes where its own is lost; whether that was done."""

    def attempt() -> tuple[list[Write], bool] | bool:
        current = deps.store.file(file.name, file.version, file.declared.path)
        blob = deps.store.blob(file.name, file.declared.sha256)
        if current is None or blob is None or not may_have(current, blob):
            return False
        if current.object_version is not None and deps.bucket.head(current.key, current.object_version) is not None:
            return False
        now = deps.clock.now()
        after = replace(current, key=blob.key, object_version=blob.object_version)
        detail = {
            "file": file.declared.path,
            "lost": current.object_version or "",
            "object_version": blob.object_version,
        }
        told = audit.entry("file.restored", "system", file.name, file.version, now, detail)
        return [stored_file(current, after, now), one_more(blob), told], True

    return deps.store.settle(attempt)
