"""Caps as admins set them. Nobody loosens their own, an admin neither: that is another admin's to do.

A cap of somebody's own is that of their user, and of the key that they come with. Whoever may set caps may tighten it.
"""

from datetime import UTC, datetime

from weir.runtime.audit import Asker
from weir.runtime.errors import Forbidden
from weir.runtime.etags import etag, matches
from weir.runtime.http import Principal, require_admin
from weir.usage.cap_store import CapStore, changed_since
from weir.usage.caps import Default, of_user
from weir.usage.models import Caller, Cap, Mode, Subject

_LOOSENESS: dict[Mode, int] = {"strict": 0, "clamp": 1, "expected": 2}
_ALWAYS = datetime.min.replace(tzinfo=UTC)


class OwnCap(Forbidden):
    """It would loosen a cap of the caller's own."""

    slug, title = "own-cap", "Your own cap"


def caller_of(principal: Principal) -> Caller:
    """Who is charged for what a principal calls."""
    key = principal.credential_id if principal.credential == "key" else ""
    groups, roles = tuple(sorted(principal.groups)), tuple(sorted(principal.roles))
    return Caller(principal.sub, principal.username, key, groups, roles)


def add(cap: Cap, asker: Asker, store: CapStore, defaults: tuple[Default, ...]) -> Cap:
    """A new cap.

    Raises
    ------
    Forbidden, OwnCap
    CapExists, ShardsDiffer
    """
    who = asker.principal
    require_admin(who, "set caps")
    if _is_own(cap.subject, who):
        holding = of_user(cap.subject.id, (), defaults) if cap.subject.kind == "user" else ()
        _check(next((one for one in holding if (one.window, one.measure) == (cap.window, cap.measure)), None), cap)
    return store.add(cap, asker)


def change(cap_id: str, changed: Cap, asker: Asker, store: CapStore, if_match: str | None) -> Cap:
    """Limit, mode, enforcement and grace of a cap, anew.

    Raises
    ------
    Forbidden, OwnCap
    CapNotFound, CapChanged
    """
    who = asker.principal
    require_admin(who, "set caps")
    before = store.get(cap_id)
    if _is_own(before.subject, who):
        _check(before, changed)
        if not matches(if_match, before.revision):
            raise changed_since()
        if_match = etag(before.revision)  # what was compared is what is changed, whatever else If-Match names
    return store.change(cap_id, changed, if_match, asker)


def remove(cap_id: str, asker: Asker, store: CapStore, if_match: str | None) -> None:
    """Take a cap away.

    Raises
    ------
    Forbidden, OwnCap
    CapNotFound, CapChanged
    """
    who = asker.principal
    require_admin(who, "set caps")
    if _is_own(store.get(cap_id).subject, who):
        raise _refused()
    store.remove(cap_id, if_match, asker)


def _is_own(subject: Subject, who: Principal) -> bool:
    return subject in {Subject("user", who.sub), Subject("key", who.credential_id)}


def _check(before: Cap | None, after: Cap) -> None:
    """OwnCap where a cap holds less than what held before it."""
    if before is None:
        return
    is_looser = (
        after.limit > before.limit
        or after.enforced < before.enforced
        or (after.enforced_from or _ALWAYS) > (before.enforced_from or _ALWAYS)
        or _LOOSENESS[after.mode] > _LOOSENESS[before.mode]
    )
    if is_looser:
        raise _refused()


def _refused() -> OwnCap:
    return OwnCap("Nobody loosens a cap of their own. Ask another admin.")
