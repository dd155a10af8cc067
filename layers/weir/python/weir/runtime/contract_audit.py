"""What the routes of audits answer."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

from weir.runtime.audit import Entry


class ChangeEntry(BaseModel):
    """What an admin changed, once."""

    model_config = ConfigDict(frozen=True)

    at: datetime
    what: str = Field(description="Such as cap.changed")
    who: str = Field(description="A user id")
    who_name: str = Field(description="The user's name at that time")
    subject: str = Field(description="Id or name of what was changed")
    detail: Mapping[str, str] = Field(description="What came to be, or is gone; of a change, old -> new")
    source_ip: str
    user_agent: str
    request_id: str


class ChangePage(BaseModel):
    """What admins changed, newest first."""

    model_config = ConfigDict(frozen=True)

    items: tuple[ChangeEntry, ...]
    cursor: str | None = Field(description="Where the next page begins; null on the last")


def page_view(entries: Sequence[Entry], cursor: str | None) -> ChangePage:
    """A page as answered."""
    return ChangePage(items=tuple(ChangeEntry(**asdict(one)) for one in entries), cursor=cursor)
