"""Registering a version: one read of what is there, one transaction of what comes.

The first version of a name makes the package. What a package is called is kept for good, and for all that looks like it
(``names.skeleton``); what a version was registered with never changes. The same once more is answered the same.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Protocol

from weir.packages import audit, items, names, searching
from weir.packages.contract import NewVersion
from weir.packages.errors import NameTaken, VersionExists
from weir.packages.models import Declared, Manifest, Package, Sensitivity, State, Version
from weir.packages.shapes import SHAPES
from weir.packages.store import Store, stored_manifest, stored_package, stored_version
from weir.packages.table import SCHEMA, looks_key, package_key, version_key
from weir.packages.visibility import may_see, owned
from weir.runtime.audit import Asker
from weir.runtime.dynamodb import Write
from weir.runtime.errors import FieldError, Forbidden, Invalid
from weir.runtime.http import Principal


@dataclass(frozen=True, slots=True)
class Registered:
    """A version, and the files that it was registered with where this request has made it."""

    version: Version
    manifest: Manifest | None = None

    @property
    def is_new(self) -> bool:
        """Whether this request has made it."""
        return self.manifest is not None


def register(asked: NewVersion, asker: Asker, store: Store) -> Registered:
    """Register a version, and with the first one its package. Two calls of DynamoDB, where nobody is in between.

    Raises
    ------
    NameTaken
        The name looks like that of another package.
    PackageNotFound, NotTheOwner
        The package is another user's; the former where the caller may not see it.
    VersionExists
        The version is there with other content, or what was given of the package is not so: PATCH changes it.
    Forbidden
        A group is named that the caller is not in.
    Invalid
        A restricted package without a group.
    """

    def attempt() -> tuple[list[Write], Registered] | Registered:
        package, version, look_alike = _read(asked, store)
        if package is None:
            if look_alike is not None:
                raise _taken(asked.name, look_alike, asker.principal, store)
            return _first(asked, asker, store.clock.now())
        owned(package, asked.name, asker.principal)
        _check_kept(version)  # first: of what it was nothing is left to be the same as
        _check_same(asked, package, version)
        if version is None:
            return _next(asked, package, asker, store.clock.now())
        if version.digest != digest(asked):
            raise VersionExists(f"{package.name} {version.version} is there with other content; take a new version.")
        return Registered(version)

    return store.settle(attempt)


class Given(Protocol):
    """What a request gives of a package; None is left as it is."""

    @property
    def name(self) -> str: ...
    @property
    def version(self) -> str | None: ...
    @property
    def description(self) -> str | None: ...
    @property
    def sensitivity(self) -> Sensitivity | None: ...
    @property
    def allowed_groups(self) -> tuple[str, ...] | None: ...
    @property
    def tags(self) -> tuple[str, ...] | None: ...


def check(given: Given, caller: Principal, store: Store) -> None:
    """Check that a version may come to be registered so, as far as can be told before its files are known.

    Raises
    ------
    NameTaken, PackageNotFound, NotTheOwner, VersionExists, Forbidden, Invalid
        As ``register`` does.
    """
    package, version, look_alike = _read(given, store)
    if package is None:
        if look_alike is not None:
            raise _taken(given.name, look_alike, caller, store)
        groups = given.allowed_groups or ()
        check_groups(given.sensitivity or "internal", groups, groups, caller)
        return
    owned(package, given.name, caller)
    _check_kept(version)
    _check_same(given, package, version, is_known=given.version is not None)


def digest(asked: NewVersion) -> str:
    """The fingerprint of what a version is registered with: SHA-256 of its version, metadata and files, in hex."""
    files = None if asked.files is None else [asdict(one) for one in declared(asked)]
    told = {"name": asked.name, "version": asked.version, "metadata": asked.metadata, "files": files}
    return hashlib.sha256(json.dumps(told, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def declared(asked: NewVersion) -> tuple[Declared, ...]:
    """The files that are declared, by path."""
    made = [Declared(one.path, one.size, one.sha256, one.content_type) for one in asked.files or ()]
    return tuple(sorted(made, key=lambda one: one.path))


def check_groups(sensitivity: str, groups: Iterable[str], new: Iterable[str], caller: Principal) -> None:
    """Check who is to see a package: ``groups`` in all, of which ``new`` were not named before.

    Raises
    ------
    Invalid
        It is restricted, to nobody.
    Forbidden
        The caller, who is no admin, is not in a group that is new.
    """
    if sensitivity == "restricted" and not tuple(groups):
        told = "a restricted package names at least one group"
        raise Invalid(f"allowed_groups: {told}", errors=[FieldError("allowed_groups", told)])
    strange = sorted(set(new) - caller.groups)
    if strange and not caller.is_admin:
        raise Forbidden(f"You may name only groups that you are in, and not {', '.join(strange)}.")


def _read(asked: Given, store: Store) -> tuple[Package | None, Version | None, str | None]:
    """The package, the version where one is named, and the name of the package that looks like this one."""
    of_version = [] if asked.version is None else [version_key(asked.name, asked.version)]
    keys = [package_key(asked.name), looks_key(names.skeleton(asked.name)), *of_version]
    found = {one["sk"]: one for one in store.table.get_many(keys)}
    package, looks = found.get("PKG"), found.get("LOOKS")
    version = next((found.get(key["sk"]) for key in of_version), None)
    return (
        items.package_of(package) if package else None,
        items.version_of(version) if version else None,
        str(SHAPES.current(looks)["name"]) if looks else None,
    )


def _taken(name: str, look_alike: str, caller: Principal, store: Store) -> NameTaken:
    """Which name it is that looks like this one, only the one hears who may see that."""
    other = store.package(look_alike)
    if other is not None and may_see(caller, other):
        return NameTaken(f"{name!r} looks like {look_alike!r}, which is there; take another name.")
    return NameTaken(f"{name!r} looks like the name of another package; take another name.")


def _check_kept(version: Version | None) -> None:
    if version is not None and version.state is State.REJECTED:
        raise VersionExists(f"{version.name} {version.version} was deleted; its number is not used again.")


def _check_same(asked: Given, package: Package, version: Version | None, *, is_known: bool = True) -> None:
    """What is given of the package is so already; its description at the time, where the version is there.

    Whether it is there is not known of one whose number is not (``is_known``): its description is not looked at.
    """
    of_version = package.description if version is None else version.description
    given = {
        "description": (asked.description if is_known else None, of_version),
        "sensitivity": (asked.sensitivity, package.sensitivity),
        "allowed_groups": (asked.allowed_groups, package.allowed_groups),
        "tags": (asked.tags, package.tags),
    }
    other = [name for name, (new, old) in given.items() if new is not None and new != old]
    if other:
        told = f"{', '.join(other)} of {package.name} are other than given"
        raise VersionExists(f"{told}; leave them out, or PATCH /packages/{package.name} first.", fields=other)


def _first(asked: NewVersion, asker: Asker, now: datetime) -> tuple[list[Write], Registered]:
    """The package and its first version."""
    package = Package(
        name=asked.name,
        owner=asker.principal.sub,
        description=asked.description or "",
        sensitivity=asked.sensitivity or "internal",
        allowed_groups=asked.allowed_groups or (),
        tags=asked.tags or (),
        created_at=now,
        updated_at=now,
        versions=1,
    )
    check_groups(package.sensitivity, package.allowed_groups, package.allowed_groups, asker.principal)
    looks = {**looks_key(names.skeleton(package.name)), "schema": SCHEMA, "name": package.name}
    writes = [
        stored_package(None, package, now),
        Write(put=looks, when="attribute_not_exists(pk)"),
        *searching.added(package),
        audit.entry("package.registered", asker, package.name, "", now, {"sensitivity": package.sensitivity}),
    ]
    return _with_version(asked, package, writes, asker, now)


def _next(asked: NewVersion, package: Package, asker: Asker, now: datetime) -> tuple[list[Write], Registered]:
    """One more version of a package."""
    more = replace(package, versions=package.versions + 1)
    return _with_version(asked, package, [stored_package(package, more, now)], asker, now)


def _with_version(
    asked: NewVersion, package: Package, writes: list[Write], asker: Asker, now: datetime
) -> tuple[list[Write], Registered]:
    manifest = Manifest(declared(asked))
    version = Version(
        name=package.name,
        version=asked.version,
        owner=asker.principal.sub,
        description=package.description if asked.description is None else asked.description,
        metadata=asked.metadata,
        digest=digest(asked),
        created_at=now,
        updated_at=now,
        total=manifest.total,
        size=manifest.size,
    )
    told = {"files": str(version.total), "size": str(version.size), "digest": version.digest}
    entry = audit.entry("version.registered", asker, package.name, version.version, now, told)
    # As it is read back: times have milliseconds.
    told_of = items.version_of(items.version_item(version))
    files = [stored_manifest(version, manifest)] if manifest.total else []
    return [stored_version(None, version, now), *files, *writes, entry], Registered(told_of, manifest)
