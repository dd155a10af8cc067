from decimal import Decimal
from pathlib import Path

import pytest

from local import account, stack
from local.server import Server

SERVER = Server(1, 4566, "v")
ADMIN = {"username": "admin", "password": "a password of the tests"}
API_URL = "https://1752d8a3.execute-api.us-east-1.amazonaws.com/v1"


def test_an_api_answers_at_the_emulators_address() -> None:
    # Given the output of a stack
    # When it is told as a local address
    # Then API and stage stand in the path
    assert stack.local_url(API_URL, SERVER) == "http://127.0.0.1:4566/_aws/execute-api/1752d8a3/v1"


def test_an_output_that_is_no_api_is_told() -> None:
    # Given another address, When it is told as a local address, Then that is refused
    with pytest.raises(stack.DeployError):
        stack.local_url("https://example.com/v1", SERVER)


def test_the_stack_file_tells_where_everything_is(tmp_path: Path) -> None:
    # Given a deployed stack
    told = stack.describe(SERVER, {"ApiUrl": API_URL}, "abc", ADMIN)
    # When a reader looks
    # Then it finds the addresses, and how to log in
    assert told["aws_endpoint_url"] == "http://127.0.0.1:4566"
    assert told["region"] == "us-east-1"
    assert told["stack_name"] == "weir"
    assert told["admin"] == ADMIN
    assert stack.read(tmp_path / "none.json") is None


def test_a_file_with_a_password_is_its_owners_alone(tmp_path: Path) -> None:
    # Given a file that others can read, and a draft that was left over
    file = tmp_path / "stack.json"
    file.write_text("old")
    file.with_suffix(".draft").write_text("left over")
    file.with_suffix(".draft").chmod(0o644)
    # When it is written anew
    stack.write_private(file, "new")
    # Then it holds that, and only its owner can read it
    assert file.read_text() == "new"
    assert file.stat().st_mode & 0o777 == 0o600
    assert [found.name for found in tmp_path.iterdir()] == ["stack.json"]


def test_a_real_account_is_named_and_priced_before_anything_is_done() -> None:
    # Given who is calling
    identity = {"Account": "210987654321", "Arn": "arn:aws:iam::210987654321:user/ann"}
    # When the person is asked
    text = account.question(identity, "eu-west-1", "weir-dev")
    # Then account, caller, region, stack and cost are all in the question
    for part in ("210987654321", "user/ann", "eu-west-1", "weir-dev", f"${account.cost_usd()}"):
        assert part in text
    assert account.cost_usd() == Decimal("2.000")


def test_a_real_stack_is_described_without_an_endpoint() -> None:
    # Given the outputs of a stack on AWS, When they are told to the tests, Then AWS itself is the endpoint
    told = account.describe({"ApiUrl": API_URL}, "us-east-1", "weir-dev", ADMIN)
    assert told["api_url"] == API_URL
    assert told["aws_endpoint_url"] is None
    assert told["admin"] == ADMIN
