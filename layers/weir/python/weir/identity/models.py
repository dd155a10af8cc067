"""What identity keeps, and what it hands out. Dataclasses: the authorizer, which every request
waits for, loads them too.

The shapes that routes take and answer are in ``contract``, with pydantic.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal


@dataclass(frozen=True, slots=True)
class User:
    """A person or service.

    ``version`` is its ETag: it counts changes. Access tokens issued before ``tokens_from`` and sessions begun before
    ``sessions_from`` (epoch seconds) hold no more: a change of roles moves the first, one of the password both.
    """

    user_id: str
    username: str
    created_at: datetime
    email: str | None = None
    roles: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    disabled: bool = False
    must_change_password: bool = False
    password_hash: str | None = field(default=None, repr=False)
    last_login_at: datetime | None = None
    tokens_from: int = 0
    sessions_from: int = 0
    version: int = 1


@dataclass(frozen=True, slots=True)
class ApiKey:
    """An API key without its secret, of which only a keyed hash is kept.

    After a rotation the secret before works on until ``previous_until``, where there is one.
    """

    key_id: str
    owner: str
    name: str
    scopes: tuple[str, ...]
    created_at: datetime
    expires_at: datetime | None = None
    max_uses: int | None = None
    uses: int = 0
    last_used_at: datetime | None = None
    revoked_at: datetime | None = None
    secret_hash: str = field(default="", repr=False)
    previous_hash: str = field(default="", repr=False)
    previous_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Claims:
    """A verified access token (RFC 9068): who, until when, with what."""

    sub: str
    jti: str
    session_id: str
    issued_at: int
    expires_at: int
    roles: tuple[str, ...]
    groups: tuple[str, ...]
    scopes: tuple[str, ...]
    username: str = ""
    max_uses: int | None = None
    must_change_password: bool = False


@dataclass(frozen=True, slots=True)
class Admitted:
    """What the authorizer hands to the functions, for one request."""

    sub: str
    username: str
    roles: tuple[str, ...]
    groups: tuple[str, ...]
    scopes: tuple[str, ...]
    credential: Literal["token", "key"]
    credential_id: str
    must_change_password: bool = False


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a log-in gives. ``expires_in`` is in seconds; no ``refresh_token`` where uses are counted."""

    access_token: str = field(repr=False)
    expires_in: int
    refresh_token: str | None = field(default=None, repr=False)
    must_change_password: bool = False
