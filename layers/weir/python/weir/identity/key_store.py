"""API keys: their text, and their items in the identity table.

The text is ``weir_<owner's user id>_<key id>_<secret>``: a prefix that scanners of leaked secrets can find, where to
look the key up, and 32 random bytes. A keyed hash of the whole is kept, never the text; a slow hash would guard nothing
that 256 bits of chance don't.

A user has at most ``MOST_LIVE`` live keys. They are counted by a query, and the item KEYS of the user, which every
creation changes in its own transaction, makes sure that nobody created one after the count.

A secret is given only to a session that holds at that very moment. An access token is admitted for up to 60 s after its
session has ended; a key made in that time would hold for ever.
"""

import hashlib
import hmac
import re
import secrets
from base64 import b32encode
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from weir.identity.errors import BadToken, KeyNotFound
from weir.identity.models import ApiKey
from weir.identity.shapes import SHAPES
from weir.identity.table import SCHEMA, Key, api_key_key, session_key, user_key
from weir.runtime.clock import SYSTEM, Clock, parse_rfc3339, rfc3339
from weir.runtime.dynamodb import Item, Table, Write, again
from weir.runtime.errors import Conflict, Unavailable

MOST_LIVE = 100
KEPT = timedelta(days=90)
"""How long a key that works no more is shown."""

_TEXT = re.compile(r"weir_([a-z2-7]{16})_([a-z2-7]{12})_[A-Za-z0-9_-]{43}")
_TIMES = ("expires_at", "last_used_at", "revoked_at", "previous_until")
_TRIES = 4


class TooManyKeys(Conflict):
    """The user has as many live keys as a user may have."""

    slug = "too-many-keys"


class KeyExists(Conflict):
    """The key was made before, by a request with the same Idempotency-Key; its secret is shown no second time."""

    slug = "key-exists"


def new_text(owner: str, key_id: str) -> str:
    """The text of a key with a new secret."""
    return f"weir_{owner}_{key_id}_{secrets.token_urlsafe(32)}"


def new_key_id() -> str:
    """An id that no other key of the owner has: 60 random bits."""
    return _id(secrets.token_bytes(8))


def key_id_for(owner: str, idempotency_key: str) -> str:
    """The id of the key that an ``Idempotency-Key`` of this owner makes, the same each time."""
    return _id(hashlib.sha256(f"weir api key\0{owner}\0{idempotency_key}".encode()).digest())


def _id(raw: bytes) -> str:
    return b32encode(raw).decode().lower()[:12]


def parse(text: str) -> tuple[str, str] | None:
    """The owner and id that a key's text names; None where it is not the text of a key."""
    found = _TEXT.fullmatch(text)
    return (found[1], found[2]) if found else None


def hashed(text: str, pepper: bytes) -> str:
    """What is kept of a key: HMAC-SHA-256 of its text, in hex."""
    return hmac.digest(pepper, text.encode(), hashlib.sha256).hex()


def is_live(key: ApiKey, now: datetime) -> bool:
    """Whether the key works, as far as it alone tells."""
    unspent = key.max_uses is None or key.uses < key.max_uses
    return key.revoked_at is None and (key.expires_at is None or now < key.expires_at) and unspent


def key_item(key: ApiKey) -> Item:
    """The item of a key."""
    item: Item = {
        **api_key_key(key.owner, key.key_id),
        "schema": SCHEMA,
        "key_id": key.key_id,
        "owner": key.owner,
        "name": key.name,
        "scopes": list(key.scopes),
        "created_at": rfc3339(key.created_at),
        "uses": key.uses,
        "secret_hash": key.secret_hash,
    }
    if key.max_uses is not None:
        item["max_uses"] = key.max_uses
    if key.expires_at is not None:
        item["ttl"] = _ttl(key.expires_at)
    times = {name: getattr(key, name) for name in _TIMES}
    item |= {name: rfc3339(value) for name, value in times.items() if value is not None}
    return item | ({"previous_hash": key.previous_hash} if key.previous_hash else {})


def key_of(item: Mapping[str, Any]) -> ApiKey:
    """The key of an item, of whatever schema."""
    item = SHAPES.current(item)
    return ApiKey(
        key_id=item["key_id"],
        owner=item["owner"],
        name=item["name"],
        scopes=tuple(item["scopes"]),
        created_at=parse_rfc3339(item["created_at"]),
        max_uses=item.get("max_uses"),
        uses=item["uses"],
        secret_hash=item.get("secret_hash", ""),
        previous_hash=item.get("previous_hash", ""),
        **{name: parse_rfc3339(item[name]) for name in _TIMES if name in item},
    )


def _ttl(ended_at: datetime) -> int:
    return int((ended_at + KEPT).timestamp())


def _keys_key(owner: str) -> Key:
    return {"pk": f"USER#{owner}", "sk": "KEYS"}


class Keys:
    """The API keys in the identity table."""

    def __init__(self, table: Table, clock: Clock = SYSTEM) -> None:
        self._table, self._clock = table, clock

    def create(self, key: ApiKey, session_id: str, audit: Write) -> None:
        """Store a new key, which a session of the owner asks for, and that it was made.

        Raises
        ------
        BadToken
            The session has ended, or its user is disabled or gone.
        KeyExists
            There is a key of this id.
        TooManyKeys
            The owner has ``MOST_LIVE`` live keys.
        """
        holds = self._holds(key.owner, session_id)
        for _ in range(_TRIES):
            counted = self._table.get(_keys_key(key.owner))
            made = 0 if counted is None else SHAPES.current(counted)["made"]
            if self._live(key.owner, key.created_at) >= MOST_LIVE:
                if self._table.get(api_key_key(key.owner, key.key_id)):
                    raise _exists(key)
                raise TooManyKeys(f"You have {MOST_LIVE} live keys, the most that a user may have. Revoke one first.")
            held = self._transact(*holds, _new(key), _counted(key.owner, made), audit)
            if not held:
                return
            _check(held, session_id)
            if not held[len(holds)]:
                raise _exists(key)
        raise Unavailable("Other keys of yours are being made at the same time; try again.", retry_after=1)

    def get(self, owner: str, key_id: str) -> ApiKey:
        """A key. KeyNotFound where the owner has none of this id."""
        item = self._table.get(api_key_key(owner, key_id))
        if item is None:
            raise _missing(key_id)
        return key_of(item)

    def page(self, owner: str, limit: int, after: Item | None) -> tuple[list[ApiKey], Item | None]:
        """A page of an owner's keys, by id, and where the next begins; None on the last."""
        items, position = self._table.page(_OF_OWNER, _owned_by(owner), limit=limit, after=after)
        return [key_of(item) for item in items], position

    def revoke(self, key: ApiKey, now: datetime, audit: Write) -> ApiKey:
        """Revoke a key, for good, and forget its hashes. One that is revoked already stays as it is."""
        self._revoke(key, now, audit)
        return self.get(key.owner, key.key_id)

    def revoke_all(self, owner: str, now: datetime, audit: Callable[[ApiKey], Write]) -> None:
        """Revoke all live keys of an owner, each with the ``audit`` of it. May be called again where it broke off.

        A session of the owner that goes on meanwhile may make another key; end the sessions first.
        """
        for item in self._table.all(_OF_OWNER, _owned_by(owner)):
            if is_live(key := key_of(item), now):
                self._revoke(key, now, audit(key))

    def _revoke(self, key: ApiKey, now: datetime, audit: Write) -> None:
        changed = Write(
            key=api_key_key(key.owner, key.key_id),
            changes="SET revoked_at = :now, #ttl = :ttl REMOVE secret_hash, previous_hash, previous_until",
            when="attribute_exists(pk) AND attribute_not_exists(revoked_at)",
            values={"now": rfc3339(now), "ttl": _ttl(now)},
            names={"ttl": "ttl"},
        )
        self._transact(changed, audit)

    def rotate(
        self, key: ApiKey, secret_hash: str, previous_until: datetime | None, session_id: str, audit: Write
    ) -> None:
        """Give a key another secret, which a session of the owner asks for.

        The one it has works until ``previous_until``, or no more.

        Raises
        ------
        BadToken
            The session has ended, or its user is disabled or gone.
        Conflict
            The key was rotated or revoked since it was read.
        """
        until = None if previous_until is None else rfc3339(previous_until)
        values = {"new": secret_hash, "old": key.secret_hash}
        changed = Write(
            key=api_key_key(key.owner, key.key_id),
            changes="SET secret_hash = :new REMOVE previous_hash, previous_until"
            if until is None
            else "SET secret_hash = :new, previous_hash = :old, previous_until = :until",
            when="secret_hash = :old AND attribute_not_exists(revoked_at)",
            values=values if until is None else {**values, "until": until},
        )
        if held := self._transact(*self._holds(key.owner, session_id), changed, audit):
            _check(held, session_id)
            raise Conflict("The key was rotated or revoked at the same time. Look at it, and try again if need be.")

    def _holds(self, owner: str, session_id: str) -> tuple[Write, Write]:
        """The conditions under which a session of the owner holds. BadToken where it has ended already."""
        item = self._table.get(session_key(owner, session_id))
        session = SHAPES.current(item) if item is not None else None
        if session is None or "revoked_at" in session:
            raise _ended(session_id)
        let_in = Write(
            key=user_key(owner),
            when="attribute_exists(pk) AND disabled = :no AND sessions_from <= :began",
            values={"no": False, "began": session["began"]},
            check=True,
        )
        goes_on = Write(
            key=session_key(owner, session_id),
            when="attribute_exists(pk) AND attribute_not_exists(revoked_at)",
            check=True,
        )
        return let_in, goes_on

    def _transact(self, *writes: Write) -> tuple[bool, ...]:
        """A transaction that the counted uses of a key, or a log-in of its owner, may be in the way of."""
        return again(partial(self._table.transact, writes), self._clock)

    def _live(self, owner: str, now: datetime) -> int:
        items = self._table.all(_OF_OWNER, _owned_by(owner))
        return sum(is_live(key_of(item), now) for item in items)


_OF_OWNER = "pk = :pk AND begins_with(sk, :prefix)"


def _owned_by(owner: str) -> dict[str, str]:
    return {"pk": f"USER#{owner}", "prefix": "KEY#"}


def _new(key: ApiKey) -> Write:
    return Write(put=key_item(key), when="attribute_not_exists(pk)")


def _counted(owner: str, made: int) -> Write:
    """The change of the item KEYS that holds only while no key was made since ``made`` was read."""
    return Write(
        key=_keys_key(owner),
        changes="SET made = :next, #schema = :schema",
        when="made = :made" if made else "attribute_not_exists(pk)",
        values={"next": made + 1, "schema": SCHEMA} | ({"made": made} if made else {}),
        names={"schema": "schema"},
    )


def _check(held: tuple[bool, ...], session_id: str) -> None:
    """BadToken unless the first two conditions, those of ``Keys._holds``, did hold."""
    if not all(held[:2]):
        raise _ended(session_id)


def _ended(session_id: str) -> BadToken:
    return BadToken(f"session {session_id}: ended, or its user is disabled or gone")


def _exists(key: ApiKey) -> KeyExists:
    told = "its secret was shown once, then. Rotate it for a new one"
    return KeyExists(f"This Idempotency-Key made the key {key.key_id} already; {told}.", key_id=key.key_id)


def _missing(key_id: str) -> KeyNotFound:
    return KeyNotFound(f"You have no API key {key_id!r}.")
