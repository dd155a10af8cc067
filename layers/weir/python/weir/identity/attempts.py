"""Guessing passwords is slowed; nobody is locked out.

An attempt is counted before the password is looked at, in fixed windows, and given back where it was right. Guesses
from one address, at one user from one address, and at one user from everywhere are counted; but a device that the user
has logged in on before has a count of its own, so that an attacker can use up the others and not keep the user out.
https://owasp.org/www-community/Slow_Down_Online_Guessing_Attacks_with_Device_Cookies

Nor can they where there is no such device: a full count of guesses from everywhere leaves each address one attempt a
minute. Who guesses from a thousand addresses has a thousand a minute then, which is what it costs that a name alone,
which everybody may know, is not enough to keep its owner out. An address that the owner shares with one who guesses
there is slow for both.

Neither names nor addresses are stored: a count is found by a keyed hash. What botocore sends twice may count twice.
"""

import ipaddress
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from weir.identity import tokens
from weir.identity.errors import TooManyAttempts
from weir.identity.keyring import Key
from weir.identity.table import SCHEMA
from weir.runtime.dynamodb import Table
from weir.runtime.errors import WeirError


@dataclass(frozen=True, slots=True)
class Limit:
    """At most ``most`` attempts in each window of ``seconds``.

    One that ``spares`` lets in beyond that what is the first attempt of its window in the bucket before.
    """

    name: str
    most: int
    seconds: int
    spares: bool = False


ADDRESS = Limit("address", 60, 60)
USER_AT_ADDRESS = Limit("user at address", 5, 60)
USER = Limit("user", 50, 3_600, spares=True)
DEVICE = Limit("device", 10, 60)
SESSION = Limit("session", 10, 3_600)
REGISTRATION = Limit("registration", 10, 3_600)


@dataclass(frozen=True, slots=True)
class Bucket:
    """What is counted together: by a limit, and by whom or from where."""

    limit: Limit
    of: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Reserved:
    """Attempts that were counted, by their items' keys; and the limits that can take no more after this one."""

    keys: tuple[dict[str, str], ...]
    filled: tuple[str, ...]


def at_log_in(name: str, user_id: str | None, device: str | None, address: str) -> tuple[Bucket, ...]:
    """What an attempt to log in is counted by. ``device`` is one that the user is known on."""
    from_here = Bucket(ADDRESS, (network(address),))
    if user_id is not None and device is not None:
        return from_here, Bucket(DEVICE, (user_id, device))
    return from_here, Bucket(USER_AT_ADDRESS, (name, network(address))), Bucket(USER, (name,))


def reserve(buckets: Sequence[Bucket], table: Table, key: Key, now: datetime) -> Reserved:
    """Count an attempt in each bucket, each in one conditional write. TooManyAttempts where one is full."""
    keys: list[dict[str, str]] = []
    filled: list[str] = []
    before, left_before = 0, 0
    for bucket in buckets:
        limit = bucket.limit
        window, into = divmod(int(now.timestamp()), limit.seconds)
        left = limit.seconds - into
        at = {
            "pk": f"ATTEMPTS#{tokens.keyed(key, 'attempts', limit.name, *bucket.of).hex()}",
            "sk": f"{limit.seconds}#{window}",
        }
        counted = table.update(
            at,
            "SET #schema = :schema, #ttl = :ttl ADD attempts :one",
            "attribute_not_exists(attempts) OR attempts < :most",
            {"schema": SCHEMA, "ttl": (window + 2) * limit.seconds, "one": 1, "most": limit.most},
            {"schema": "schema", "ttl": "ttl"},
        )
        if not counted.done:
            if limit.spares and before == 1:
                continue
            seconds = left_before if limit.spares and before else left
            raise TooManyAttempts(f"Too many attempts. Try again in {seconds} s.", retry_after=seconds)
        before, left_before = (counted.item or {}).get("attempts", 0), left
        keys.append(at)
        if before >= limit.most:
            filled.append(limit.name)
    return Reserved(tuple(keys), tuple(filled))


def give_back(reserved: Reserved, table: Table) -> None:
    """Take back what was counted, for it was no guess. A failure is not worth refusing the log-in for."""
    for key in reserved.keys:
        with suppress(WeirError):
            table.update(key, "ADD attempts :less", "attempts > :none", {"less": -1, "none": 0})


def network(address: str) -> str:
    """What one caller holds of addresses: one of IPv4, but a whole /64 of IPv6."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    return str(parsed) if parsed.version == 4 else str(ipaddress.ip_network((parsed, 64), strict=False))
