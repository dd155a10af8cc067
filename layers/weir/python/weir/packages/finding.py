"""What a request names: a version of a package, an upload of it. Or that there is none, for this caller."""

from weir.packages import names, semver
from weir.packages.errors import UploadNotFound, VersionNotFound
from weir.packages.models import Package, Upload, Version
from weir.packages.store import Store
from weir.packages.visibility import owned, seen
from weir.runtime.http import Principal


def seen_version(name: str, version: str, caller: Principal, store: Store) -> tuple[Package, Version]:
    """A version that the caller may see, and its package. PackageNotFound, VersionNotFound."""
    package, found = _read(name, version, store)
    return seen(package, name, caller), _there(found, name, version)


def owned_version(name: str, version: str, caller: Principal, store: Store) -> tuple[Package, Version]:
    """A version that the caller may add to, and its package. PackageNotFound, NotTheOwner, VersionNotFound."""
    package, found = _read(name, version, store)
    return owned(package, name, caller), _there(found, name, version)


def owned_upload(name: str, version: str, upload_id: str, caller: Principal, store: Store) -> Upload:
    """An upload of a version that the caller may add to. PackageNotFound, NotTheOwner, ..., UploadNotFound."""
    _, found = owned_version(name, version, caller, store)
    upload = store.upload(upload_id)
    if upload is None or (upload.name, upload.version) != (found.name, found.version):
        raise UploadNotFound(f"There is no upload {upload_id!r} of {found.name} {found.version}.")
    return upload


def _read(name: str, version: str, store: Store) -> tuple[Package | None, Version | None]:
    if not semver.is_version(version):
        return store.package(names.normalized(name)), None
    return store.package_and_version(names.normalized(name), version)


def _there(found: Version | None, name: str, version: str) -> Version:
    if found is None:
        raise VersionNotFound(f"The package {name!r} has no version {version!r}.")
    return found
