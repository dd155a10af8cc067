"""Changing a package: what it is told to be, and who may see it. No copy of it tells otherwise afterwards."""

from dataclasses import replace

from weir.packages import audit, items, searching
from weir.packages.contract import PackagePatch
from weir.packages.etags import check_match, etag
from weir.packages.models import Package
from weir.packages.names import normalized
from weir.packages.registering import check_groups
from weir.packages.store import Store, stored_package
from weir.packages.visibility import owned
from weir.runtime.audit import Asker
from weir.runtime.dynamodb import Write


def change(store: Store, name: str, patch: PackagePatch, if_match: str | None, asker: Asker) -> Package:
    """Change what a patch names. A patch of what is so already changes nothing.

    Raises
    ------
    PackageNotFound, NotTheOwner
    Changed
        The package is not in the version that ``if_match`` names.
    Forbidden
        A group is named anew that the caller is not in.
    Invalid
        It would be restricted, to nobody.
    """

    def attempt() -> tuple[list[Write], Package] | Package:
        before = owned(store.package(normalized(name)), name, asker.principal)
        check_match(if_match, etag(before.revision), "package")
        after = replace(before, **{field: getattr(patch, field) for field in patch.model_fields_set})
        if after == before:
            return before
        new = set(after.allowed_groups) - set(before.allowed_groups)
        check_groups(after.sensitivity, after.allowed_groups, new, asker.principal)
        now = store.clock.now()
        changed = stored_package(before, after, now)
        assert changed.put is not None
        told = audit.entry("package.changed", asker, before.name, "", now, _detail(before, after))
        return [changed, *searching.moved(before, after), told], items.package_of(changed.put)

    return store.settle(attempt)


def _detail(before: Package, after: Package) -> dict[str, str]:
    """What the audit tells: the fields, and of who may see it what was and what is."""
    fields = [name for name in PackagePatch.model_fields if getattr(before, name) != getattr(after, name)]
    detail = {"fields": " ".join(fields)}
    if "sensitivity" in fields:
        detail |= {"sensitivity": f"{before.sensitivity} to {after.sensitivity}"}
    if "allowed_groups" in fields:
        detail |= {"groups_before": " ".join(before.allowed_groups), "groups": " ".join(after.allowed_groups)}
    return detail
