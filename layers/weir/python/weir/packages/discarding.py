"""Deleting what lies in the bucket and is no package's: one version of one object, because an admin asks for it.

Nothing but that deletes what Weir has not made. Who deletes names the version that they have seen, so that what came in
its place meanwhile stays. The audit tells of it before it is done, as of a download.
"""

from weir.packages import audit, deleting, ending, found
from weir.packages.audit import OF_UNVERIFIED
from weir.packages.bucket import ObjectMissing, Stored
from weir.packages.errors import Changed, CommitUnderWay, NotAvailable
from weir.packages.found import Found
from weir.packages.table import bytes_of
from weir.packages.wiring import Deps
from weir.runtime import http
from weir.runtime.audit import Asker
from weir.runtime.dynamodb import again


def discard(key: str, if_match: str | None, asker: Asker, deps: Deps) -> None:
    """Delete an UNVERIFIED object, for admins. May be asked for again where it broke off.

    Raises
    ------
    Forbidden
        The caller is no admin.
    ObjectMissing
        No UNVERIFIED object has this key.
    Changed
        ``if_match`` does not name its version, in quotes.
    CommitUnderWay
        The upload that made it has not ended: it may be a file yet.
    NotAvailable
        It is a file's by now.
    """
    http.require_admin(asker.principal, "delete what was found in the bucket")
    one = _named(key, if_match, deps)
    named = bytes_of(one.key)
    if named is not None:
        _check_nobodys(one, named, deps)
    detail = {"key": one.key, "object_version": one.object_version, "size": str(one.size)}
    told = audit.entry("object.deletion-asked", asker, OF_UNVERIFIED, "", deps.clock.now(), detail)
    if again(lambda: deps.store.table.transact([told, found.still(one)]), deps.clock):
        raise ObjectMissing(f"No UNVERIFIED object has the key {key!r}.")
    if named is None:
        deps.bucket.delete(one.key, one.object_version)
    elif not deleting.remove_object(_stored(one), *named, deps):
        raise _a_files(one)
    found.remove(deps.store, one)


def _named(key: str, if_match: str | None, deps: Deps) -> Found:
    """The version of an object that is recorded, and that a request names."""
    recorded = {f'"{one.object_version}"': one for one in found.of_key(deps.store, key)}
    if not recorded:
        raise ObjectMissing(f"No UNVERIFIED object has the key {key!r}.")
    named = (tag.strip() for tag in (if_match or "").split(","))
    one = next((recorded[tag] for tag in named if tag in recorded), None)
    if one is None:
        raise Changed(f"The object is in version {', '.join(recorded)}; delete it with that as If-Match.")
    return one


def _check_nobodys(one: Found, named: tuple[str, str], deps: Deps) -> None:
    """Neither is an object a file's, nor may it come to be one of the upload that made it."""
    blob = deps.store.blob(*named)
    if blob is not None and blob.object_version == one.object_version and not blob.is_going:
        raise _a_files(one)
    stored = deps.bucket.head(one.key, one.object_version)
    upload = deps.store.upload(stored.upload_id) if stored is not None and stored.upload_id is not None else None
    if upload is not None and upload.key == one.key and upload.state not in ending.ENDED:
        raise CommitUnderWay("The upload that made it has not ended: it may become a file.", retry_after=60)


def _stored(one: Found) -> Stored:
    return Stored(one.key, one.object_version, one.size, checksum=None, upload_id=None)


def _a_files(one: Found) -> NotAvailable:
    return NotAvailable(f"{one.key!r} is a file of a package by now: delete its versions.")
