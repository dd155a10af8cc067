"""What the routes of API keys take and answer."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from weir.identity.key_store import is_live
from weir.identity.models import ApiKey
from weir.identity.roles import Scope

SHOWN = r"^[^\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]+$"
"""Text that looks like what it is: no control characters, none that can't be seen, none that turns the line round."""

Status = Literal["live", "revoked", "expired", "used_up"]
DAY = 86_400


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class NewKey(_Model):
    """An API key to be made."""

    name: Annotated[str, Field(min_length=1, max_length=100, pattern=SHOWN, description="What it is for")]
    scopes: Annotated[list[Scope], Field(min_length=1, max_length=20)] | None = Field(
        None, description="What it may do, of what you may; all of that, but what is for people alone, where left out"
    )
    expires_in: int | None = Field(None, ge=60, le=5 * 365 * DAY, description="Seconds; never, where left out")
    max_uses: int | None = Field(None, ge=1, le=10**9, description="Requests it is good for; any, where left out")


class Rotation(_Model):
    """How a key's secret is changed for another."""

    grace_seconds: int = Field(0, ge=0, le=DAY, description="How long the secret before works on, beside the new one")


class ShownKey(_Model):
    """An API key, without its secret."""

    key_id: str
    owner: str = Field(description="Id of the user whose it is")
    name: str
    scopes: tuple[str, ...] = Field(description="As made; it holds at no time more than its owner")
    status: Status
    created_at: datetime
    expires_at: datetime | None
    max_uses: int | None
    uses: int | None = Field(description="So far; null where they are not limited, for then nobody counts them")
    last_used_at: datetime | None = Field(description="Within an hour")
    revoked_at: datetime | None
    previous_until: datetime | None = Field(description="Until when the secret before the last rotation works")


class MadeKey(ShownKey):
    """An API key with its secret, which is never shown again."""

    secret: str = Field(description="The whole key: send it as Authorization: Bearer", repr=False)


class KeyList(_Model):
    """A user's API keys, by id."""

    items: tuple[ShownKey, ...]
    cursor: str | None = Field(description="Where the next page begins; null on the last")


def shown(key: ApiKey, now: datetime) -> ShownKey:
    """A key as its owner sees it."""
    return ShownKey(
        key_id=key.key_id,
        owner=key.owner,
        name=key.name,
        scopes=key.scopes,
        status=status(key, now),
        created_at=key.created_at,
        expires_at=key.expires_at,
        max_uses=key.max_uses,
        uses=None if key.max_uses is None else key.uses,
        last_used_at=key.last_used_at,
        revoked_at=key.revoked_at,
        previous_until=key.previous_until if key.previous_until and now < key.previous_until else None,
    )


def made(key: ApiKey, secret: str, now: datetime) -> MadeKey:
    """A key as it is shown once, with its secret."""
    return MadeKey(**shown(key, now).model_dump(), secret=secret)


def status(key: ApiKey, now: datetime) -> Status:
    """Whether a key works, and if not, why."""
    if is_live(key, now):
        return "live"
    if key.revoked_at is not None:
        return "revoked"
    return "expired" if key.expires_at is not None and key.expires_at <= now else "used_up"
