"""Yanking a version: it is hidden from lists and from ``latest``, and served all the same to whoever names it."""

from dataclasses import replace

from weir.packages import aliases, audit, items
from weir.packages.errors import VersionNotFound
from weir.packages.finding import owned_version
from weir.packages.models import Package, State, Version
from weir.packages.store import Store, stored_version
from weir.runtime.audit import Asker
from weir.runtime.dynamodb import Write


def yank(store: Store, name: str, version: str, reason: str, asker: Asker) -> Version:
    """Hide a version, and tell why. Yanked already for the same reason, it stays as it is.

    Raises
    ------
    PackageNotFound, NotTheOwner, VersionNotFound
    """
    return _yanked(store, name, version, reason, asker)


def unyank(store: Store, name: str, version: str, asker: Asker) -> Version:
    """Show a yanked version again. PackageNotFound, NotTheOwner, VersionNotFound."""
    return _yanked(store, name, version, None, asker)


def _yanked(store: Store, name: str, version: str, reason: str | None, asker: Asker) -> Version:
    def attempt() -> tuple[list[Write], Version] | Version:
        package, before = owned_version(name, version, asker.principal, store)
        if before.state is State.REJECTED:
            raise VersionNotFound(f"The package {name!r} has no version {version!r}.")
        if before.yanked == reason:
            return before
        return _writes(store, package, before, replace(before, yanked=reason), asker)

    return store.settle(attempt)


def _writes(
    store: Store, package: Package, before: Version, after: Version, asker: Asker
) -> tuple[list[Write], Version]:
    now = store.clock.now()
    changed = stored_version(before, after, now)
    what, detail = ("version.unyanked", {}) if after.yanked is None else ("version.yanked", {"reason": after.yanked})
    writes = [
        changed,
        aliases.latest_write(store, package, after),
        audit.entry(what, asker, package.name, before.version, now, detail),
    ]
    assert changed.put is not None
    return writes, items.version_of(changed.put)
