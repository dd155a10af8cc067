"""``Idempotency-Key`` on calls of models: the same key and request get the first answer again, and cost nothing.

An answer is kept for 24 hours, as it was sent: a stream comes again as the same bytes, at once. Kept are answers that
came whole, also where the client left before their end; what failed is forgotten, so that it can be tried again. One
key is one call: of two at once the second is refused (409) while the first works.
"""

import hashlib
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from weir.gateway.table import SCHEMA, answer_key, part_key
from weir.runtime.clock import Clock
from weir.runtime.dynamodb import Item, Table
from weir.runtime.errors import BadRequest, Conflict, FieldError, Invalid
from weir.runtime.idempotency import KEPT_SECONDS, MAX_KEY_LENGTH

PART_BYTES = 350_000
"""Of an item, which holds 400 KB with all else:
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html"""

MOST_BYTES = 32_000_000
"""Of an answer that is kept; the key of a longer one is forgotten."""

_MINE = "attribute_exists(id) AND #owner = :owner AND #state = :working"
_FREE = "attribute_not_exists(id) OR #expiration <= :now OR (#state = :working AND #until <= :now)"


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to answer for a key, until it is kept, released, or its time is up."""

    digest: str
    owner: str
    request: str
    until: int


@dataclass(frozen=True, slots=True)
class Kept:
    """An answer that was given before."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes = field(repr=False)


class Replays:
    """Answers by key, in a table."""

    def __init__(self, table: Table, clock: Clock) -> None:
        self._table, self._clock = table, clock

    def claim(
        self,
        user: str,
        route: str,
        key: str,
        body: bytes,
        *,
        owner: str,
        seconds: float,
        headers: Mapping[str, str] | None = None,
    ) -> Claim | Kept:
        """The right to make the call, or the answer to the one that was made.

        Parameters
        ----------
        owner
            An id that no other request has: who claims again, since the answer to the first write was lost, has it.
        seconds
            In which the call has ended, or whoever made it has died.
        headers
            What of the request is not in its body.

        Raises
        ------
        BadRequest
            The key can't be one.
        Conflict
            The first call with it is still at work.
        Invalid
            It came before with another request.
        """
        if not key or len(key) > MAX_KEY_LENGTH or not key.isprintable():
            raise BadRequest(f"Idempotency-Key must be 1 to {MAX_KEY_LENGTH} printable characters.")
        now = int(self._clock.epoch())
        claim = Claim(_digest(user, route, key), owner, _request(body, headers or {}), now + int(seconds) + 1)
        done = self._table.put(self._item(claim, "working", now), _FREE, {"now": now, "working": "working"}, _NAMES)
        found = done.item or {}
        if done.done or (found.get("owner") == owner and found.get("state") == "working"):
            return claim
        if found.get("request") != claim.request:
            told = "came before with another request; use a new key"
            raise Invalid(f"This Idempotency-Key {told}.", errors=[FieldError("Idempotency-Key", told)])
        if found.get("state") != "kept":
            raise Conflict("A call with this Idempotency-Key is still at work; try again.", retry_after=1)
        return self._kept(claim, found)

    def keep(self, claim: Claim, kept: Kept) -> bool:
        """Store an answer, for whoever sends its key again; False where the claim has passed to another.

        One that is too long is forgotten.
        """
        if len(kept.body) > MOST_BYTES:
            self.release(claim)
            return False
        packed = zlib.compress(kept.body, 1)
        parts = [packed[at : at + PART_BYTES] for at in range(0, len(packed), PART_BYTES)]
        item = self._item(claim, "kept", int(self._clock.epoch()))
        for number, part in enumerate(parts[1:], 1):
            kept_as = part_key(claim.digest, claim.owner, number)
            self._table.put(kept_as | {"number": number, "data": part, "expiration": item["expiration"]})
        item |= {"status": kept.status, "headers": [list(one) for one in kept.headers], "data": parts[0]}
        item |= {"parts": len(parts)}
        return self._table.put(item, _MINE, {"owner": claim.owner, "working": "working"}, _OWNED).done

    def release(self, claim: Claim) -> None:
        """Forget a claim: what failed may be tried again."""
        self._table.delete(answer_key(claim.digest), _MINE, {"owner": claim.owner, "working": "working"}, _OWNED)

    def _kept(self, claim: Claim, found: Item) -> Kept:
        keys = [part_key(claim.digest, found["owner"], number) for number in range(1, found["parts"])]
        parts = {part["number"]: part["data"] for part in (self._table.get_many(keys) if keys else [])}
        if len(parts) != len(keys):
            raise Conflict("The answer to this Idempotency-Key is being forgotten; use a new key.")
        packed = b"".join([found["data"], *(parts[number] for number in sorted(parts))])
        return Kept(found["status"], tuple((name, value) for name, value in found["headers"]), zlib.decompress(packed))

    def _item(self, claim: Claim, state: str, now: int) -> dict[str, Any]:
        return answer_key(claim.digest) | {
            "schema": SCHEMA,
            "state": state,
            "owner": claim.owner,
            "request": claim.request,
            "until": claim.until,
            "expiration": now + KEPT_SECONDS,
        }


_NAMES = {"expiration": "expiration", "state": "state", "until": "until"}
_OWNED = {"owner": "owner", "state": "state"}


def _request(body: bytes, headers: Mapping[str, str]) -> str:
    """What a request is known again by. JSON holds no byte 0, so that none of it is taken for a header."""
    digest = hashlib.sha256(body)
    for name in sorted(headers):
        digest.update(f"\0{name}:{headers[name]}".encode())
    return digest.hexdigest()


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()
