"""Signatures: a DSSE envelope around an in-toto Statement that names every file of a version by path and SHA-256.

A signature is taken only where it says the very thing that Weir has hashed itself: the statement's subjects are the
version's files, all of them, no others, with the digests of Weir's own re-hash. It is verified with public keys that
admins register (Ed25519, ECDSA on P-256) by securesystemslib, whose key ids they have; loading that takes 0.3 s, so it
happens with the first signature or key, not with the function.

https://github.com/secure-systems-lab/dsse/blob/master/protocol.md and
https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md
"""

import base64
import binascii
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from weir.packages import audit, browsing
from weir.packages.errors import NotAvailable, VersionNotFound
from weir.packages.finding import owned_version
from weir.packages.models import File, Manifest, State, Version
from weir.packages.shapes import SHAPES
from weir.packages.store import Store, stored_version
from weir.packages.table import SCHEMA, SIGNERS, signature_key, signer_key
from weir.packages.trust_errors import KeyNotFound, SignatureNotFound, SignatureRefused
from weir.runtime import http
from weir.runtime.audit import Asker
from weir.runtime.clock import Clock, parse_rfc3339, rfc3339
from weir.runtime.dynamodb import Item, Table, Write
from weir.runtime.errors import BadRequest, FieldError, Invalid
from weir.runtime.http import Principal, strict_json

PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT = "https://in-toto.io/Statement/v1"
MOST_PAYLOAD_BYTES = 350_000
"""An item of DynamoDB has 400 KB; a statement of the largest manifest has less than this."""

MOST_SIGNATURES = 10
KEY_TYPES = {("ed25519", "ed25519"): "ed25519", ("ecdsa", "ecdsa-sha2-nistp256"): "ecdsa-p256"}
AUDITED_AS = "public-keys"
"""What the audit calls the keys; a package can't have this name."""


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A registered public key. ``public`` is PEM; ``key_id`` follows from it, as securesystemslib has it."""

    key_id: str
    label: str
    kind: str
    public: str
    created_at: datetime
    created_by: str


@dataclass(frozen=True, slots=True)
class Envelope:
    """A DSSE envelope: the statement's bytes, and signatures by key id (base64)."""

    payload: bytes
    signatures: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Signature:
    """A stored signature. ``keys`` have verified it; ``trusted`` are those of them that are registered now."""

    envelope: Envelope
    keys: tuple[str, ...]
    trusted: tuple[str, ...]
    signed_at: datetime
    signed_by: str


# Public keys


def register_key(label: str, pem: str, asker: Asker, table: Table, clock: Clock) -> tuple[PublicKey, bool]:
    """Register a public key, for admins; answers it and whether it is new. The same key again changes nothing.

    Raises
    ------
    Forbidden
        The caller is no admin.
    Invalid
        It is no PEM of a public key of a kind that is taken.
    """
    http.require_admin(asker.principal, "register public keys")
    key_id, kind, public = _read_key(pem)
    now = _as_read_back(clock.now())
    made = PublicKey(key_id, label, kind, public, now, asker.principal.sub)
    told = audit.entry("public-key.registered", asker, AUDITED_AS, "", now, {"key": key_id, "label": label})
    if table.transact([Write(put=_key_item(made), when="attribute_not_exists(pk)"), told]):
        return key(key_id, table), False
    return made, True


def key(key_id: str, table: Table) -> PublicKey:
    """A registered key. KeyNotFound where there is none."""
    item = table.get(signer_key(key_id))
    if item is None:
        raise KeyNotFound(f"There is no public key {key_id!r}.")
    return _key_of(item)


def keys_page(table: Table, limit: int, after: Item | None) -> tuple[list[PublicKey], Item | None]:
    """Registered keys by id, and where to go on; None at the end."""
    items, position = table.page(
        "#list = :list", {"list": SIGNERS}, limit=limit, after=after, index="listing", names={"list": "list"}
    )
    return [_key_of(item) for item in items], position


def remove_key(key_id: str, asker: Asker, table: Table, clock: Clock) -> None:
    """Take a key back, for admins: what it has signed stays, and is trusted no more. Forbidden, KeyNotFound."""
    http.require_admin(asker.principal, "remove public keys")
    told = audit.entry("public-key.removed", asker, AUDITED_AS, "", clock.now(), {"key": key_id})
    if table.transact([Write(key=signer_key(key_id), when="attribute_exists(pk)"), told]):
        raise KeyNotFound(f"There is no public key {key_id!r}.")


def _read_key(pem: str) -> tuple[str, str, str]:
    """Key id, kind and canonical PEM of a public key."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    try:
        loaded, made = _loaded(pem)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise _no_key("is no PEM of a public key that can be read") from error
    kind = KEY_TYPES.get((made.keytype, made.scheme))
    if kind is None:
        raise _no_key(f"is of a kind that is not taken; take one of {', '.join(KEY_TYPES.values())}")
    return made.keyid, kind, loaded.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def _no_key(told: str) -> Invalid:
    return Invalid(f"public_key: {told}.", errors=[FieldError("public_key", told)])


def _key_item(one: PublicKey) -> Item:
    return {
        **signer_key(one.key_id),
        "schema": SCHEMA,
        "list": SIGNERS,
        "at": one.key_id,
        "key_id": one.key_id,
        "label": one.label,
        "kind": one.kind,
        "public": one.public,
        "created_at": rfc3339(one.created_at),
        "created_by": one.created_by,
    }


def _key_of(item: Mapping[str, Any]) -> PublicKey:
    item = SHAPES.current(item)
    names = ("key_id", "label", "kind", "public")
    return PublicKey(
        **{name: item[name] for name in names},
        created_at=parse_rfc3339(item["created_at"]),
        created_by=item["created_by"],
    )


# Signatures


def sign(name: str, version: str, envelope: Envelope, asker: Asker, store: Store, clock: Clock) -> Signature:
    """Take a signature of a version, in place of the one it may have.

    Raises
    ------
    PackageNotFound, VersionNotFound, NotTheOwner
    NotAvailable
        Not every file was hashed yet.
    SignatureRefused
        It does not hold, is by no registered key, or is of something else than the version's files.
    """
    subjects = subjects_of(envelope.payload)

    def attempt() -> tuple[list[Write], Signature] | Signature:
        _, found = owned_version(name, version, asker.principal, store)
        if found.state is State.REJECTED:
            raise VersionNotFound(f"The version {found.version} of {found.name!r} was deleted.")
        check_subjects(subjects, found, store.manifest(found), list(store.files(found.name, found.version)))
        keys = verified(envelope, registered([key_id for key_id, _ in envelope.signatures], store.table))
        now = _as_read_back(clock.now())
        made = Signature(envelope, keys, keys, now, asker.principal.sub)
        digest = hashlib.sha256(envelope.payload).hexdigest()
        told = {"keys": list(keys), "at": rfc3339(now), "payload_sha256": digest}
        entry = audit.entry(
            "version.signed", asker, found.name, found.version, now, {"keys": " ".join(keys), "payload": digest}
        )
        still = [Write(key=signer_key(one), when="attribute_exists(pk)", check=True) for one in keys]
        stored = stored_version(found, replace(found, signature=told), now)
        return [stored, Write(put=_signature_item(found, made)), *still, entry], made

    return store.settle(attempt)


def signature(name: str, version: str, caller: Principal, store: Store) -> Signature:
    """The signature of a version, by its text or an alias, with the keys that are trusted still.

    Raises
    ------
    PackageNotFound, VersionNotFound, SignatureNotFound
    """
    _, found = browsing.version(store, name, version, caller)
    item = store.table.get(signature_key(found.name, found.version)) if found.signature else None
    if item is None:
        raise SignatureNotFound(f"The version {found.version} of {found.name!r} has no signature.")
    told = SHAPES.current(item)
    keys = tuple(told["keys"])
    return Signature(
        Envelope(told["payload"], tuple((one["keyid"], one["sig"]) for one in told["signatures"])),
        keys,
        tuple(one.key_id for one in registered(keys, store.table)),
        parse_rfc3339(told["signed_at"]),
        told["signed_by"],
    )


def subjects_of(payload: bytes) -> dict[str, str]:
    """What a statement is about: SHA-256 digests in lower-case hex, by path.

    Raises
    ------
    SignatureRefused
        It is no in-toto Statement v1, or a subject lacks a name or a SHA-256, or stands twice.
    """
    if len(payload) > MOST_PAYLOAD_BYTES:
        raise SignatureRefused(f"The payload has more than {MOST_PAYLOAD_BYTES:,} bytes.")
    try:
        statement = strict_json(payload.decode("utf-8"))
    except (ValueError, BadRequest) as error:
        raise SignatureRefused("The payload is not JSON that reads one way only.") from error
    subjects = statement.get("subject") if isinstance(statement, dict) else None
    if not isinstance(subjects, list) or statement.get("_type") != STATEMENT:
        raise SignatureRefused(f"The payload is no in-toto statement: _type {STATEMENT}, and a list of subjects.")
    if not isinstance(statement.get("predicateType"), str):
        raise SignatureRefused("The statement has no predicateType.")
    told: dict[str, str] = {}
    for one in subjects:
        path = one.get("name") if isinstance(one, dict) else None
        digest = one["digest"].get("sha256") if isinstance(path, str) and isinstance(one.get("digest"), dict) else None
        if not isinstance(path, str) or not isinstance(digest, str):
            raise SignatureRefused("Each subject of the statement needs a name and a digest with sha256.")
        if path in told:
            raise SignatureRefused(f"The subject {path[:128]!r} stands twice.")
        told[path] = digest.lower()
    return told


def check_subjects(subjects: Mapping[str, str], version: Version, manifest: Manifest, files: Sequence[File]) -> None:
    """Hold the subjects against the version's files.

    Raises
    ------
    NotAvailable
        Not every file was hashed by Weir yet.
    SignatureRefused
        They are not the same paths with the same digests.
    """
    hashed = {file.declared.path: file.verified_sha256 for file in files}
    wanted = [one.path for one in manifest.files]
    unhashed = [path for path in wanted if hashed.get(path) is None]
    if unhashed or not wanted:
        told = f"{unhashed[0]} was not" if unhashed else "no files were"
        raise NotAvailable(f"A signature is of bytes that Weir has hashed, and {told}. State: {version.state.value}.")
    errors = [FieldError(path, "is a file of the version, and no subject") for path in wanted if path not in subjects]
    errors += [FieldError(path[:256], "is no file of the version") for path in subjects if path not in set(wanted)]
    errors += [
        FieldError(path, f"has the SHA-256 {hashed[path]}")
        for path in wanted
        if path in subjects and subjects[path] != hashed[path]
    ]
    if errors:
        raise SignatureRefused(
            f"The statement is not of this version's files: {errors[0].field} {errors[0].message}.", errors=errors[:20]
        )


def verified(envelope: Envelope, keys: Sequence[PublicKey]) -> tuple[str, ...]:
    """The ids of the registered keys that have signed. Signatures by others count for nothing, as DSSE has it.

    Raises
    ------
    SignatureRefused
        It is signed by none of them, or a signature by one of them does not hold.
    """
    if not keys:
        raise SignatureRefused(
            "It is signed by no key that is registered here. Ask an admin: POST /packages/public-keys."
        )
    from securesystemslib.dsse import Envelope as Dsse
    from securesystemslib.exceptions import VerificationError

    document = {
        "payload": base64.b64encode(envelope.payload).decode(),
        "payloadType": PAYLOAD_TYPE,
        "signatures": [{"keyid": key_id, "sig": sig} for key_id, sig in envelope.signatures],
    }
    try:
        accepted = Dsse.from_dict(document).verify([_loaded(one.public)[1] for one in keys], threshold=len(keys))
    except (VerificationError, ValueError, binascii.Error) as error:
        raise SignatureRefused("A signature by a registered key does not hold for this payload.") from error
    return tuple(sorted(accepted))


def _loaded(pem: str) -> tuple[Any, Any]:
    """A public key, and securesystemslib's of it."""
    from cryptography.hazmat.primitives.serialization import load_pem_public_key
    from securesystemslib.signer import SSlibKey  # type: ignore[attr-defined]  # exported, not in so many words

    loaded: Any = load_pem_public_key(pem.encode())
    return loaded, SSlibKey.from_crypto(loaded)


def _as_read_back(moment: datetime) -> datetime:
    """Stored times have milliseconds."""
    return parse_rfc3339(rfc3339(moment))


def registered(key_ids: Sequence[str], table: Table) -> list[PublicKey]:
    """Those of some keys that are registered still."""
    wanted = [signer_key(one) for one in dict.fromkeys(key_ids)]
    found = sorted(table.get_many(wanted), key=lambda item: str(item["pk"])) if wanted else []
    return [_key_of(item) for item in found]


def _signature_item(version: Version, made: Signature) -> Item:
    return {
        **signature_key(version.name, version.version),
        "schema": SCHEMA,
        "payload": made.envelope.payload,
        "signatures": [{"keyid": key_id, "sig": sig} for key_id, sig in made.envelope.signatures],
        "keys": list(made.keys),
        "signed_at": rfc3339(made.signed_at),
        "signed_by": made.signed_by,
    }
