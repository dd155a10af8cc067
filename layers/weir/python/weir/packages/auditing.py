"""Reading the audit of packages, newest first: of one package or version, or of all, month by month."""

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta

from weir.packages import names, semver
from weir.packages.audit import KEPT, Entry, entry_of
from weir.packages.errors import VersionNotFound
from weir.packages.items import package_of
from weir.packages.store import Store
from weir.packages.table import package_key
from weir.packages.visibility import owned
from weir.runtime.clock import parse_rfc3339, rfc3339
from weir.runtime.dynamodb import Item
from weir.runtime.http import Principal

MOST_LOOKED_THROUGH = 1_000
"""Entries that one page looks through for those that are asked for, before it is answered as it is."""

_PAGE = 200
_BATCH = 100
_TOP = "~"
"""Above every sort key of an entry, for those begin with a digit."""

Position = dict[str, str]


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
    package = owned(store.package(names.normalized(name)), name, caller)
    if version is not None and not semver.is_version(version):
        raise VersionNotFound(f"The package {name!r} has no version {version!r}.")
    order = None if version is None else semver.order(version)
    oldest = store.clock.now() - KEPT

    def wanted(item: Item) -> bool:
        of_version = order is None or (item["version"] != "" and semver.order(item["version"]) == order)
        return of_version and who in {None, item["who"]} and _at(item) > oldest

    below = after["below"] if after else _TOP if until is None else f"{rfc3339(until)}#{_TOP}"
    found: list[Entry] = []
    looked = 0
    while True:
        read, more = _of_package(store, package.name, below)
        for number, item in enumerate(read, start=1):
            if wanted(item):
                found.append(entry_of(item))
            if len(found) == limit or looked + number == MOST_LOOKED_THROUGH:
                ends = number == len(read) and not more
                return found, None if ends else {"below": item["sk"]}
        if not more:
            return found, None
        looked += len(read)
        below = read[-1]["sk"]


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
    What was told within the last second may be missing: it is read from an index.
    """
    now = store.clock.now()
    oldest = now - KEPT
    shown = _shown(store, caller)
    month, below = (after["month"], after["below"]) if after else _beginning(now, until)
    found: list[Entry] = []
    looked = 0
    while month >= f"{oldest:%Y-%m}":
        read, more = _of_month(store, month, below)
        may = shown(read)
        for item in read:
            looked += 1
            if may[item["name"]] and who in {None, item["who"]} and _at(item) > oldest:
                found.append(entry_of(item))
            if len(found) == limit or looked == MOST_LOOKED_THROUGH:
                return found, {"month": month, "below": item["at"]}
        month, below = (month, read[-1]["at"]) if more else (_month_before(month), _TOP)
    return found, None


def _shown(store: Store, caller: Principal) -> Callable[[list[Item]], Mapping[str, bool]]:
    """Whether the caller may read entries, by package; each package is read once."""
    known: dict[str, bool] = {}

    def shown(read: list[Item]) -> Mapping[str, bool]:
        new = sorted({item["name"] for item in read} - known.keys())
        known.update(dict.fromkeys(new, caller.is_admin))
        for names_ in () if caller.is_admin else _batches(new):
            for row in store.table.get_many([package_key(name) for name in names_]):
                package = package_of(row)
                known[package.name] = caller.owns(package.owner)
        return known

    return shown


def _batches(texts: list[str]) -> Iterator[list[str]]:
    for first in range(0, len(texts), _BATCH):
        yield texts[first : first + _BATCH]


def _beginning(now: datetime, until: datetime | None) -> tuple[str, str]:
    """Month and sort key below which the entries lie that are asked for.

    Without a limit that is the whole month: another function's clock may be a little ahead.
    """
    if until is None:
        return f"{now:%Y-%m}", _TOP
    return f"{min(until, now).astimezone(UTC):%Y-%m}", f"{rfc3339(until)}#{_TOP}"


def _of_package(store: Store, name: str, below: str) -> tuple[list[Item], bool]:
    values = {"pk": f"AUDIT#{name}", "below": below}
    read, last = store.table.page("pk = :pk AND sk < :below", values, limit=_PAGE, descending=True)
    return read, last is not None


def _of_month(store: Store, month: str, below: str) -> tuple[list[Item], bool]:
    values = {"list": f"AUDIT#{month}", "below": below}
    read, last = store.table.page(
        "#list = :list AND #at < :below",
        values,
        limit=_PAGE,
        index="listing",
        descending=True,
        names={"list": "list", "at": "at"},
    )
    return read, last is not None


def _month_before(month: str) -> str:
    return f"{datetime.fromisoformat(f'{month}-01') - timedelta(days=1):%Y-%m}"


def _at(item: Item) -> datetime:
    return parse_rfc3339(str(item["sk"]).split("#")[0])
