"""Aliases of a package: names that its owner moves from version to version, and ``latest``, which Weir computes.

``latest`` is the newest release that is served and not yanked; a pre-release while there is no such release. It is on
the package's row. Whoever changes what is served writes that row in the same transaction, whether ``latest`` changes or
not: of two at once, the second then sees what the first has done.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from weir.packages import audit, items, semver
from weir.packages.errors import Changed, NotAvailable, VersionNotFound
from weir.packages.etags import check_match
from weir.packages.models import Package, Version
from weir.packages.shapes import SHAPES
from weir.packages.store import Store, stored_package
from weir.packages.table import alias_key, package_key, partition, version_key
from weir.packages.visibility import owned
from weir.runtime.audit import Asker
from weir.runtime.clock import parse_rfc3339
from weir.runtime.dynamodb import Item, Write
from weir.runtime.errors import Conflict

LATEST = "latest"
MOST_ALIASES = 64
"""Of one package: a version that is deleted takes its aliases with it, in one transaction."""

_ROUTES = frozenset({"aliases", "versions"})


class AliasRefused(Conflict):
    """The alias is Weir's own, or one too many."""

    slug, title = "alias-refused", "Not an alias to set"


@dataclass(frozen=True, slots=True)
class Alias:
    """A name of a version, that its package's owner has set."""

    name: str
    alias: str
    version: str
    updated_at: datetime
    revision: int

    @property
    def etag(self) -> str:
        """Its entity tag: one that was removed and set anew has another, unless it names the same version."""
        return f'"{self.revision}-{self.version}"'


@dataclass(frozen=True, slots=True)
class Moved:
    """An alias as it is now, and whether this request has made it."""

    alias: Alias
    is_new: bool


# latest


def newest(latest: str | None, versions: Iterable[Version]) -> str | None:
    """What ``latest`` is, once these versions are as given: the present one, or one of them that comes before it."""
    names = [one.version for one in versions if counts(one)]
    return max(names if latest is None else [*names, latest], key=_rank, default=None)


def counts(version: Version) -> bool:
    """Whether a version may be ``latest``."""
    return version.is_served and version.yanked is None


def latest_after(package: Package, served: Version, now: datetime) -> list[Write]:
    """The write of a package of which a version has come to be served, for the transaction that makes it so."""
    return [stored_package(package, replace(package, latest=newest(package.latest, [served])), now)]


def latest_write(store: Store, package: Package, *after: Version) -> Write:
    """The write of a package whose versions will be as in ``after``, for the transaction that makes them so.

    For one that comes to be served, and for one that is yanked, let back in or deleted. Where ``latest`` is no longer
    one to be it, the versions are read, newest first, up to the first release that is.
    """
    return stored_package(package, with_latest(store, package, *after), store.clock.now())


def with_latest(store: Store, package: Package, *after: Version) -> Package:
    """The package with the ``latest`` that it has then."""
    lost = {semver.order(one.version) for one in after if not counts(one)}
    latest = package.latest
    if latest is not None and semver.order(latest) in lost:
        latest = _next(store, package.name, lost)
    return replace(package, latest=newest(latest, after))


def _next(store: Store, name: str, lost: set[str]) -> str | None:
    before: str | None = None
    for version in store.versions(name):
        if not counts(version) or semver.order(version.version) in lost:
            continue
        if not semver.is_prerelease(version.version):
            return version.version
        before = before or version.version
    return before


def _rank(version: str) -> tuple[bool, str]:
    return not semver.is_prerelease(version), semver.order(version)


# Aliases that are set


def of_package(store: Store, name: str) -> list[Alias]:
    """All that are set, by name."""
    found = store.table.all("pk = :pk AND begins_with(sk, :begin)", {"pk": partition(name), "begin": "A#"})
    return [alias_of(item) for item in found]


def target(store: Store, package: Package, alias: str) -> str:
    """The version that an alias of a package names. VersionNotFound where there is no such alias."""
    if alias == LATEST:
        version = package.latest
    else:
        item = store.table.get(alias_key(package.name, alias))
        version = alias_of(item).version if item else None
    if version is None:
        raise VersionNotFound(f"The package {package.name!r} has no version or alias {alias!r}.")
    return version


def move(
    store: Store,
    name: str,
    alias: str,
    version: str,
    asker: Asker,
    *,
    if_match: str | None = None,
    if_none_match: str | None = None,
) -> Moved:
    """Let an alias name a version that is served.

    An alias that is there is moved with ``if_match`` alone, so that nobody undoes what they have not seen. Set to what
    it is already, without a condition, it stays as it is.

    Raises
    ------
    PackageNotFound, NotTheOwner
    AliasRefused
        It is ``latest``, or the name of a route; or the package has 64 already.
    Changed
        It is not as the condition says.
    VersionNotFound, NotAvailable
        There is no such version; it is not served, or yanked.
    """

    def attempt() -> tuple[list[Write], Moved] | Moved:
        read, found, before = _read(store, name, alias, version)
        package = owned(read, name, asker.principal)
        _check_alias(alias)
        if before is not None and before.version == version and if_match is None and if_none_match is None:
            return Moved(before, is_new=False)
        _check_condition(alias, before, if_match, if_none_match)
        there = _servable(found, name, version)
        if before is None and len(of_package(store, name)) >= MOST_ALIASES:
            raise AliasRefused(f"The package {name!r} has {MOST_ALIASES} aliases already; remove one.")
        revision = 1 if before is None else before.revision + 1
        now = store.clock.now()
        item = items.alias_item(name, alias, there.version, revision, now)
        detail = {"alias": alias, "from": "" if before is None else before.version, "to": there.version}
        writes = [
            _stored(item, before),
            Write(key=version_key(name, version), when="revision = :read", values={"read": there.revision}, check=True),
            audit.entry("alias.moved", asker, name, there.version, now, detail),
        ]
        if before is None:  # of two new ones at once, the second then counts the first
            writes.append(stored_package(package, package, now))
        return writes, Moved(alias_of(item), is_new=before is None)

    return store.settle(attempt)


def remove(store: Store, name: str, alias: str, asker: Asker, if_match: str | None = None) -> None:
    """Take an alias away.

    Raises
    ------
    PackageNotFound, NotTheOwner
    VersionNotFound
        There is no such alias.
    AliasRefused
        It is ``latest``.
    Changed
        It is not as ``if_match`` says.
    """

    def attempt() -> tuple[list[Write], None] | None:
        found = {one["sk"]: one for one in store.table.get_many([package_key(name), alias_key(name, alias)])}
        package, item = found.get("PKG"), found.get(alias_key(name, alias)["sk"])
        owned(items.package_of(package) if package else None, name, asker.principal)
        _check_alias(alias)
        if item is None:
            raise VersionNotFound(f"The package {name!r} has no alias {alias!r}.")
        before = alias_of(item)
        check_match(if_match, before.etag, "alias")
        detail = {"alias": alias, "from": before.version, "to": ""}
        told = audit.entry("alias.removed", asker, name, before.version, store.clock.now(), detail)
        return [removal(before), told], None

    store.settle(attempt)


def removal(alias: Alias) -> Write:
    """The write that takes an alias away, while it is as it was read."""
    return Write(
        key=alias_key(alias.name, alias.alias),
        when="revision = :read AND version = :version",
        values={"read": alias.revision, "version": alias.version},
    )


def alias_of(item: Mapping[str, Any]) -> Alias:
    """The alias of an item."""
    item = SHAPES.current(item)
    return Alias(
        name=item["name"],
        alias=item["alias"],
        version=item["version"],
        updated_at=parse_rfc3339(item["updated_at"]),
        revision=item["revision"],
    )


def _read(store: Store, name: str, alias: str, version: str) -> tuple[Package | None, Version | None, Alias | None]:
    keys = [package_key(name), version_key(name, version), alias_key(name, alias)]
    found = {one["sk"]: one for one in store.table.get_many(keys)}
    package, there, before = (found.get(key["sk"]) for key in keys)
    return (
        items.package_of(package) if package else None,
        items.version_of(there) if there else None,
        alias_of(before) if before else None,
    )


def _check_alias(alias: str) -> None:
    if alias == LATEST:
        raise AliasRefused("latest is computed: it is the newest release that is served.")
    if alias in _ROUTES:
        raise AliasRefused(f"No alias may be called {alias}: that is a path of the API.")


def _check_condition(alias: str, before: Alias | None, if_match: str | None, if_none_match: str | None) -> None:
    if before is None:
        if if_match is not None:
            raise Changed(f"There is no alias {alias!r}; leave out If-Match to set a new one.")
        return
    if if_none_match is not None or if_match is None:
        told = f"The alias {alias!r} names {before.version}"
        raise Changed(f"{told}; move it with If-Match: {before.etag}", etag=before.etag)
    check_match(if_match, before.etag, "alias")


def _servable(version: Version | None, name: str, asked: str) -> Version:
    if version is None:
        raise VersionNotFound(f"The package {name!r} has no version {asked!r}.")
    if not counts(version):
        state = "yanked" if version.yanked is not None else version.state.value
        raise NotAvailable(f"{name} {version.version} is {state}; an alias names what is AVAILABLE.")
    return version


def _stored(item: Item, before: Alias | None) -> Write:
    if before is None:
        return Write(put=item, when="attribute_not_exists(pk)")
    return Write(
        put=item,
        when="revision = :read AND version = :version",
        values={"read": before.revision, "version": before.version},
    )
