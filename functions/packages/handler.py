"""HTTP: the catalogue of packages: register, find, look at, alias, yank, audit. The rules are in ``weir.packages``."""

from dataclasses import asdict
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import unquote

from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response
from aws_lambda_powertools.event_handler.openapi.params import Body, Header, Path, Query

from weir.packages import contract, names
from weir.packages.contract import (
    AliasTarget,
    AliasView,
    Card,
    NewVersion,
    PackagePatch,
    PackageView,
    VersionView,
    Yank,
)
from weir.packages.etags import etag
from weir.runtime import http, idempotency, pagination
from weir.runtime.audit import Asker, asker
from weir.runtime.fields import Moment
from weir.runtime.parameters import Cursor, IfMatch, Key, Limit

if TYPE_CHECKING:
    from weir.packages.audit import Entry
    from weir.packages.models import Manifest, Package, Version
    from weir.packages.registering import Registered
    from weir.packages.store import Store

app = APIGatewayRestResolver(
    enable_validation=True, response_validation_error_http_code=500, json_body_deserializer=http.strict_json
)
http.wire(app)

NEEDS = {
    "POST /packages": "packages:write",
    "GET /packages": "packages:read",
    "GET /packages/audit": "packages:read",
    "GET /packages/unverified": "packages:read",
    "DELETE /packages/unverified": "packages:write",
    "GET /packages/{name}": "packages:read",
    "PATCH /packages/{name}": "packages:write",
    "GET /packages/{name}/versions": "packages:read",
    "PUT /packages/{name}/aliases/{alias}": "packages:write",
    "DELETE /packages/{name}/aliases/{alias}": "packages:write",
    "GET /packages/{name}/{version}": "packages:read",
    "DELETE /packages/{name}/{version}": "packages:write",
    "GET /packages/{name}/{version}/audit": "packages:read",
    "POST /packages/{name}/{version}/yank": "packages:write",
    "POST /packages/{name}/{version}/unyank": "packages:write",
}

Name = Annotated[str, Path(pattern=names.NAME, description="Name of the package, in any of its spellings")]
Reference = Annotated[str, Path(pattern=contract.REFERENCE, description="Version or alias, percent-encoded")]
OneVersion = Annotated[str, Path(pattern=contract.REFERENCE, description="Version, percent-encoded; no alias")]
Alias = Annotated[str, Path(pattern=names.ALIAS, description="Alias, such as production")]
IfNoneMatch = Annotated[
    str | None, Header(alias="If-None-Match", pattern=r"^\*$", description="* sets the alias only where it is new")
]
Who = Annotated[str | None, Query(max_length=64, description="Only what this user has done, by user id")]
Until = Annotated[Moment | None, Query(description="Only what was done until then, RFC 3339")]


@lru_cache(maxsize=1)
def _store() -> "Store":
    from weir.packages.store import Store
    from weir.packages.table import table
    from weir.runtime.clock import SYSTEM

    return Store(table(), SYSTEM)


def _caller() -> http.Principal:
    return http.principal(app.current_event.raw_event)


def _asker() -> Asker:
    return asker(app.current_event.raw_event)


def _version_answer(
    version: "Version", status: int = 200, headers: dict[str, str] | None = None, fresh: "Manifest | None" = None
) -> Response[Any]:
    """``fresh`` is the manifest of a version that was made just now, of which there is nothing to read."""
    from weir.packages.browsing import files

    if fresh is None:
        view = contract.version_view(version, _store().manifest(version), files(_store(), version))
    else:
        view = contract.version_view(version, fresh)
    return http.answer(status, view.model_dump(mode="json"), {"ETag": etag(version.revision), **(headers or {})})


@app.post(
    "/packages",
    tags=["packages"],
    operation_id="registerVersion",
    summary="Register a version of a package",
    status_code=201,
    responses={
        200: {
            "description": "It is there already, with this very content",
            "content": {"application/json": {"model": VersionView}},
        },
        201: {
            "description": "Registered; open uploads of its files",
            "content": {"application/json": {"model": VersionView}},
        },
        **http.problems(400, 403, 404, 409, 422),
    },
)
def register(asked: Annotated[NewVersion, Body(description="The version")], key: Key = None) -> Response[Any]:
    """The first version of a name makes the package, which is then yours. What is registered never changes."""
    from weir.packages import browsing
    from weir.packages.registering import register as register_version

    asker = _asker()
    done: list[Registered] = []

    def use_case() -> dict[str, Any]:
        done.append(register_version(asked, asker, _store()))
        return {"is_new": done[0].is_new}  # not the view: a thousand files are more than an item takes

    told = idempotency.once(
        use_case,
        operation="register-version",
        principal=asker.principal.sub,
        key=key,
        request=asked.model_dump(mode="json"),
        context=app.lambda_context,
    )
    version = done[0].version if done else browsing.version(_store(), asked.name, asked.version, asker.principal)[1]
    location = http.link(app.current_event.raw_event, f"/packages/{version.name}/{version.version}")
    fresh = done[0].manifest if done else None
    return _version_answer(version, 201 if told["is_new"] else 200, {"Location": location}, fresh)


@app.get(
    "/packages",
    tags=["packages"],
    operation_id="listPackages",
    summary="List and search packages",
    responses={200: {"description": "A page of packages"}, **http.problems(400, 422)},
)
def list_packages(
    limit: Limit = 50,
    cursor: Cursor = None,
    query: Annotated[
        str, Query(max_length=200, description="Words, all of which are in name, description or tags")
    ] = "",
    name: Annotated[
        str, Query(max_length=128, pattern=r"^[A-Za-z0-9._-]*$", description="How the name begins, in any spelling")
    ] = "",
    pattern: Annotated[
        str | None,
        Query(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9._*?-]+$", description="The name, with * and ?"),
    ] = None,
    owner: Annotated[str | None, Query(min_length=1, max_length=64, description="Only of this user, by id")] = None,
    tag: Annotated[str | None, Query(min_length=1, max_length=64, description="Only with this tag")] = None,
) -> contract.PackagePage:
    """By name. All that is asked for must hold. What was changed within the last second may be told as it was."""
    from weir.packages.searching import Wanted, page, words

    wanted = Wanted(
        words=words(query),
        begins=names.normalized(name),
        pattern=None if pattern is None else names.normalized(pattern),
        owner=owner,
        tag=None if tag is None else tag.lower(),
    )
    kind = f"packages:{asdict(wanted)}"
    after = pagination.open_hidden(kind, cursor) if cursor else None
    found, position = page(_store(), _caller(), wanted, limit, after)
    items = tuple(contract.package_view(one) for one in found)
    return contract.PackagePage(items=items, cursor=pagination.seal_hidden(kind, position) if position else None)


@app.get(
    "/packages/audit",
    tags=["packages"],
    operation_id="listPackagesAudit",
    summary="Read the audit of packages",
    responses={200: {"description": "A page of entries"}, **http.problems(400, 403, 404, 422)},
)
def list_audit(
    limit: Limit = 50,
    cursor: Cursor = None,
    who: Who = None,
    name: Annotated[str | None, Query(pattern=names.NAME, description="Only of this package")] = None,
    until: Until = None,
) -> contract.PackageAuditPage:
    """Newest first, within 400 days: for an admin of all packages, else of your own, by name fifty at a time."""
    from weir.packages import auditing

    caller = _caller()
    whose = "all" if caller.is_admin else caller.sub  # what a position is in
    kind = f"packages-audit:{whose}:{name}:{who}:{until}"
    after = pagination.open_hidden(kind, cursor) if cursor else None
    if name is None:
        found = auditing.of_all(_store(), caller, limit, after, who=who, until=until)
    else:
        found = auditing.of_package(_store(), name, caller, limit, after, who=who, until=until)
    return _audit_page(kind, *found)


def _audit_page(kind: str, entries: "list[Entry]", position: dict[str, str] | None) -> contract.PackageAuditPage:
    items = tuple(contract.PackageAuditEntry(**asdict(entry)) for entry in entries)
    return contract.PackageAuditPage(items=items, cursor=pagination.seal_hidden(kind, position) if position else None)


@app.get(
    "/packages/unverified",
    tags=["packages"],
    operation_id="listUnverified",
    summary="List objects that no package tells of",
    responses={200: {"description": "A page of objects"}, **http.problems(400, 403, 422)},
)
def list_unverified(limit: Limit = 50, cursor: Cursor = None) -> contract.FoundPage:
    """For admins: what lies in the bucket without a package, by its real key. None of it is served."""
    from weir.packages.browsing import unverified

    http.require_admin(_caller(), "see what was found in the bucket")
    after = pagination.open_cursor("unverified", cursor) if cursor else None
    found, position = unverified(_store(), limit, after)
    return contract.FoundPage(
        items=tuple(map(contract.found_view, found)),
        cursor=pagination.seal("unverified", position) if position else None,
    )


@app.delete(
    "/packages/unverified",
    tags=["packages"],
    operation_id="discardUnverified",
    summary="Delete an object that no package tells of",
    status_code=204,
    responses={204: {"description": "Gone, this version of it"}, **http.problems(403, 404, 409, 412, 422)},
)
def discard(
    key: Annotated[str, Query(min_length=1, max_length=1024, description="Key of the object, as it is listed")],
    if_match: Annotated[
        str | None, Header(alias="If-Match", max_length=1100, description="Its object_version, in quotes; 412 without")
    ] = None,
) -> Response[None]:
    """For admins, for good. What is, or may yet become, a file of a package is refused."""
    from weir.packages.discarding import discard as discard_object
    from weir.packages.wiring import deps

    discard_object(key, if_match, _asker(), deps())
    return Response(204, headers={})


@app.get(
    "/packages/<name>",
    tags=["packages"],
    operation_id="getPackage",
    summary="Read a package's card",
    responses={200: {"description": "The package with its aliases; ETag is its version"}, **http.problems(404, 422)},
)
def show_package(name: Name) -> Response[Card]:
    """Whose it is, who may see it, its newest release, and what its aliases name."""
    from weir.packages.browsing import card

    package, aliases = card(_store(), name, _caller())
    view = contract.card_view(package, aliases).model_dump(mode="json")
    return http.answer(200, view, {"ETag": etag(package.revision)})


@app.patch(
    "/packages/<name>",
    tags=["packages"],
    operation_id="changePackage",
    summary="Change a package",
    responses={200: {"description": "The package as changed"}, **http.problems(400, 403, 404, 412, 422)},
)
def change_package(
    name: Name, patch: Annotated[PackagePatch, Body(description="What to change")], if_match: IfMatch = None
) -> Response[PackageView]:
    """Description, sensitivity, groups, tags. Who may see it no more is not shown it from now on."""
    from weir.packages.changing import change

    return _package_answer(change(_store(), name, patch, if_match, _asker()))


def _package_answer(package: "Package") -> Response[PackageView]:
    view = contract.package_view(package).model_dump(mode="json")
    return http.answer(200, view, {"ETag": etag(package.revision)})


@app.get(
    "/packages/<name>/versions",
    tags=["packages"],
    operation_id="listVersions",
    summary="List a package's versions",
    responses={200: {"description": "A page of versions"}, **http.problems(400, 404, 422)},
)
def list_versions(
    name: Name,
    limit: Limit = 50,
    cursor: Cursor = None,
    prerelease: Annotated[bool, Query(description="Pre-releases too")] = True,
    yanked: Annotated[bool, Query(description="Yanked versions too")] = False,
) -> contract.VersionPage:
    """Newest first, in the order of Semantic Versioning."""
    from weir.packages.browsing import versions

    kind = f"versions:{names.normalized(name)}:{prerelease}:{yanked}"
    after = pagination.open_cursor(kind, cursor) if cursor else None
    found, position = versions(_store(), name, _caller(), limit, after, prerelease=prerelease, yanked=yanked)
    items = tuple(map(contract.summary_of, found))
    return contract.VersionPage(items=items, cursor=pagination.seal(kind, position) if position else None)


@app.put(
    "/packages/<name>/aliases/<alias>",
    tags=["packages"],
    operation_id="moveAlias",
    summary="Let an alias name a version",
    responses={
        200: {"description": "Moved", "content": {"application/json": {"model": AliasView}}},
        201: {"description": "Set anew", "content": {"application/json": {"model": AliasView}}},
        **http.problems(400, 403, 404, 409, 412, 422),
    },
)
def move_alias(
    name: Name,
    alias: Alias,
    asked: Annotated[AliasTarget, Body(description="The version")],
    if_match: IfMatch = None,
    if_none_match: IfNoneMatch = None,
) -> Response[Any]:
    """To a version that is AVAILABLE and not yanked. An alias that is there is moved with If-Match alone."""
    from weir.packages import aliases

    of = names.normalized(name)
    moved = aliases.move(_store(), of, alias, asked.version, _asker(), if_match=if_match, if_none_match=if_none_match)
    view = contract.alias_view(moved.alias).model_dump(mode="json")
    return http.answer(201 if moved.is_new else 200, view, {"ETag": moved.alias.etag})


@app.delete(
    "/packages/<name>/aliases/<alias>",
    tags=["packages"],
    operation_id="removeAlias",
    summary="Take an alias away",
    status_code=204,
    responses={204: {"description": "Gone"}, **http.problems(403, 404, 409, 412, 422)},
)
def remove_alias(name: Name, alias: Alias, if_match: IfMatch = None) -> Response[None]:
    """The version that it named stays."""
    from weir.packages import aliases

    aliases.remove(_store(), names.normalized(name), alias, _asker(), if_match)
    return Response(204, headers={})


@app.get(
    "/packages/<name>/<version>",
    tags=["packages"],
    operation_id="getVersion",
    summary="Read a version",
    responses={200: {"description": "The version with its files; ETag is its state"}, **http.problems(404, 422)},
)
def show_version(name: Name, version: Reference) -> Response[VersionView]:
    """A version by its number or an alias, with how far each of its files has come."""
    from weir.packages.browsing import version as read

    return _version_answer(read(_store(), name, unquote(version), _caller())[1])


@app.delete(
    "/packages/<name>/<version>",
    tags=["packages"],
    operation_id="deleteVersion",
    summary="Delete a version",
    status_code=204,
    responses={
        202: {"description": "Out of sight; its files are being removed, without further ado"},
        204: {"description": "Gone with its files; its number is not used again, and the audit stays"},
        **http.problems(403, 404, 422, 503),
    },
)
def delete_version(name: Name, version: OneVersion) -> Response[None]:
    """For admins. To take a version out of use, yank it."""
    from weir.packages.deleting import delete
    from weir.packages.wiring import deps

    http.require_admin(_caller(), "delete a version; yank it")
    done = delete(names.normalized(name), unquote(version), _asker(), deps())
    return Response(204 if done else 202, headers={})


@app.get(
    "/packages/<name>/<version>/audit",
    tags=["packages"],
    operation_id="listVersionAudit",
    summary="Read the audit of a version",
    responses={200: {"description": "A page of entries"}, **http.problems(400, 403, 404, 422)},
)
def list_version_audit(
    name: Name, version: OneVersion, limit: Limit = 50, cursor: Cursor = None, who: Who = None, until: Until = None
) -> contract.PackageAuditPage:
    """Who registered, uploaded, downloaded, yanked it, newest first: for the package's owner and admins."""
    from weir.packages import auditing

    kind = f"version-audit:{names.normalized(name)}:{version}:{who}:{until}"
    after = pagination.open_hidden(kind, cursor) if cursor else None
    found = auditing.of_package(_store(), name, _caller(), limit, after, version=unquote(version), who=who, until=until)
    return _audit_page(kind, *found)


@app.post(
    "/packages/<name>/<version>/yank",
    tags=["packages"],
    operation_id="yankVersion",
    summary="Yank a version",
    responses={200: {"description": "Yanked"}, **http.problems(400, 403, 404, 422)},
)
def yank(name: Name, version: OneVersion, asked: Annotated[Yank, Body(description="Why")]) -> Response[VersionView]:
    """It is hidden from lists and from latest, and served all the same to whoever names it."""
    from weir.packages import yanking

    return _version_answer(yanking.yank(_store(), name, unquote(version), asked.reason, _asker()))


@app.post(
    "/packages/<name>/<version>/unyank",
    tags=["packages"],
    operation_id="unyankVersion",
    summary="Take a yank back",
    responses={200: {"description": "Listed again"}, **http.problems(403, 404, 422)},
)
def unyank(name: Name, version: OneVersion) -> Response[VersionView]:
    """The version is listed again, and may be latest again."""
    from weir.packages import yanking

    return _version_answer(yanking.unyank(_store(), name, unquote(version), _asker()))


handler = http.entry(app, NEEDS, most_bytes=1_000_000)
