"""Who may see a package, and who may change it. What a caller may not see does not exist for them."""

from weir.packages.errors import NotTheOwner, PackageNotFound
from weir.packages.models import Package
from weir.runtime.http import Principal


def may_see(caller: Principal, package: Package) -> bool:
    """Whether a package exists for a caller: their own, any for an admin, else as its groups say.

    Groups are the verified caller's, never what a request says.
    """
    if caller.owns(package.owner):
        return True
    if package.sensitivity == "restricted" or package.allowed_groups:
        return not caller.groups.isdisjoint(package.allowed_groups)
    return True


def seen(package: Package | None, name: str, caller: Principal) -> Package:
    """The package, where the caller may see it. PackageNotFound otherwise, in the same words."""
    if package is None or not may_see(caller, package):
        raise PackageNotFound(f"There is no package {name!r}.")
    return package


def owned(package: Package | None, name: str, caller: Principal) -> Package:
    """The package, where the caller may change it.

    Raises
    ------
    PackageNotFound
        There is none, or the caller may not see it.
    NotTheOwner
        It is another user's.
    """
    found = seen(package, name, caller)
    if not caller.owns(found.owner):
        raise NotTheOwner(f"The package {name!r} is another user's.")
    return found
