"""Reading the audit of packages, newest first: of one package or version, of all, or of those that one owns.

Entries of one time are told apart by their ids, so that the place of an entry among all others is its sort key: lists
that are read side by side are merged by it, and a position in one of them is one in all.
"""

import heapq
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial

from weir.packages import names, semver
from weir.packages.audit import KEPT, OF_UNVERIFIED, Entry, entry_of
from weir.packages.errors import VersionNotFound
from weir.packages.items import package_of
from weir.packages.store import Store
from weir.packages.table import AUDIT_SHARDS, audit_list
from weir.packages.visibility import owned
from weir.runtime.clock import parse_rfc3339, rfc3339
from weir.runtime.dynamodb import Item
from weir.runtime.http import Principal

MOST_LOOKED_THROUGH = 1_000
"""Entries that one page looks through for those that are asked for, before it is answered as it is."""

MOST_MONTHS = 3
"""Months that one page looks through, each of as many queries as it has lists."""

MOST_MERGED = 50
"""Packages that are read side by side: whoever owns more is told of them fifty by fifty, by name."""

PAGE = 200
SHARE = 25
"""Entries in a query of a list: of one that is read alone, and of one of many that are merged."""

_BOTTOM, _TOP = " ", "~"
"""Below and above every sort key of an entry and every name of a package, for those begin with a letter or digit."""

_OWNED = "#owner = :owner AND #at BETWEEN :low AND :high"
_OWNED_NAMES = {"owner": "owner", "at": "at"}

Position = dict[str, str]
Read = Callable[[str], tuple[list[Item], bool]]
"""Reads a list: its newest entries below a sort key, and whether there are more."""


def of_package(
    store: Store,
    name: str,
    caller: Principal,
    limit: int,
    after: Position | None = None,
    *,
    version: str | None = None,
    who: str | None = None,
    until: datetime | None = None,
) -> tuple[list[Entry], Position | None]:
    """What happened to a package, or to one version of it, and where to go on; None at the end.

    For its owner and admins: it tells who has downloaded what, and from where.

    Raises
    ------
    PackageNotFound, NotTheOwner
    VersionNotFound
        ``version`` is none; an alias has no audit of its own.
    """
    if name == OF_UNVERIFIED and caller.is_admin and version is None:
        of = name
    else:
        of = owned(store.package(names.normalized(name)), name, caller).name
    if version is not None and not semver.is_version(version):
        raise VersionNotFound(f"The package {name!r} has no version {version!r}.")
    order = None if version is None else semver.order(version)
    wanted = _wanted(store, who)

    def of_version(item: Item) -> bool:
        return order is None or (item["version"] != "" and semver.order(item["version"]) == order)

    below = after["below"] if after else _top(until)
    page = _Page(limit, lambda item: of_version(item) and wanted(item))
    at = page.take(_below(partial(_of_package, store, of, PAGE), below))
    return page.found, None if at is None else {"below": at}


def of_all(
    store: Store,
    caller: Principal,
    limit: int,
    after: Position | None = None,
    *,
    who: str | None = None,
    until: datetime | None = None,
) -> tuple[list[Entry], Position | None]:
    """What happened to all packages; for who is no admin, to those that they own. None at the end.

    A page may hold fewer than ``limit``, even none, and there are more all the same wherever a position is answered.
    What was told, or which package was registered, within the last second may be missing: that is read from an index.
    """
    page = _Page(limit, _wanted(store, who))
    position = _everybodys(store, page, after, until) if caller.is_admin else _own(store, caller, page, after, until)
    return page.found, position


def _everybodys(store: Store, page: "_Page", after: Position | None, until: datetime | None) -> Position | None:
    """Fill a page with entries of all packages, month by month; where to go on."""
    now = store.clock.now()
    month, below = (after["month"], after["below"]) if after else _beginning(now, until)
    for _ in range(MOST_MONTHS):
        shards = [partial(_of_shard, store, audit_list(month, shard)) for shard in range(AUDIT_SHARDS)]
        at = page.take(_merged(shards, below))
        if at is not None:
            return {"month": month, "below": at}
        month, below = _month_before(month), _TOP
        if month < f"{now - KEPT:%Y-%m}":
            return None
        if page.is_full:
            break
    return {"month": month, "below": below}


def _own(
    store: Store, caller: Principal, page: "_Page", after: Position | None, until: datetime | None
) -> Position | None:
    """Fill a page with entries of some of the packages that the caller owns; where to go on.

    A position that is within these entries tells of which packages they are: from ``low`` to ``high``, by name. One
    that was registered in between meanwhile has nothing below it.
    """
    low, high = (after["low"], after["high"]) if after else (_BOTTOM, _TOP)
    below = after["below"] if after and "below" in after else None
    values = {"owner": caller.sub, "low": low, "high": high}
    if below is None:
        rows, more = store.table.page(_OWNED, values, limit=MOST_MERGED, index="owned", names=_OWNED_NAMES)
        below, high = _top(until), rows[-1]["at"] if more else high
    else:
        rows = list(store.table.all(_OWNED, values, index="owned", names=_OWNED_NAMES))
    packages = [one for one in map(package_of, rows) if rfc3339(one.created_at) <= below]
    at = page.take(_merged([partial(_of_package, store, one.name, SHARE) for one in packages], below))
    if at is not None:
        return {"low": low, "high": high, "below": at}
    return None if high == _TOP else {"low": f"{high}{_BOTTOM}", "high": _TOP}


class _Page:
    """A page that is being filled: at most ``limit`` entries, and a bounded number looked through for them."""

    def __init__(self, limit: int, wanted: Callable[[Item], bool]) -> None:
        self.found: list[Entry] = []
        self._limit, self._wanted, self._looked = limit, wanted, 0

    @property
    def is_full(self) -> bool:
        """Whether it has what was asked for, or has looked through as much as it may."""
        return len(self.found) == self._limit or self._looked == MOST_LOOKED_THROUGH

    def take(self, entries: Iterator[Item]) -> str | None:
        """Take what is wanted; the sort key below which to go on once the page is full, None where these were all."""
        for item in entries:
            self._looked += 1
            if self._wanted(item):
                self.found.append(entry_of(item))
            if self.is_full:
                return str(item["sk"]) if next(entries, None) is not None else None
        return None


def _wanted(store: Store, who: str | None) -> Callable[[Item], bool]:
    """Whether an entry is kept still, and of what ``who`` has done, where somebody is named."""
    oldest = store.clock.now() - KEPT
    return lambda item: who in {None, item["who"]} and _at(item) > oldest


def _merged(lists: Iterable[Read], below: str) -> Iterator[Item]:
    """The entries of several lists below a sort key, newest first; each list is read as far as it is needed."""
    return heapq.merge(*(_below(read, below) for read in lists), key=lambda item: str(item["sk"]), reverse=True)


def _below(read: Read, below: str) -> Iterator[Item]:
    """The entries of one list below a sort key, newest first."""
    more = True
    while more:
        found, more = read(below)
        yield from found
        below = found[-1]["sk"] if found else below


def _top(until: datetime | None) -> str:
    """The sort key below which the entries lie that are asked for.

    Without a limit these are all: another function's clock may be a little ahead.
    """
    return _TOP if until is None else f"{rfc3339(until)}#{_TOP}"


def _beginning(now: datetime, until: datetime | None) -> tuple[str, str]:
    """The month that the newest entry can be of which is asked for, and the sort key below which it lies."""
    return f"{now if until is None else min(until, now).astimezone(UTC):%Y-%m}", _top(until)


def _of_package(store: Store, name: str, most: int, below: str) -> tuple[list[Item], bool]:
    values = {"pk": f"AUDIT#{name}", "below": below}
    read, last = store.table.page("pk = :pk AND sk < :below", values, limit=most, descending=True)
    return read, last is not None


def _of_shard(store: Store, listed: str, below: str) -> tuple[list[Item], bool]:
    values, where = {"list": listed, "below": below}, "#list = :list AND #at < :below"
    names_ = {"list": "list", "at": "at"}
    read, last = store.table.page(where, values, limit=SHARE, index="listing", descending=True, names=names_)
    return read, last is not None


def _month_before(month: str) -> str:
    return f"{datetime.fromisoformat(f'{month}-01') - timedelta(days=1):%Y-%m}"


def _at(item: Item) -> datetime:
    return parse_rfc3339(str(item["sk"]).split("#")[0])
