"""Where a credential is in a request, and what API Gateway is answered."""

from typing import Any

import pytest

from tests.unit.identity.accounts import ANN
from weir.identity import authorizing
from weir.identity.errors import BadToken
from weir.identity.models import Admitted


def event(*values: str, **fields: Any) -> dict[str, Any]:
    """The event of a request with these Authorization headers, as API Gateway tells of it."""
    single = {"authorization": values[-1]} if values else {}
    many = {"authorization": list(values)} if values else {}
    return {
        "type": "REQUEST",
        "headers": {"Host": "h", **single},
        "multiValueHeaders": {"Host": ["h"], **many},
        **fields,
    }


@pytest.mark.parametrize(
    "value", ["Bearer a.b-c_d~e+f/g=", "bearer a.b-c_d~e+f/g=", "BEARER a.b-c_d~e+f/g=", " Bearer a.b-c_d~e+f/g= "]
)
def test_a_bearer_credential_is_read(value: str) -> None:
    assert authorizing.bearer(event(value)) == "a.b-c_d~e+f/g="


def test_it_is_read_out_of_either_kind_of_headers() -> None:
    assert authorizing.bearer({"headers": {"AUTHORIZATION": "Bearer abc"}}) == "abc"
    assert authorizing.bearer({"headers": None, "multiValueHeaders": {"Authorization": ["Bearer abc"]}}) == "abc"


@pytest.mark.parametrize(
    "sent",
    [
        {},
        {"headers": None, "multiValueHeaders": None},
        event(),
        event(queryStringParameters={"Authorization": "Bearer abc", "access_token": "abc", "api_key": "abc"}),
        event("abc"),
        event("Bearer"),
        event("Bearer "),
        event("Basic YW5uOnB3"),
        event("Token abc"),
        event("Bearer abc def"),
        event("Bearer abc,def"),
        event("Bearer abc, Bearer def"),
        event("Bearer abc\x00"),
        event("Bearer äbc"),
        event("Bearer abc", "Bearer abc"),
        event("Bearer abc", "Basic YW5uOnB3"),
        {"headers": {"Authorization": "Bearer abc", "authorization": "Bearer def"}},
        {"multiValueHeaders": {"Authorization": ["Bearer abc"], "authorization": ["Bearer def"]}},
        {"headers": {"x-api-key": "abc", "Cookie": "token=abc"}},
    ],
)
def test_a_credential_comes_once_and_as_a_bearer(sent: dict[str, Any]) -> None:
    with pytest.raises(BadToken):
        authorizing.bearer(sent)


def test_the_whole_stage_is_allowed_and_the_caller_told_in_texts() -> None:
    # Given somebody who was admitted
    held = {"roles": ("admin", "member"), "groups": ("blue", "green"), "scopes": ("runs:read", "runs:write")}
    admitted = Admitted(sub=ANN, username="ann", credential="token", credential_id="session2session3", **held)  # type: ignore[arg-type]

    # When API Gateway is answered for one route
    arn = "arn:aws:execute-api:eu-west-1:123456789012:abcde12345"
    answer = authorizing.allow(f"{arn}/v1/GET/runs/a/b", admitted)

    # Then it may let through any of the stage, for the functions check the rest
    (statement,) = answer["policyDocument"]["Statement"]
    assert statement == {"Action": "execute-api:Invoke", "Effect": "Allow", "Resource": f"{arn}/v1/*"}
    assert answer["principalId"] == ANN
    assert answer["context"] == {
        "sub": ANN,
        "username": "ann",
        "roles": "admin member",
        "groups": "blue green",
        "scopes": "runs:read runs:write",
        "credential": "token",
        "credential_id": "session2session3",
        "must_change_password": "false",
    }
