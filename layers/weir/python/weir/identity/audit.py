"""The audit: who changed what in identity, when, and from where. Kept for 400 days, read by month, newest first.

An entry is written in the transaction of the change that it tells of, so that neither is there without the other.
It never holds a secret, nor a name that somebody typed who is nobody. ``what`` is ``thing.done``:

| thing | done |
|---|---|
| user | created, registered, changed, roles-changed, groups-changed, disabled, enabled, password-reset, deleted |
| user | password-changed, password-ended, provider-linked |
| login | done, refused |
| session | refreshed-twice, ended |
| api-key | created, rotated, revoked |
| signing-key | rotated |
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

from weir.identity.models import User
from weir.identity.shapes import SHAPES
from weir.identity.table import SCHEMA
from weir.runtime.clock import parse_rfc3339, rfc3339
from weir.runtime.dynamodb import Item, Table, Write

if TYPE_CHECKING:
    from weir.runtime.http import Origin, Principal

KEPT = timedelta(days=400)
MOST_LOOKED_THROUGH = 1_000
"""Entries that one page looks through for those that are asked for, before it is answered as it is."""

_LONGEST = 256
_PAGE = 200

Position = dict[str, str]


@dataclass(frozen=True, slots=True)
class Entry:
    """What happened, once. ``who`` is a user id, ``anonymous`` or ``system``; ``subject`` the id of what it is of."""

    at: datetime
    what: str
    who: str
    who_name: str
    subject: str
    detail: Mapping[str, str] = field(default_factory=dict)
    source_ip: str = ""
    user_agent: str = ""
    request_id: str = ""


def entry(
    what: str,
    who: "Principal | User | Literal['anonymous', 'system']",
    subject: str,
    origin: "Origin | None",
    now: datetime,
    detail: Mapping[str, str] | None = None,
) -> Write:
    """The write of an entry, for the transaction of the change.

    Parameters
    ----------
    who
        The caller; the user who has just logged in; ``anonymous``; or ``system``, for what no request has asked for.
    subject
        Id of the user, key or session that it is about.
    origin
        None where there is no request.
    detail
        Short texts, such as ``{"roles": "admin member"}``: what is longer than 256 characters is cut off.
    """
    id_, name = _who(who)
    item: dict[str, Any] = {
        "pk": f"AUDIT#{now:%Y-%m}",
        "sk": f"{rfc3339(now)}#{secrets.token_hex(8)}",
        "schema": SCHEMA,
        "ttl": int((now + KEPT).timestamp()),
        "what": what,
        "who": id_,
        "who_name": name,
        "subject": subject,
        "detail": {name: text[:_LONGEST] for name, text in (detail or {}).items()},
    }
    if origin is not None:
        item |= {
            "source_ip": origin.source_ip,
            "user_agent": origin.user_agent[:_LONGEST],
            "request_id": origin.request_id,
        }
    return Write(put=item, when="attribute_not_exists(pk)")


def record(
    table: Table,
    what: str,
    who: "Principal | User | Literal['anonymous', 'system']",
    subject: str,
    origin: "Origin | None",
    now: datetime,
    detail: Mapping[str, str] | None = None,
) -> None:
    """Store an entry by itself, where nothing else is written."""
    item = entry(what, who, subject, origin, now, detail).put
    assert item is not None
    table.put_new(item)


def page(
    table: Table,
    limit: int,
    after: Position | None,
    now: datetime,
    *,
    who: str | None = None,
    subject: str | None = None,
    until: datetime | None = None,
) -> tuple[list[Entry], Position | None]:
    """Entries newest first, of every month that any is kept of, and where to go on; None at the end.

    ``who`` and ``subject`` leave out the entries of others; a page may then hold fewer than ``limit``, even none, and
    there are more all the same wherever a position is answered. ``until`` leaves out what came later.
    """
    wanted = {name: value for name, value in (("who", who), ("subject", subject)) if value is not None}
    oldest = now - KEPT
    month, below = (after["month"], after["below"]) if after else _beginning(now, until)
    found: list[Entry] = []
    looked = 0
    while month >= f"{oldest:%Y-%m}":
        items = _of_month(table, month, below)
        for item in items:
            looked += 1
            if all(item[name] == value for name, value in wanted.items()) and _at(item) > oldest:
                found.append(entry_of(item))
            if len(found) == limit or looked == MOST_LOOKED_THROUGH:
                return found, {"month": month, "below": item["sk"]}
        month, below = (month, items[-1]["sk"]) if len(items) == _PAGE else (_month_before(month), _TOP)
    return found, None


_TOP = "~"
"""Above every sort key of an entry, for those begin with a digit."""


def _beginning(now: datetime, until: datetime | None) -> tuple[str, str]:
    """Month and sort key below which the entries lie that are asked for.

    Without a limit that is the whole month: another function's clock may be a little ahead.
    """
    if until is None or until >= now:
        return f"{now:%Y-%m}", _TOP
    return f"{until.astimezone(UTC):%Y-%m}", f"{rfc3339(until)}#{_TOP}"


def _of_month(table: Table, month: str, below: str) -> list[Item]:
    values = {"pk": f"AUDIT#{month}", "below": below}
    return table.page("pk = :pk AND sk < :below", values, limit=_PAGE, descending=True)[0]


def _month_before(month: str) -> str:
    return f"{datetime.fromisoformat(f'{month}-01') - timedelta(days=1):%Y-%m}"


def _at(item: Mapping[str, Any]) -> datetime:
    return parse_rfc3339(str(item["sk"]).split("#")[0])


def entry_of(item: Mapping[str, Any]) -> Entry:
    """An entry from its item, of any schema that this version knows."""
    item = SHAPES.current(item)
    return Entry(
        at=_at(item),
        what=item["what"],
        who=item["who"],
        who_name=item["who_name"],
        subject=item["subject"],
        detail=item["detail"],
        source_ip=item.get("source_ip", ""),
        user_agent=item.get("user_agent", ""),
        request_id=item.get("request_id", ""),
    )


def _who(who: "Principal | User | str") -> tuple[str, str]:
    if isinstance(who, str):
        return who, who
    if isinstance(who, User):
        return who.user_id, who.username
    return who.sub, who.username
