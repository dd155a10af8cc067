"""The three kinds of tokens, all signed with the signing secret (``keyring``), none of them stored.

- Access: a JWT of HS256 (RFC 7519; RFC 9068's ``at+jwt``, but for the client; RFC 8725's advice): who, for how long,
  with which rights.
- Refresh: ``weir_rt_<kid>.<user>.<session>.<generation>.<mac>``, good once for the next pair; whether it still is, its
  session tells.
- Device: ``weir_dt_<kid>.<user>.<device>.<until>.<sessions from>.<mac>``, given at a log-in, by which the next one is
  told from a guess. It lets nobody in.
  https://owasp.org/www-community/Slow_Down_Online_Guessing_Attacks_with_Device_Cookies

The latter two hold no longer than their key: until the second rotation of the signing secret after they were made.
"""

import base64
import hashlib
import hmac
import json
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from weir.identity.errors import BadToken
from weir.identity.keyring import Key, Keyring
from weir.identity.models import Claims, User
from weir.identity.roles import FOR_PEOPLE, scopes_of
from weir.runtime.errors import Conflict
from weir.runtime.settings import Settings

ALGORITHM, TYPE = "HS256", "at+jwt"
MOST_CHARACTERS = 4_096
LEEWAY_SECONDS = 5
"""By which the clocks of two machines may differ; never granted at the end of a token's life."""

ISSUED_BACK_SECONDS = 30
"""By how much ``iat`` lies back. A change of a user ends the tokens from before the second after the change began; one
that is issued while the change is being written still tells of the old rights, and so ends with them."""

DEVICE_SECONDS = 30 * 86_400
"""No longer than the signing secret holds in any case, which is rotated every 30 days."""

T = TypeVar("T")
_REFRESH = re.compile(
    r"weir_rt_([A-Za-z0-9_-]{1,64})\.([a-z2-7]{16})\.([a-z2-7]{16})\.([0-9]{1,9})\.([A-Za-z0-9_-]{43})"
)
_DEVICE = re.compile(
    r"weir_dt_([A-Za-z0-9_-]{1,64})\.([a-z2-7]{16})\.([a-z2-7]{16})\.([0-9]{1,12})\.([0-9]{1,12})\.([A-Za-z0-9_-]{43})"
)


class TooManyRights(Conflict):
    """Roles and groups of the user make a token that no request could carry."""

    slug = "too-many-rights"


@dataclass(frozen=True, slots=True)
class Refresh:
    """What a refresh token stands for: one generation of a session."""

    user_id: str
    session_id: str
    generation: int


def new_id() -> str:
    """An id of 80 random bits, as 16 characters of a-z and 2-7: of a session, a token or a device."""
    return base64.b32encode(secrets.token_bytes(10)).decode().lower()


def issue_access(
    user: User,
    session_id: str,
    key: Key,
    conf: Settings,
    now: datetime,
    max_uses: int | None = None,
    seconds: int | None = None,
) -> tuple[str, Claims]:
    """An access token of a user, and what it says: no scope at all where the password must be changed first.

    Parameters
    ----------
    max_uses
        How many requests it admits; None for any number.
    seconds
        Its life; None for ``access_token_seconds`` of the settings.

    Raises
    ------
    TooManyRights
        It would be longer than ``MOST_CHARACTERS``.
    """
    import jwt  # 100 ms, most of it cryptography: not for those who only need ids or refresh tokens

    instant = int(now.timestamp())
    claims = Claims(
        sub=user.user_id,
        jti=new_id(),
        session_id=session_id,
        issued_at=max(instant - ISSUED_BACK_SECONDS, user.tokens_from),
        expires_at=instant + (seconds or conf.access_token_seconds),
        roles=user.roles,
        groups=user.groups,
        scopes=_scopes(user, limited=max_uses is not None or seconds is not None),
        username=user.username,
        max_uses=max_uses,
        must_change_password=user.must_change_password,
    )
    header = {"kid": key.kid, "typ": TYPE}
    text = jwt.encode(_payload(claims, conf), key.secret, algorithm=ALGORITHM, headers=header)
    if len(text) > MOST_CHARACTERS:
        raise TooManyRights("Your roles and groups do not fit into a token. Ask an admin to take some groups away.")
    return text, claims


def _scopes(user: User, *, limited: bool) -> tuple[str, ...]:
    """None where the password must be changed first; and a token of few uses, or a short life, makes no key of more."""
    if user.must_change_password:
        return ()
    return tuple(sorted(scopes_of(user.roles) - (FOR_PEOPLE if limited else frozenset())))


def _payload(claims: Claims, conf: Settings) -> dict[str, Any]:
    payload: dict[str, Any] = {
        "iss": conf.token_issuer,
        "aud": conf.token_audience,
        "sub": claims.sub,
        "iat": claims.issued_at,
        "nbf": claims.issued_at,
        "exp": claims.expires_at,
        "jti": claims.jti,
        "sid": claims.session_id,
        "username": claims.username,
        "roles": list(claims.roles),
        "groups": list(claims.groups),
        "scope": " ".join(claims.scopes),
    }
    if claims.max_uses is not None:
        payload["max_uses"] = claims.max_uses
    return payload | ({"must_change": True} if claims.must_change_password else {})


def verify_access(text: str, keyring: Keyring, issuer: str, audience: str, now: datetime) -> Claims:
    """What an access token says, where it holds; whether it was revoked, ``revocations`` tells.

    Raises
    ------
    BadToken
        It is none, or of somebody else, or its time is over or has not come.
    WeirError
        The signing secret can't be read, which says nothing of the token.
    """
    if len(text) > MOST_CHARACTERS:
        raise BadToken("token: too long")
    kid, payload, signature = _parts(text)
    key = keyring.find(kid)
    if key is None:
        raise BadToken("token: kid is not known")
    claims = _decoded(text, payload, signature, key, issuer, audience)
    instant = now.timestamp()
    if claims.issued_at > instant + LEEWAY_SECONDS:
        raise BadToken("token: not yet valid")
    if claims.expires_at <= instant:
        raise BadToken("token: expired")
    return claims


def _parts(text: str) -> tuple[str, dict[str, Any], bytes]:
    """The name of the key that a token says it is signed with, what it says, and its signature.

    A library for JWTs takes a fifth of a start, most of it for algorithms that are never taken here. So what verifies
    is this: one algorithm, its name compared and not followed (RFC 8725, 3.1), in base64url as RFC 7515 has it.
    BadToken for any other form.
    """
    head, _, rest = text.partition(".")
    body, _, mac = rest.partition(".")
    try:
        header, payload = _json(head), _json(body)
        signature = _bytes(mac)
    except (ValueError, RecursionError) as error:
        raise BadToken(f"token: {type(error).__name__}") from error
    kid = header.get("kid")
    if header.get("alg") != ALGORITHM or header.get("typ") != TYPE or "crit" in header or not isinstance(kid, str):
        raise BadToken("token: header is not ours")
    return kid, payload, signature


def _decoded(text: str, payload: dict[str, Any], signature: bytes, key: Key, issuer: str, audience: str) -> Claims:
    """The claims of a token whose signature, issuer and audience hold. Its times are for the caller to check."""
    signed = text.rpartition(".")[0]
    if not hmac.compare_digest(hmac.digest(key.secret, signed.encode(), hashlib.sha256), signature):
        raise BadToken("token: signature")
    if (payload.get("iss"), payload.get("aud")) != (issuer, audience):
        raise BadToken("token: issuer or audience")
    try:
        return _claims(payload)
    except (KeyError, TypeError, ValueError) as error:
        raise BadToken("token: claims are not ours") from error


def _json(part: str) -> dict[str, Any]:
    """The JSON object in a part. ValueError where there is another thing."""
    found = json.loads(_bytes(part))
    if not isinstance(found, dict):
        raise ValueError("no object")  # noqa: TRY004 - told like any other text that is none
    return found


def _bytes(part: str) -> bytes:
    """Bytes in base64url, written the one way in which they are: the last character has no bits to spare."""
    raw = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    if base64.urlsafe_b64encode(raw).rstrip(b"=").decode() != part:
        raise ValueError("not canonical")
    return raw


def _claims(payload: dict[str, Any]) -> Claims:
    """The claims of a payload. KeyError or TypeError where one is missing or of another type."""
    max_uses = payload.get("max_uses")
    return Claims(
        sub=_of(str, payload["sub"]),
        jti=_of(str, payload["jti"]),
        session_id=_of(str, payload["sid"]),
        issued_at=max(_of(int, payload["iat"]), _of(int, payload["nbf"])),
        expires_at=_of(int, payload["exp"]),
        roles=tuple(_of(str, role) for role in _of(list, payload["roles"])),
        groups=tuple(_of(str, group) for group in _of(list, payload["groups"])),
        scopes=tuple(_of(str, payload["scope"]).split()),
        username=_of(str, payload["username"]),
        max_uses=None if max_uses is None else _of(int, max_uses),
        must_change_password=_of(bool, payload.get("must_change", False)),
    )


def _of(kind: type[T], value: Any) -> T:
    if type(value) is not kind:  # True is an int to isinstance
        raise TypeError(f"{type(value).__name__} instead of {kind.__name__}")
    return value


def issue_refresh(user_id: str, session_id: str, generation: int, key: Key) -> str:
    """The refresh token of a session's generation."""
    return _sealed("rt", (key.kid, user_id, session_id, str(generation)), key)


def read_refresh(text: str, keyring: Keyring) -> Refresh:
    """What a refresh token stands for. BadToken where its signature does not hold; WeirError as ``verify_access``."""
    _, user_id, session_id, generation = _opened("rt", _REFRESH, text, keyring)
    return Refresh(user_id, session_id, int(generation))


def issue_device(user: User, key: Key, now: datetime, device: str | None = None) -> str:
    """A device token of a user who has just logged in; ``device`` is the id of the one that was presented."""
    until = int(now.timestamp()) + DEVICE_SECONDS
    return _sealed("dt", (key.kid, user.user_id, device or new_id(), str(until), str(user.sessions_from)), key)


def verify_device(text: str | None, user: User | None, keyring: Keyring, now: datetime) -> str | None:
    """The id of the device where the token is this user's and holds, else None.

    It holds no more once the user's sessions were ended, by a change of the password say. WeirError as
    ``verify_access``.
    """
    try:
        _, user_id, device, until, sessions_from = _opened("dt", _DEVICE, text or "", keyring)
    except BadToken:
        return None
    theirs = user is not None and (user_id, int(sessions_from)) == (user.user_id, user.sessions_from)
    return device if theirs and now.timestamp() < int(until) else None


def _sealed(kind: str, parts: Sequence[str], key: Key) -> str:
    return f"weir_{kind}_{'.'.join(parts)}.{_mac(kind, parts, key)}"


def _opened(kind: str, form: re.Pattern[str], text: str, keyring: Keyring) -> list[str]:
    """The parts that were sealed, the kid first. BadToken for what is of another form, or sealed by no key of ours."""
    found = form.fullmatch(text)
    if found is None:
        raise BadToken(f"{kind}: not of its form")
    *parts, mac = found.groups()
    key = keyring.find(parts[0])
    if key is None:
        raise BadToken(f"{kind}: kid is not known")
    if not hmac.compare_digest(_mac(kind, parts, key), mac):
        raise BadToken(f"{kind}: signature")
    return parts


def _mac(kind: str, parts: Sequence[str], key: Key) -> str:
    return base64.urlsafe_b64encode(keyed(key, kind, *parts)).rstrip(b"=").decode()


def keyed(key: Key, kind: str, *parts: str) -> bytes:
    """HMAC-SHA-256 of parts, 32 bytes: apart from those of any other ``kind``, and from a JWT's."""
    message = "\0".join((f"weir {kind}", *parts))
    return hmac.digest(key.secret, message.encode("utf-8", "surrogatepass"), hashlib.sha256)
