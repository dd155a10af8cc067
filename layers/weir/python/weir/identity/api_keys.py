"""API keys: made and changed by people who have logged in, never by a key.

A key holds what its maker may do, or less; what is for people alone (``roles.FOR_PEOPLE``) is in none, and what its
owner loses, it loses (``roles.scopes_of_key``). Each change is told to the audit in the same transaction.
"""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta

from weir.identity import audit, key_store
from weir.identity.contract_api_keys import NewKey
from weir.identity.key_store import Keys
from weir.identity.models import ApiKey
from weir.identity.roles import FOR_PEOPLE
from weir.runtime.errors import BadRequest, Conflict, FieldError, Forbidden, Invalid
from weir.runtime.http import Origin, Principal

MAX_IDEMPOTENCY_KEY = 256


def make_key(
    asked: NewKey,
    caller: Principal,
    origin: Origin,
    keys: Keys,
    *,
    pepper: bytes,
    now: datetime,
    idempotency_key: str | None = None,
) -> tuple[ApiKey, str]:
    """A new key of the caller's, and its text, which is kept nowhere.

    Parameters
    ----------
    pepper
        The key of the hash that is stored.
    idempotency_key
        The id of the key follows from it, so that a second request with it makes no second key; as no secret is stored,
        its answer can't be replayed.

    Raises
    ------
    Forbidden
        The caller is a key.
    Invalid
        422: ``scopes`` holds what the caller does not.
    BadToken, KeyExists, TooManyKeys
        401 and 409, as ``Keys.create`` tells.
    """
    _only_people(caller)
    key_id = key_store.new_key_id() if idempotency_key is None else _id_for(caller, idempotency_key)
    text = key_store.new_text(caller.sub, key_id)
    key = ApiKey(
        key_id=key_id,
        owner=caller.sub,
        name=asked.name,
        scopes=_scopes(asked.scopes, caller),
        created_at=now,
        expires_at=None if asked.expires_in is None else now + timedelta(seconds=asked.expires_in),
        max_uses=asked.max_uses,
        secret_hash=key_store.hashed(text, pepper),
    )
    detail = {"name": key.name, "scopes": " ".join(key.scopes)}
    if asked.expires_in is not None:
        detail["expires_in"] = str(asked.expires_in)
    if asked.max_uses is not None:
        detail["max_uses"] = str(asked.max_uses)
    keys.create(key, caller.credential_id, audit.entry("api-key.created", caller, key_id, origin, now, detail))
    return key, text


def whose(owner: str | None, caller: Principal) -> str:
    """The user whose keys a request is about: the caller, or for an admin anybody. Forbidden otherwise."""
    _only_people(caller)
    if owner is None or owner == caller.sub:
        return caller.sub
    if not caller.is_admin:
        raise Forbidden("Only an admin may see or revoke the keys of others.")
    return owner


def revoke_key(key_id: str, owner: str, caller: Principal, origin: Origin, keys: Keys, *, now: datetime) -> ApiKey:
    """Revoke a key for good; it is refused within 60 s. Once revoked it stays so, however often it is asked.

    KeyNotFound where ``owner``, of ``whose``, has no such key.
    """
    key = keys.get(owner, key_id)
    detail = {"name": key.name, "owner": owner}
    return keys.revoke(key, now, audit.entry("api-key.revoked", caller, key_id, origin, now, detail))


def rotate_key(
    key_id: str, grace_seconds: int, caller: Principal, origin: Origin, keys: Keys, *, pepper: bytes, now: datetime
) -> tuple[ApiKey, str]:
    """A key of the caller's with another secret, and its text. Name, scopes, uses and expiry stay.

    The secret that it had works for ``grace_seconds`` more, to be changed at leisure where it is used; at 0 it is
    refused within 60 s. Only the owner may do this, for whoever sees the secret can act as the owner.

    Raises
    ------
    KeyNotFound
        The caller has no such key.
    BadToken
        The caller's session has ended, though the token is still admitted.
    Conflict
        It works no more, or was rotated or revoked at the same time.
    """
    _only_people(caller)
    key = keys.get(caller.sub, key_id)
    if not key_store.is_live(key, now):
        raise Conflict("This key works no more: it was revoked, has expired, or is used up. Make another one.")
    text = key_store.new_text(key.owner, key_id)
    changed = replace(
        key,
        secret_hash=key_store.hashed(text, pepper),
        previous_hash=key.secret_hash if grace_seconds else "",
        previous_until=now + timedelta(seconds=grace_seconds) if grace_seconds else None,
    )
    detail = {"name": key.name, "grace_seconds": str(grace_seconds)}
    entry = audit.entry("api-key.rotated", caller, key_id, origin, now, detail)
    keys.rotate(key, changed.secret_hash, changed.previous_until, caller.credential_id, entry)
    return changed, text


def _scopes(asked: Iterable[str] | None, caller: Principal) -> tuple[str, ...]:
    holds = caller.scopes - FOR_PEOPLE
    wanted = holds if asked is None else frozenset(asked)
    if beyond := sorted(wanted - holds):
        told = f"you can't give what you do not hold, or what no key may hold: {', '.join(beyond)}"
        raise Invalid(f"The request can't be accepted: scopes: {told}", errors=[FieldError("scopes", told)])
    return tuple(sorted(wanted))


def _only_people(caller: Principal) -> None:
    if caller.credential != "token":
        raise Forbidden("An API key can't manage API keys. Log in.")


def _id_for(caller: Principal, idempotency_key: str) -> str:
    if not idempotency_key or len(idempotency_key) > MAX_IDEMPOTENCY_KEY or not idempotency_key.isprintable():
        raise BadRequest(f"Idempotency-Key must be 1 to {MAX_IDEMPOTENCY_KEY} printable characters.")
    return key_store.key_id_for(caller.sub, idempotency_key)
