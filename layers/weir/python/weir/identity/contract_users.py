"""What the routes of users and of the audit take and answer."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from weir.identity import names
from weir.identity.models import User
from weir.identity.roles import Role

MOST_GROUPS = 50
MOST_GROUP_CHARACTERS = 1_500
"""All names together: they are in every access token of the user, and a token has to fit into a header."""

USER_ID = r"^[a-z2-7]{16}$"


def _sorted_roles(roles: tuple[Role, ...]) -> tuple[Role, ...]:
    return tuple(sorted(set(roles)))


def _sorted_groups(groups: tuple[str, ...]) -> tuple[str, ...]:
    if sum(map(len, groups)) > MOST_GROUP_CHARACTERS:
        raise ValueError(f"names of groups may have {MOST_GROUP_CHARACTERS:,} characters together")
    return tuple(sorted(set(groups)))


Roles = Annotated[tuple[Role, ...], Field(max_length=4), AfterValidator(_sorted_roles)]
Group = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/-]{0,63}$")]
Groups = Annotated[tuple[Group, ...], Field(max_length=MOST_GROUPS), AfterValidator(_sorted_groups)]
Username = Annotated[
    str,
    Field(pattern=names.USERNAME, description="3 to 64 of A-Z a-z 0-9 . _ -; letter case does not tell two apart"),
    AfterValidator(names.for_new),
]
Email = Annotated[str, Field(pattern=names.EMAIL, max_length=254), AfterValidator(str.lower)]


class _Body(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class NewUser(_Body):
    """A user to be made."""

    username: Username
    email: Email | None = Field(default=None, description="By it the user is known who logs in at a provider")
    roles: Roles = ("member",)
    groups: Groups = ()
    password: str | None = Field(
        default=None,
        max_length=1024,
        repr=False,
        description="To be changed at the first use; left out, one is made and answered once",
    )


class UserPatch(_Body):
    """What to change of a user; what is left out stays."""

    email: Email | None = Field(default=None, description="null takes the address away")
    roles: Roles = ()
    groups: Groups = ()
    disabled: bool = Field(
        default=False, description="true ends all sessions and tokens, and lets keys rest; false wakes keys again"
    )
    reset_password: bool = Field(
        default=False, description="Make a new password, answered once, to be changed at first use; ends all sessions"
    )

    revoke_keys: bool = Field(
        default=False, description="Revoke all API keys, for good; neither disabling nor a new password does"
    )

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not self.model_fields_set:
            raise ValueError("name something to change: email, roles, groups, disabled, reset_password or revoke_keys")
        return self


class UserView(BaseModel):
    """A user as answered; never a password or its hash."""

    model_config = ConfigDict(frozen=True)

    user_id: str
    username: str
    email: str | None
    roles: tuple[str, ...]
    groups: tuple[str, ...]
    disabled: bool
    must_change_password: bool
    created_at: datetime
    last_login_at: datetime | None


class UserChanged(UserView):
    """A user as made or changed, with the password where one was made for them."""

    password: str | None = Field(
        default=None, repr=False, description="Shown this once, and to be changed at the first use"
    )


class UserPage(BaseModel):
    """Users, by name."""

    model_config = ConfigDict(frozen=True)

    items: tuple[UserView, ...]
    cursor: str | None = Field(description="Where the next page begins; null on the last")


class AuditEntry(BaseModel):
    """What happened, once."""

    model_config = ConfigDict(frozen=True)

    at: datetime
    what: str = Field(description="Such as user.roles-changed")
    who: str = Field(description="A user id; anonymous, or system")
    who_name: str = Field(description="The user's name at that time")
    subject: str = Field(description="Id of the user, key or session that it is about")
    detail: Mapping[str, str]
    source_ip: str
    user_agent: str
    request_id: str


class AuditPage(BaseModel):
    """Entries, newest first."""

    model_config = ConfigDict(frozen=True)

    items: tuple[AuditEntry, ...]
    cursor: str | None = Field(description="Where the next page begins, even after an empty one; null on the last")


def view_of(user: User) -> UserView:
    """A user as answered."""
    return UserView.model_validate({name: getattr(user, name) for name in UserView.model_fields})
