import json
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from local import admin_password, places

TOPIC = {"Topic": {"Type": "AWS::SNS::Topic"}}


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> Any:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    with mock_aws():
        yield boto3.Session(region_name="eu-west-1")


def test_the_password_of_a_stage_is_read_from_its_secret(session: Any, capsys: pytest.CaptureFixture[str]) -> None:
    # Given a deployed stage, whose output tells where the secret is
    text = json.dumps({"username": "admin", "password": "made when deployed"})
    arn = session.client("secretsmanager").create_secret(Name="admin", SecretString=text)["ARN"]
    template = {"Resources": TOPIC, "Outputs": {"AdminSecretArn": {"Value": arn}}}
    session.client("cloudformation").create_stack(StackName="weir-dev", TemplateBody=json.dumps(template))
    # When its admin is asked for, Then name and password are told
    assert admin_password.main("dev") == 0
    assert capsys.readouterr().out == "username: admin\npassword: made when deployed\n"


def test_a_stage_without_one_is_told(session: Any, capsys: pytest.CaptureFixture[str]) -> None:
    # Given a stage from before there were users
    session.client("cloudformation").create_stack(StackName="weir-dev", TemplateBody=json.dumps({"Resources": TOPIC}))
    # When its admin is asked for, or that of a stage that is not there
    for stage, why in (("dev", "deploy it anew"), ("prod", "can't be read")):
        # Then the answer says so, and where nothing went right nothing is told
        assert admin_password.main(stage) == 1
        told = capsys.readouterr()
        assert told.out == ""
        assert why in told.err


def test_the_local_password_is_that_of_the_stack_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # Given no local AWS, and then one
    file = tmp_path / "stack.json"
    monkeypatch.setenv(places.STACK_FILE_VARIABLE, str(file))
    assert admin_password.main("local") == 1
    assert "make up" in capsys.readouterr().err
    file.write_text(json.dumps({"admin": {"username": "admin", "password": "made by make up"}}))
    # When its admin is asked for, Then they are told
    assert admin_password.main("local") == 0
    assert "made by make up" in capsys.readouterr().out
