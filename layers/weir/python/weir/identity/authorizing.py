"""The one gate: which user a credential stands for, and what it may do now.

An access token is proved by its signature and the list of revocations, which this process keeps: no read of a table.
A key is read together with its owner, in one call. Uses that are limited are counted at each request, so API Gateway
must not keep decisions; those that may be kept, on keys of unlimited use, are kept here for ``KEPT_SECONDS``, which is
how long a revoked key may go on.

Every request waits for this, so it loads neither pydantic nor Powertools.
"""

import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from weir.identity import key_store, tokens
from weir.identity.errors import BadToken
from weir.identity.keyring import Keyring
from weir.identity.models import Admitted, ApiKey, Claims, User
from weir.identity.revocations import Revocations
from weir.identity.roles import scopes_of_key
from weir.identity.table import SCHEMA, api_key_key, user_key, uses_key
from weir.identity.user_store import user_of
from weir.runtime.clock import Clock, rfc3339
from weir.runtime.dynamodb import Table
from weir.runtime.errors import WeirError

KEPT_SECONDS = 60.0
MOST_KEPT = 1_000
MOST_CHARACTERS = 4_096
LAST_USED_WITHIN = timedelta(hours=1)
_SPARE_SECONDS = 3_600


@dataclass(frozen=True, slots=True)
class _Kept:
    admitted: Admitted
    until: float


class Gate:
    """Admits credentials, in one process.

    Parameters
    ----------
    pepper
        Answers the key of the hashes of API keys; asked only when a key comes.
    issuer, audience
        Which a token must name.
    """

    def __init__(
        self,
        table: Table,
        keyring: Keyring,
        revocations: Revocations,
        pepper: Callable[[], bytes],
        *,
        issuer: str,
        audience: str,
        clock: Clock,
    ) -> None:
        self._table, self._keyring, self._revocations, self._pepper = table, keyring, revocations, pepper
        self._issuer, self._audience, self._clock = issuer, audience, clock
        self._kept: dict[str, _Kept] = {}

    def admit(self, credential: str) -> Admitted:
        """Whom a token or key stands for.

        BadToken where it does not hold. Any other WeirError where AWS fails, which says nothing about the credential.
        """
        if len(credential) > MOST_CHARACTERS:
            raise BadToken("too long")
        named = key_store.parse(credential)
        return self._by_token(credential) if named is None else self._by_key(credential, *named)

    def remembered(self, credential: str) -> Admitted | None:
        """Whom a key stands for, where that was decided a moment ago; None where ``admit`` has to be asked."""
        named = key_store.parse(credential) if len(credential) <= MOST_CHARACTERS else None
        if named is None or not self._kept:
            return None
        kept = self._kept.get(key_store.hashed(credential, self._pepper()))  # some were decided: the pepper is here
        return kept.admitted if kept is not None and self._clock.monotonic() < kept.until else None

    def _by_token(self, text: str) -> Admitted:
        claims = tokens.verify_access(text, self._keyring, self._issuer, self._audience, self._clock.now())
        if self._revocations.holds(claims):
            raise BadToken(f"session {claims.session_id}: revoked")
        if claims.max_uses is not None:
            self._count_token(claims, claims.max_uses)
        return Admitted(
            sub=claims.sub,
            username=claims.username,
            roles=claims.roles,
            groups=claims.groups,
            scopes=claims.scopes,
            credential="token",
            credential_id=claims.session_id,
            must_change_password=claims.must_change_password,
        )

    def _count_token(self, claims: Claims, max_uses: int) -> None:
        """Count one use of a token, in one conditional write: of many at once no more get in than there are uses left.

        Where the answer is lost and botocore asks again, one use may count as two; that lets nobody in beyond them.
        """
        counted = self._table.update(
            uses_key(claims.jti),
            "SET #schema = :schema, #ttl = :ttl ADD #uses :one",
            "attribute_not_exists(#uses) OR #uses < :max",
            {"schema": SCHEMA, "ttl": claims.expires_at + _SPARE_SECONDS, "one": 1, "max": max_uses},
            {"schema": "schema", "ttl": "ttl", "uses": "uses"},
        )
        if not counted.done:
            raise BadToken(f"token {claims.jti}: used up")

    def _by_key(self, text: str, owner: str, key_id: str) -> Admitted:
        digest = key_store.hashed(text, self._pepper())
        kept = self._kept.get(digest)
        if kept is not None and self._clock.monotonic() < kept.until:
            return kept.admitted
        looked_at, now = self._clock.monotonic(), self._clock.now()
        key, user = self._read(owner, key_id)
        ends = _ends(key, digest, now)
        if user.disabled:
            raise BadToken(f"key {key_id}: owner disabled")
        if key.max_uses is not None:
            self._count_key(key, key.max_uses, digest, now)
        else:
            self._used(key, now)
        admitted = Admitted(
            sub=user.user_id,
            username=user.username,
            roles=user.roles,
            groups=user.groups,
            scopes=tuple(sorted(scopes_of_key(key.scopes, user.roles))),
            credential="key",
            credential_id=key_id,
        )
        if key.max_uses is None:
            seconds = KEPT_SECONDS if ends is None else min(KEPT_SECONDS, (ends - now).total_seconds())
            self._keep(digest, _Kept(admitted, looked_at + seconds))
        return admitted

    def _read(self, owner: str, key_id: str) -> tuple[ApiKey, User]:
        """A key and its owner, in one call. BadToken where either is not there."""
        key_at, user_at = api_key_key(owner, key_id), user_key(owner)
        items = {item["sk"]: item for item in self._table.get_many([key_at, user_at])}
        if key_at["sk"] not in items or user_at["sk"] not in items:
            raise BadToken(f"key {key_id}: not there, or its owner is gone")
        return key_store.key_of(items[key_at["sk"]]), user_of(items[user_at["sk"]])

    def _count_key(self, key: ApiKey, max_uses: int, digest: str, now: datetime) -> None:
        """Count one use of a key, as ``_count_token`` does of a token, while it is what it was when it was read."""
        counted = self._table.update(
            api_key_key(key.owner, key.key_id),
            "SET last_used_at = :now ADD #uses :one",
            "#uses < :max AND attribute_not_exists(revoked_at) AND (secret_hash = :hash OR previous_hash = :hash)",
            {"now": rfc3339(now), "one": 1, "max": max_uses, "hash": digest},
            {"uses": "uses"},
        )
        if not counted.done:
            raise BadToken(f"key {key.key_id}: used up, or revoked just now")

    def _used(self, key: ApiKey, now: datetime) -> None:
        """Note when a key was used, once an hour at most. It is not worth refusing a request for."""
        if key.last_used_at is not None and now - key.last_used_at < LAST_USED_WITHIN:
            return
        try:
            self._table.update(
                api_key_key(key.owner, key.key_id),
                "SET last_used_at = :now",
                "attribute_exists(pk) AND (attribute_not_exists(last_used_at) OR last_used_at < :before)",
                {"now": rfc3339(now), "before": rfc3339(now - LAST_USED_WITHIN)},
            )
        except WeirError:
            return

    def _keep(self, digest: str, kept: _Kept) -> None:
        if len(self._kept) >= MOST_KEPT:
            self._kept.pop(next(iter(self._kept)), None)
        self._kept.pop(digest, None)
        self._kept[digest] = kept


def _ends(key: ApiKey, digest: str, now: datetime) -> datetime | None:
    """Until when a key holds with this secret, None for ever. BadToken where it does not hold now."""
    current = hmac.compare_digest(key.secret_hash, digest)
    if not (hmac.compare_digest(key.previous_hash, digest) or current):
        raise BadToken(f"key {key.key_id}: wrong secret")
    if key.revoked_at is not None:
        raise BadToken(f"key {key.key_id}: revoked")
    ends = [moment for moment in (key.expires_at, None if current else key.previous_until) if moment is not None]
    if any(moment <= now for moment in ends):
        raise BadToken(f"key {key.key_id}: expired")
    return min(ends, default=None)


def bearer(event: Mapping[str, Any]) -> str:
    """The credential of a request (RFC 6750), out of an API Gateway authorizer's or proxy's event.

    BadToken where there is none, or more than one, or it comes in another way than ``Authorization: Bearer``.
    """
    sent: list[str] = []
    for name, values in (event.get("multiValueHeaders") or {}).items():
        sent += [str(value) for value in values] if name.lower() == "authorization" else []
    single = [str(value) for name, value in (event.get("headers") or {}).items() if name.lower() == "authorization"]
    sent = sent or single
    if not sent:
        raise BadToken("no credential")
    if len(sent) > 1 or len(single) > 1:
        raise BadToken("more than one Authorization header")
    scheme, _, credential = sent[0].strip().partition(" ")
    if scheme.lower() != "bearer" or not credential or not credential.isascii() or not credential.isprintable():
        raise BadToken("no bearer credential")
    if " " in credential or "," in credential:
        raise BadToken("more than one credential")
    return credential


def allow(method_arn: str, admitted: Admitted) -> dict[str, Any]:
    """What API Gateway takes from an authorizer: the whole stage is allowed, for the functions check scopes themselves.

    https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-lambda-authorizer-output.html
    """
    api, stage = method_arn.split("/")[:2]
    statement = {"Action": "execute-api:Invoke", "Effect": "Allow", "Resource": f"{api}/{stage}/*"}
    return {
        "principalId": admitted.sub,
        "policyDocument": {"Version": "2012-10-17", "Statement": [statement]},
        "context": {
            "sub": admitted.sub,
            "username": admitted.username,
            "roles": " ".join(admitted.roles),
            "groups": " ".join(admitted.groups),
            "scopes": " ".join(admitted.scopes),
            "credential": admitted.credential,
            "credential_id": admitted.credential_id,
            "must_change_password": "true" if admitted.must_change_password else "false",
        },
    }
