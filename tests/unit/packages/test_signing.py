"""Signatures: taken only of the very files that Weir has hashed, by registered keys, in the form libraries make."""

import base64
import json
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from securesystemslib.dsse import Envelope as Dsse
from securesystemslib.signer import CryptoSigner

from tests.unit.packages.registry import (
    ANN,
    BOB,
    DORA,
    SHA,
    Counted,
    Meanwhile,
    admin,
    asker,
    audited,
    caller,
    declared,
    everything,
    package,
    put,
    served,
)
from weir.packages.contract_trust import EnvelopeBody, signature_view
from weir.packages.errors import NotAvailable, NotTheOwner, PackageNotFound, VersionNotFound
from weir.packages.items import file_item
from weir.packages.models import File, State, Version
from weir.packages.shapes import SHAPES
from weir.packages.signing import (
    MOST_PAYLOAD_BYTES,
    STATEMENT,
    Envelope,
    keys_page,
    register_key,
    remove_key,
    sign,
    signature,
)
from weir.packages.store import Store
from weir.packages.trust_errors import KeyNotFound, SignatureNotFound, SignatureRefused
from weir.runtime.clock import Clock
from weir.runtime.errors import Forbidden, Invalid

OTHER = "b" * 64
FILES = {"config.json": OTHER, "model.safetensors": SHA}


@lru_cache(maxsize=8)
def private(kind: str) -> Any:
    match kind:
        case "ed25519" | "another":
            return ed25519.Ed25519PrivateKey.generate()
        case "ecdsa-p256":
            return ec.generate_private_key(ec.SECP256R1())
        case "ecdsa-p384":
            return ec.generate_private_key(ec.SECP384R1())
        case _:
            return rsa.generate_private_key(65537, 2048)


def pem(kind: str) -> str:
    return str(private(kind).public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode())


def statement(files: dict[str, str], **changes: Any) -> bytes:
    document = {
        "_type": STATEMENT,
        "subject": [{"name": path, "digest": {"sha256": digest}} for path, digest in files.items()],
        "predicateType": "https://example.org/released/v1",
        "predicate": {"by": "release pipeline"},
    }
    return json.dumps({**document, **changes}).encode()


def signed(payload: bytes, *kinds: str, payload_type: str = "application/vnd.in-toto+json") -> Envelope:
    """An envelope as securesystemslib makes it, taken in as a request is."""
    made = Dsse(payload, payload_type, {})
    for kind in kinds or ("ed25519",):
        made.sign(CryptoSigner(private(kind)))
    return EnvelopeBody.model_validate(made.to_dict()).envelope()


@pytest.fixture
def stored(store: Store) -> Version:
    """A version of two files that Weir has hashed."""
    of = tuple(declared(path, 4, digest) for path, digest in FILES.items())
    made = served(files=of, committed=2, verified=2)
    put(store, package(), made, files=of)
    for one in of:
        store.table.put(file_item(File("bert-base", "1.0.0", one, "key", State.AVAILABLE, verified_sha256=one.sha256)))
    return made


@pytest.fixture
def keys(store: Store, clock: Clock, client: Counted) -> dict[str, str]:
    """The ids of two registered keys, by kind."""
    ids = {
        kind: register_key(kind, pem(kind), admin(), store.table, clock)[0].key_id for kind in ("ed25519", "ecdsa-p256")
    }
    client.called.clear()
    return ids


# ---- Public keys


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa-p256"])
def test_a_key_isregistered_under_the_id_that_its_signatures_bear(
    store: Store, client: Counted, clock: Clock, kind: str
) -> None:
    key, is_new = register_key("release pipeline", pem(kind), admin(), store.table, clock)
    assert (is_new, key.kind, key.public, key.created_by) == (True, kind, pem(kind), DORA)
    assert key.key_id == CryptoSigner(private(kind)).public_key.keyid
    assert [what for what, *_ in audited(client)] == ["public-key.registered"]


def test_the_same_key_again_changes_nothing(store: Store, client: Counted, clock: Clock) -> None:
    first, _ = register_key("one", pem("ed25519"), admin(), store.table, clock)
    again, is_new = register_key("two", f"\n{pem('ed25519')}\n", admin(), store.table, clock)
    assert (again, is_new) == (first, False)
    assert len(audited(client)) == 1


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nonsense",
        "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
        pem("ecdsa-p384"),
        pem("rsa"),
        private("ed25519").private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
        "\ud800",
    ],
    ids=["empty", "nonsense", "broken", "p384", "rsa", "private", "surrogate"],
)
def test_what_is_no_such_key_is_refused(store: Store, client: Counted, clock: Clock, text: str) -> None:
    with pytest.raises(Invalid) as refused:
        register_key("x", text, admin(), store.table, clock)
    assert refused.value.errors[0].field == "public_key"
    assert "PRIVATE" not in refused.value.detail
    assert everything(client) == []


def test_only_admins_register_and_remove(store: Store, client: Counted, clock: Clock) -> None:
    with pytest.raises(Forbidden):
        register_key("x", pem("ed25519"), asker(), store.table, clock)
    with pytest.raises(Forbidden):
        remove_key("0" * 64, asker(), store.table, clock)
    assert client.called == []


def test_keys_are_listed_page_by_page_until_they_are_removed(store: Store, clock: Clock, keys: dict[str, str]) -> None:
    first, position = keys_page(store.table, 1, None)
    second, _ = keys_page(store.table, 1, position)
    assert [one.key_id for one in (*first, *second)] == sorted(keys.values())

    for key_id in keys.values():
        remove_key(key_id, admin(), store.table, clock)
    assert keys_page(store.table, 50, None) == ([], None)
    with pytest.raises(KeyNotFound):
        remove_key(keys["ed25519"], admin(), store.table, clock)


# ---- Signing


@pytest.mark.parametrize("kinds", [("ed25519",), ("ecdsa-p256",), ("ed25519", "ecdsa-p256")])
@pytest.mark.usefixtures("stored")
def test_a_signature_of_all_files_is_taken(
    store: Store, client: Counted, clock: Clock, keys: dict[str, str], kinds: Sequence[str]
) -> None:
    # When Ann brings a signature of her version
    envelope = signed(statement(FILES), *kinds)
    made = sign("Bert_Base", "1.0.0", envelope, asker(), store, clock)

    # Then it is known whose it is, and everybody who sees the version can read it, and verify it by themselves
    wanted = tuple(sorted(keys[kind] for kind in kinds))
    assert (made.keys, made.trusted, made.signed_by) == (wanted, wanted, ANN)
    read = signature("bert-base", "1.0.0", caller(BOB), store)
    assert read == made
    told = signature_view(read).envelope.model_dump()
    public = [CryptoSigner(private(kind)).public_key for kind in kinds]
    assert set(Dsse.from_dict(told).verify(public, len(kinds))) == set(wanted)

    # And the version tells of it, and the audit
    found = store.version("bert-base", "1.0.0")
    assert found is not None
    assert found.signature is not None
    assert found.signature["keys"] == list(wanted)
    assert audited(client).count(("version.signed", ANN, "bert-base", "1.0.0")) == 1
    (item,) = [one for one in everything(client) if one["sk"].startswith("SIG#")]
    assert SHAPES.kind(item) == "signature"


@pytest.mark.usefixtures("stored")
def test_a_newer_signature_takes_the_place_of_the_older(store: Store, clock: Clock, keys: dict[str, str]) -> None:
    sign("bert-base", "1.0.0", signed(statement(FILES)), asker(), store, clock)
    sign("bert-base", "1.0.0", signed(statement(FILES), "ecdsa-p256"), asker(), store, clock)
    assert signature("bert-base", "1.0.0", caller(), store).keys == (keys["ecdsa-p256"],)


@pytest.mark.usefixtures("stored", "keys")
def test_digests_in_capitals_are_the_same_and_other_algorithms_are_let_be(store: Store, clock: Clock) -> None:
    subjects = [
        {"name": path, "digest": {"sha256": digest.upper(), "sha512": "00"}, "mediaType": "x"}
        for path, digest in FILES.items()
    ]
    assert sign("bert-base", "1.0.0", signed(statement({}, subject=subjects)), asker(), store, clock).keys


@pytest.mark.usefixtures("stored")
def test_signatures_by_strangers_count_for_nothing(store: Store, clock: Clock, keys: dict[str, str]) -> None:
    both = signed(statement(FILES), "another", "ed25519")
    assert sign("bert-base", "1.0.0", both, asker(), store, clock).keys == (keys["ed25519"],)
    with pytest.raises(SignatureRefused, match="no key that is registered"):
        sign("bert-base", "1.0.0", signed(statement(FILES), "another"), asker(), store, clock)


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ({"model.safetensors": SHA}, "config.json is a file of the version, and no subject"),
        ({**FILES, "more.txt": SHA}, "more.txt is no file of the version"),
        ({**FILES, "config.json": SHA}, f"config.json has the SHA-256 {OTHER}"),
        ({"config.json": SHA, "model.safetensors": OTHER}, "config.json has the SHA-256"),
        ({}, "config.json is a file of the version, and no subject"),
    ],
)
@pytest.mark.usefixtures("stored", "keys")
def test_a_signature_of_something_else_is_refused(
    store: Store, client: Counted, clock: Clock, files: dict[str, str], told: str
) -> None:
    with pytest.raises(SignatureRefused, match=told):
        sign("bert-base", "1.0.0", signed(statement(files)), asker(), store, clock)
    found = store.version("bert-base", "1.0.0")
    assert found is not None
    assert found.signature is None
    assert "version.signed" not in [what for what, *_ in audited(client)]


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\xff\xfe",
        b"[]",
        b"null",
        b'{"_type": NaN}',
        b"[" * 100_000,
        statement(FILES, _type="https://in-toto.io/Statement/v0.1"),
        statement(FILES, predicateType=None),
        statement(FILES, subject={}),
        statement(FILES, subject=["model.safetensors"]),
        statement(FILES, subject=[{"name": "config.json"}]),
        statement(FILES, subject=[{"name": "config.json", "digest": {"sha1": "00"}}]),
        statement(FILES, subject=[{"name": 7, "digest": {"sha256": SHA}}]),
        statement(FILES, subject=[{"name": "config.json", "digest": {"sha256": OTHER}}] * 2),
        statement(FILES)[:-1] + b', "subject": []}',
        statement(FILES, predicate="x" * MOST_PAYLOAD_BYTES),
    ],
    ids=lambda payload: str(payload[:40]),
)
@pytest.mark.usefixtures("stored", "keys")
def test_a_payload_that_is_no_statement_is_refused_though_it_is_signed(
    store: Store, client: Counted, clock: Clock, payload: bytes
) -> None:
    with pytest.raises(SignatureRefused):
        sign("bert-base", "1.0.0", Envelope(payload, signed(b"x").signatures), asker(), store, clock)
    assert client.called == []


@pytest.mark.usefixtures("stored", "keys")
def test_a_signature_that_does_not_hold_is_refused(store: Store, clock: Clock) -> None:
    # Given signatures of another payload, of another payload type, by another key in a registered one's name, and none
    good = signed(statement(FILES))
    ((key_id, sig),) = good.signatures
    elsewhere = Dsse(statement(FILES), "text/plain", {})
    elsewhere.sign(CryptoSigner(private("ed25519")))
    ((_, forged),) = signed(statement(FILES), "another").signatures
    (of_text,) = (one["sig"] for one in elsewhere.to_dict()["signatures"])
    flipped = base64.b64encode(bytes([base64.b64decode(sig)[0] ^ 1]) + base64.b64decode(sig)[1:]).decode()
    for bad in (signed(b"else").signatures[0][1], of_text, forged, flipped, "AAAA"):
        # When one is brought, Then it is refused
        with pytest.raises(SignatureRefused, match="does not hold"):
            sign("bert-base", "1.0.0", Envelope(good.payload, ((key_id, bad),)), asker(), store, clock)


@pytest.mark.usefixtures("stored", "keys")
def test_a_good_signature_does_not_carry_a_bad_one(store: Store, clock: Clock) -> None:
    good = signed(statement(FILES), "ed25519", "ecdsa-p256")
    (first, second) = good.signatures
    with pytest.raises(SignatureRefused, match="does not hold"):
        sign("bert-base", "1.0.0", replace(good, signatures=(first, (second[0], first[1]))), asker(), store, clock)


@pytest.mark.usefixtures("stored", "keys")
def test_what_weir_has_not_hashed_can_not_be_signed(store: Store, clock: Clock) -> None:
    for change in ({"verified_sha256": None, "state": State.SCANNING}, None):
        if change is None:
            store.table.delete({"pk": "PKG#bert-base", "sk": file_item(_file())["sk"]})
        else:
            store.table.put(file_item(replace(_file(), **change)))
        with pytest.raises(NotAvailable, match=r"config\.json was not"):
            sign("bert-base", "1.0.0", signed(statement(FILES)), asker(), store, clock)


@pytest.mark.usefixtures("stored", "keys")
def test_what_was_hashed_counts_and_not_what_was_declared(store: Store, clock: Clock) -> None:
    store.table.put(file_item(replace(_file(), verified_sha256="c" * 64)))
    with pytest.raises(SignatureRefused, match=f"config.json has the SHA-256 {'c' * 64}"):
        sign("bert-base", "1.0.0", signed(statement(FILES)), asker(), store, clock)


def _file() -> File:
    """The first file of the version, by path."""
    return File("bert-base", "1.0.0", declared("config.json", 4, OTHER), "key", State.AVAILABLE, verified_sha256=OTHER)


@pytest.mark.usefixtures("stored", "keys")
def test_only_the_owner_and_admins_sign(store: Store, clock: Clock) -> None:
    with pytest.raises(NotTheOwner):
        sign("bert-base", "1.0.0", signed(statement(FILES)), asker(BOB), store, clock)
    assert sign("bert-base", "1.0.0", signed(statement(FILES)), admin(), store, clock).signed_by == DORA


@pytest.mark.usefixtures("stored")
def test_a_key_that_is_removed_meanwhile_signs_nothing(
    store: Store, client: Counted, clock: Clock, keys: dict[str, str]
) -> None:
    # Given a key that an admin takes back between reading and writing
    Meanwhile(client, "transact_write_items", lambda: remove_key(keys["ed25519"], admin(), store.table, clock))

    # When it has signed, Then it is refused as any other that is not registered
    with pytest.raises(SignatureRefused, match="no key that is registered"):
        sign("bert-base", "1.0.0", signed(statement(FILES)), asker(), store, clock)
    found = store.version("bert-base", "1.0.0")
    assert found is not None
    assert found.signature is None


@pytest.mark.usefixtures("stored")
def test_a_key_that_is_removed_later_is_trusted_no_more(store: Store, clock: Clock, keys: dict[str, str]) -> None:
    sign("bert-base", "1.0.0", signed(statement(FILES), "ed25519", "ecdsa-p256"), asker(), store, clock)
    remove_key(keys["ed25519"], admin(), store.table, clock)
    read = signature("bert-base", "1.0.0", caller(), store)
    assert read.keys == tuple(sorted(keys.values()))
    assert read.trusted == (keys["ecdsa-p256"],)


@pytest.mark.usefixtures("keys")
def test_the_largest_statement_that_is_taken_fits_into_an_item(store: Store, clock: Clock) -> None:
    # Given a version of files with long names, and a statement that is as large as may be
    files = {f"{number:03}{'x' * 500}": SHA for number in range(50)}
    of = tuple(declared(path) for path in files)
    put(store, package(), served(files=of, committed=50, verified=50), files=of)
    for one in of:
        store.table.put(file_item(File("bert-base", "1.0.0", one, "key", State.AVAILABLE, verified_sha256=SHA)))
    bare = len(statement(files, predicate={"by": ""}))
    payload = statement(files, predicate={"by": "x" * (MOST_PAYLOAD_BYTES - bare)})
    assert len(payload) == MOST_PAYLOAD_BYTES

    # When it is signed twice, Then it is stored: DynamoDB (and moto) take at most 400 KB
    assert len(sign("bert-base", "1.0.0", signed(payload, "ed25519", "ecdsa-p256"), asker(), store, clock).keys) == 2


@pytest.mark.usefixtures("stored", "keys")
def test_a_version_without_a_signature_has_none(store: Store) -> None:
    with pytest.raises(SignatureNotFound):
        signature("bert-base", "1.0.0", caller(), store)
    with pytest.raises(VersionNotFound):
        signature("bert-base", "9.9.9", caller(), store)
    with pytest.raises(PackageNotFound):
        signature("other", "1.0.0", caller(), store)
