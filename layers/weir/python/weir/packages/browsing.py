"""Looking at a package: its card, its versions in SemVer order, a version by its text or an alias."""

from weir.packages import aliases, finding, items, names, semver
from weir.packages.aliases import Alias
from weir.packages.errors import VersionNotFound
from weir.packages.found import Found, found_of
from weir.packages.models import File, Package, State, Version
from weir.packages.store import Store
from weir.packages.table import UNVERIFIED, VERSIONS, partition, version_key
from weir.packages.visibility import seen
from weir.runtime.dynamodb import Item
from weir.runtime.http import Principal

MOST_LOOKED_THROUGH = 1_000
"""Versions that one page looks through for those that are asked for, before it is answered as it is."""

_PAGE = 200

Position = dict[str, str]


def package(store: Store, name: str, caller: Principal) -> Package:
    """A package that the caller may see, by any form of its name. PackageNotFound."""
    return seen(store.package(names.normalized(name)), name, caller)


def card(store: Store, name: str, caller: Principal) -> tuple[Package, list[Alias]]:
    """A package and the aliases that are set. PackageNotFound."""
    found = package(store, name, caller)
    return found, aliases.of_package(store, found.name)


def versions(
    store: Store,
    name: str,
    caller: Principal,
    limit: int,
    after: Position | None = None,
    *,
    prerelease: bool = True,
    yanked: bool = False,
) -> tuple[list[Version], Position | None]:
    """Versions, newest first, and where to go on; None at the end. PackageNotFound.

    Without ``prerelease`` or ``yanked`` those are left out, and a page may be short with more to come all the same.
    """
    of = package(store, name, caller).name
    values = {"pk": partition(of), "begin": VERSIONS}
    start: Item | None = None if after is None else dict(version_key(of, after["after"]))
    found: list[Version] = []
    looked, size = 0, limit + 1
    while True:
        read, start = store.table.page(
            "pk = :pk AND begins_with(sk, :begin)", values, limit=size, after=start, descending=True
        )
        for number, item in enumerate(read, start=1):
            one = items.version_of(item)
            if _listed(one, prerelease=prerelease, yanked=yanked):
                found.append(one)
            if len(found) == limit or looked + number == MOST_LOOKED_THROUGH:
                ends = number == len(read) and start is None
                return found, None if ends else {"after": one.version}
        if start is None:
            return found, None
        looked += len(read)
        size = _PAGE


def version(store: Store, name: str, reference: str, caller: Principal) -> tuple[Package, Version]:
    """A version that the caller may see, by its text or an alias, and its package.

    Raises
    ------
    PackageNotFound
    VersionNotFound
        There is no such version or alias, or the version was deleted.
    """
    if semver.is_version(reference):
        found, there = finding.seen_version(name, reference, caller, store)
    else:
        text = aliases.target(store, package(store, name, caller), reference)
        found, there = finding.seen_version(name, text, caller, store)
    if there.state is State.REJECTED:
        raise VersionNotFound(f"The package {name!r} has no version {reference!r}.")
    return found, there


def files(store: Store, version: Version) -> list[File]:
    """The files of a version of which an upload was opened, by path."""
    return list(store.files(version.name, version.version))


def unverified(store: Store, limit: int, after: Position | None = None) -> tuple[list[Found], Position | None]:
    """The objects that no package tells of, by key, and where to go on; None at the end."""
    found, position = store.table.page(
        "#list = :list", {"list": UNVERIFIED}, limit=limit, after=after, index="listing", names={"list": "list"}
    )
    return [found_of(item) for item in found], position


def _listed(version: Version, *, prerelease: bool, yanked: bool) -> bool:
    return (
        version.state is not State.REJECTED
        and (prerelease or not semver.is_prerelease(version.version))
        and (yanked or version.yanked is None)
    )
