"""What the routes of log-in by a provider take and answer."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Text = Annotated[str | None, Field(max_length=4096)]


class ShownProvider(BaseModel):
    """A provider that people may log in by. Nothing of it is secret."""

    model_config = ConfigDict(frozen=True)

    name: str
    kind: Literal["oidc", "github"]
    authorize_path: str = Field(description="Where to send the browser, with client_id, redirect_uri and the rest")


class TokenRequest(BaseModel):
    """RFC 6749, sections 4.1.3 and 6, as JSON. What is not known is ignored, as section 3.2 has it."""

    model_config = ConfigDict(frozen=True)

    grant_type: str = Field(max_length=64, description="`authorization_code` or `refresh_token`")
    client_id: Text = Field(default=None, repr=False, description="With a code: the application's name")
    code: Text = Field(
        default=None, repr=False, description="With a code: as the browser brought it, within 60 seconds"
    )
    redirect_uri: Text = Field(default=None, repr=False, description="With a code: as it was given to authorize")
    code_verifier: Text = Field(default=None, repr=False, description="With a code: what code_challenge was made of")
    refresh_token: Text = Field(default=None, repr=False, description="With `refresh_token`: the one given last")


class TokenAnswer(BaseModel):
    """Tokens, as a log-in with a password gives them."""

    model_config = ConfigDict(frozen=True)

    access_token: str = Field(repr=False)
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105 - the name of a kind, no secret
    expires_in: int = Field(description="Seconds")
    refresh_token: str | None = Field(default=None, repr=False, description="Good once, for the next pair")
    must_change_password: bool
