"""What the routes of log-in, tokens and passwords take and answer."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from weir.identity.contract_oauth import TokenAnswer
from weir.identity.contract_users import Username, UserView

Password = Annotated[str, Field(repr=False)]


class _Body(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class LoginRequest(_Body):
    """Who wants in. Whatever is no user's name or password is answered like a wrong one."""

    username: str
    password: Password
    device: str | None = Field(
        default=None,
        max_length=4096,
        repr=False,
        description="As the last log-in on this device answered it: the guesses of others then don't slow it down",
    )
    max_uses: int | None = Field(
        default=None,
        ge=1,
        le=1000,
        description="Requests that the access token is good for; no refresh token then, and no keys or users changed",
    )
    expires_in: int | None = Field(
        default=None,
        ge=60,
        le=3600,
        description="Seconds that the access token is good for; no refresh token then, and no keys or users changed",
    )


class RefreshRequest(_Body):
    """The refresh token that was given last."""

    refresh_token: str = Field(max_length=4096, repr=False)


class PasswordChange(_Body):
    """The password as it is, and as it shall be."""

    current_password: Password
    new_password: Password = Field(description="12 to 256 characters; not the user name, nor one of the commonest")


class Registration(_Body):
    """A new member. No e-mail address: who claims one unproved would be taken for its owner when a provider vouches."""

    username: Username
    password: Password = Field(description="12 to 256 characters; not the user name, nor one of the commonest")


class LoginAnswer(TokenAnswer):
    """Tokens, and by what the device is known again."""

    device: str = Field(repr=False, description="To be sent with the next log-in on this device; it lets nobody in")


class Me(UserView):
    """The caller, as an admin sees them, and what they may do with the token or key that they came with."""

    scopes: tuple[str, ...]
    credential: Literal["token", "key"]
    credential_id: str = Field(description="The session's id, or the key's")


class Ended(BaseModel):
    """The session has ended."""

    model_config = ConfigDict(frozen=True)

    ended: Literal[True] = True
