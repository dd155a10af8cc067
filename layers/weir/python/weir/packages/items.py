"""Items of the packages table, from and to the values that the rules work with. Their keys: ``table.py``."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from weir.packages import semver
from weir.packages.models import Blob, Declared, File, Manifest, Package, State, Upload, UploadState, Version
from weir.packages.shapes import SHAPES
from weir.packages.table import (
    PACKAGES,
    SCHEMA,
    UPLOADS,
    alias_key,
    blob_key,
    file_key,
    manifest_key,
    package_key,
    upload_key,
    version_key,
)
from weir.runtime.clock import parse_rfc3339, rfc3339
from weir.runtime.dynamodb import Item

ENDED_KEPT = timedelta(days=30)
"""How long an upload that has ended is told of, after it would have expired."""


def package_item(package: Package) -> Item:
    """A package's item. ``latest_order`` is what its newest release is compared by."""
    return {
        **package_key(package.name),
        "schema": SCHEMA,
        "list": PACKAGES,
        "at": package.name,
        "name": package.name,
        "owner": package.owner,
        "description": package.description,
        "sensitivity": package.sensitivity,
        "allowed_groups": list(package.allowed_groups),
        "tags": list(package.tags),
        "created_at": rfc3339(package.created_at),
        "updated_at": rfc3339(package.updated_at),
        "versions": package.versions,
        "latest": package.latest,
        "revision": package.revision,
    }


def package_of(item: Mapping[str, Any]) -> Package:
    """The package of an item, from the table, an index, a word or a tag."""
    item = SHAPES.current(item)
    return Package(
        name=item["name"],
        owner=item["owner"],
        description=item["description"],
        sensitivity=item["sensitivity"],
        allowed_groups=tuple(item["allowed_groups"]),
        tags=tuple(item["tags"]),
        created_at=parse_rfc3339(item["created_at"]),
        updated_at=parse_rfc3339(item["updated_at"]),
        versions=item["versions"],
        latest=item["latest"],
        revision=item["revision"],
    )


def version_item(version: Version) -> Item:
    """A version's item."""
    return {
        **version_key(version.name, version.version),
        "schema": SCHEMA,
        "name": version.name,
        "version": version.version,
        "owner": version.owner,
        "description": version.description,
        "metadata": json.dumps(version.metadata, sort_keys=True),  # its numbers may be fractions
        "digest": version.digest,
        "created_at": rfc3339(version.created_at),
        "updated_at": rfc3339(version.updated_at),
        "total": version.total,
        "size": version.size,
        "state": version.state.value,
        "committed": version.committed,
        "verified": version.verified,
        "quarantined": version.quarantined,
        "yanked": version.yanked,
        "reason": version.reason,
        "source": version.source,
        "validation": version.validation,
        "signature": version.signature,
        "revision": version.revision,
    }


def version_of(item: Mapping[str, Any]) -> Version:
    """The version of an item."""
    item = SHAPES.current(item)
    return Version(
        name=item["name"],
        version=item["version"],
        owner=item["owner"],
        description=item["description"],
        metadata=json.loads(item["metadata"]),
        digest=item["digest"],
        created_at=parse_rfc3339(item["created_at"]),
        updated_at=parse_rfc3339(item["updated_at"]),
        total=item["total"],
        size=item["size"],
        state=State(item["state"]),
        committed=item["committed"],
        verified=item["verified"],
        quarantined=item["quarantined"],
        yanked=item["yanked"],
        reason=item["reason"],
        source=item["source"],
        validation=item["validation"],
        signature=item["signature"],
        revision=item["revision"],
    )


def manifest_item(name: str, version: str, manifest: Manifest) -> Item:
    """The item of a version's manifest."""
    return {
        **manifest_key(name, version),
        "schema": SCHEMA,
        "files": [asdict(one) for one in manifest.files],
    }


def manifest_of(item: Mapping[str, Any]) -> Manifest:
    """The manifest of an item."""
    return Manifest(tuple(Declared(**one) for one in SHAPES.current(item)["files"]))


def file_item(file: File) -> Item:
    """A file's item."""
    return {
        **file_key(file.name, file.version, file.declared.path),
        "schema": SCHEMA,
        "name": file.name,
        "version": file.version,
        "declared": asdict(file.declared),
        "key": file.key,
        "state": file.state.value,
        "upload_id": file.upload_id,
        "object_version": file.object_version,
        "verified_sha256": file.verified_sha256,
        "reason": file.reason,
        "findings": [dict(one) for one in file.findings],
        "updated_at": _told(file.updated_at),
        "revision": file.revision,
    }


def file_of(item: Mapping[str, Any]) -> File:
    """The file of an item."""
    item = SHAPES.current(item)
    return File(
        name=item["name"],
        version=item["version"],
        declared=Declared(**item["declared"]),
        key=item["key"],
        state=State(item["state"]),
        upload_id=item["upload_id"],
        object_version=item["object_version"],
        verified_sha256=item["verified_sha256"],
        reason=item["reason"],
        findings=tuple(item["findings"]),
        updated_at=_time(item["updated_at"]),
        revision=item["revision"],
    )


def upload_item(upload: Upload) -> Item:
    """An upload's item: in the list of those that have not ended while it has not, and gone a while after it has."""
    ended = upload.state in {UploadState.COMMITTED, UploadState.ABORTED}
    listed = {"list": UPLOADS, "at": f"{rfc3339(upload.expires_at)}#{upload.upload_id}"}
    return {
        **upload_key(upload.upload_id),
        **({"ttl": int((upload.expires_at + ENDED_KEPT).timestamp())} if ended else listed),
        "schema": SCHEMA,
        "upload_id": upload.upload_id,
        "name": upload.name,
        "version": upload.version,
        "declared": asdict(upload.declared),
        "key": upload.key,
        "s3_upload_id": upload.s3_upload_id,
        "part_size": upload.part_size,
        "parts": upload.parts,
        "opened_by": upload.owner,  # no owner: the index of that name is of packages
        "created_at": rfc3339(upload.created_at),
        "expires_at": rfc3339(upload.expires_at),
        "state": upload.state.value,
        "lease_until": _told(upload.lease_until),
        "import_id": upload.import_id,
        "revision": upload.revision,
    }


def upload_of(item: Mapping[str, Any]) -> Upload:
    """The upload of an item."""
    item = SHAPES.current(item)
    return Upload(
        upload_id=item["upload_id"],
        name=item["name"],
        version=item["version"],
        declared=Declared(**item["declared"]),
        key=item["key"],
        s3_upload_id=item["s3_upload_id"],
        part_size=item["part_size"],
        parts=item["parts"],
        owner=item["opened_by"],
        created_at=parse_rfc3339(item["created_at"]),
        expires_at=parse_rfc3339(item["expires_at"]),
        state=UploadState(item["state"]),
        lease_until=_time(item["lease_until"]),
        import_id=item.get("import_id"),
        revision=item["revision"],
    )


def blob_item(blob: Blob) -> Item:
    """The item of some bytes of a package."""
    return {
        **blob_key(blob.name, blob.sha256),
        "schema": SCHEMA,
        "name": blob.name,
        "sha256": blob.sha256,
        "size": blob.size,
        "key": blob.key,
        "object_version": blob.object_version,
        "verified": blob.verified,
        "references": blob.references,
        "findings": [dict(one) for one in blob.findings],
        "content": blob.content,
    }


def blob_of(item: Mapping[str, Any]) -> Blob:
    """The bytes that an item tells of."""
    item = SHAPES.current(item)
    return Blob(
        name=item["name"],
        sha256=item["sha256"],
        size=item["size"],
        key=item["key"],
        object_version=item["object_version"],
        verified=item["verified"],
        references=item["references"],
        findings=tuple(item["findings"]),
        content=item["content"],
    )


def alias_item(name: str, alias: str, version: str, revision: int, now: datetime) -> Item:
    """The item of an alias that somebody has set."""
    return {
        **alias_key(name, alias),
        "schema": SCHEMA,
        "name": name,
        "alias": alias,
        "version": version,
        "order": semver.order(version),
        "updated_at": rfc3339(now),
        "revision": revision,
    }


def _told(moment: datetime | None) -> str | None:
    return None if moment is None else rfc3339(moment)


def _time(text: str | None) -> datetime | None:
    return None if text is None else parse_rfc3339(text)
