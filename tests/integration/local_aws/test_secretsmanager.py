"""Secrets are made as a template asks, and rotated by their function, step by step."""

import json
import string
import time
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

ROTATES = """
import boto3
secrets = boto3.client("secretsmanager")
def handler(event, context):
    secret, token, step = event["SecretId"], event["ClientRequestToken"], event["Step"]
    versions = secrets.describe_secret(SecretId=secret)["VersionIdsToStages"]
    print(step, versions[token])
    if step == "createSecret":
        try:
            secrets.get_secret_value(SecretId=secret, VersionId=token, VersionStage="AWSPENDING")
            raise AssertionError("a version that was not made has a value")
        except secrets.exceptions.ResourceNotFoundException:
            secrets.put_secret_value(SecretId=secret, ClientRequestToken=token, SecretString="new",
                                     VersionStages=["AWSPENDING"])
    if step == "testSecret" and STOPS:
        secrets.update_secret_version_stage(SecretId=secret, VersionStage="TESTED", MoveToVersionId=token)
        raise ValueError("it does not work")
    if step == "finishSecret":
        (current,) = [version for version, stages in versions.items() if "AWSCURRENT" in stages]
        secrets.update_secret_version_stage(SecretId=secret, VersionStage="AWSCURRENT", MoveToVersionId=token,
                                            RemoveFromVersionId=current)
"""
MAY = tuple(
    f"secretsmanager:{action}"
    for action in ("DescribeSecret", "GetSecretValue", "PutSecretValue", "UpdateSecretVersionStage")
)


@pytest.fixture
def secret(client: Any, name: str) -> Iterator[str]:
    arn = client("secretsmanager").create_secret(Name=name, SecretString="old")["ARN"]
    yield arn
    client("secretsmanager").delete_secret(SecretId=arn, ForceDeleteWithoutRecovery=True)


def value(client: Any, secret: str, stage: str = "AWSCURRENT") -> str:
    return str(client("secretsmanager").get_secret_value(SecretId=secret, VersionStage=stage)["SecretString"])


def until(reached: Any) -> None:
    deadline = time.monotonic() + 30
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_rotation_takes_the_four_steps_of_its_function(client: Any, function: Any, secret: str) -> None:
    # Given a secret, and a function that may rotate it
    arn = function(ROTATES.replace("STOPS", "False"), *MAY, resource=secret)
    # When it is rotated
    client("secretsmanager").rotate_secret(SecretId=secret, RotationLambdaARN=arn)
    # Then the new value is current, and the old one is the one before
    until(lambda: value(client, secret) == "new")
    assert value(client, secret, "AWSPREVIOUS") == "old"


def test_a_rotation_that_stops_leaves_the_secret_and_is_told_of(client: Any, function: Any, secret: str) -> None:
    # Given a function that fails its test
    secrets = client("secretsmanager")
    arn = function(ROTATES.replace("STOPS", "True"), *MAY, resource=secret)
    # When it rotates
    version = secrets.rotate_secret(SecretId=secret, RotationLambdaARN=arn)["VersionId"]
    until(lambda: "TESTED" in secrets.describe_secret(SecretId=secret)["VersionIdsToStages"][version])
    time.sleep(0.5)  # in which the last step would be taken
    # Then the old value stays, and no other rotation begins
    assert value(client, secret) == "old"
    with pytest.raises(ClientError, match="previous rotation isn't complete"):
        secrets.rotate_secret(SecretId=secret)


def test_the_value_of_a_version_never_changes(client: Any, secret: str) -> None:
    # Given a version
    secrets, token = client("secretsmanager"), "6f1f9b1e-6ad5-4e0f-9d2c-1d2f3a4b5c6d"
    put = {"SecretId": secret, "ClientRequestToken": token, "VersionStages": ["MINE"]}
    secrets.put_secret_value(SecretString="one", **put)
    # When the same comes again, Then it is done; when another, Then it is refused
    secrets.put_secret_value(SecretString="one", **put)
    with pytest.raises(ClientError, match="ResourceExistsException"):
        secrets.put_secret_value(SecretString="two", **put)
    assert value(client, secret, "MINE") == "one"


def test_a_template_has_secrets_made_and_rotated(client: Any, function: Any, name: str) -> None:
    # Given a template with a generated secret and its rotation
    arn = function(ROTATES.replace("STOPS", "False"), *MAY)
    asked = {
        "SecretStringTemplate": '{"username":"u"}',
        "GenerateStringKey": "password",
        "PasswordLength": 40,
        "ExcludePunctuation": True,
        "ExcludeCharacters": "abc",
    }
    rotation = {
        "SecretId": {"Ref": "Secret"},
        "RotationLambdaARN": arn,
        "RotationRules": {"AutomaticallyAfterDays": 30},
    }
    template = {
        "Resources": {
            "Secret": {"Type": "AWS::SecretsManager::Secret", "Properties": {"GenerateSecretString": asked}},
            "Rotation": {"Type": "AWS::SecretsManager::RotationSchedule", "Properties": rotation},
        },
        "Outputs": {"Arn": {"Value": {"Fn::GetAtt": ["Secret", "Id"]}}},
    }
    cloudformation = client("cloudformation")
    cloudformation.create_stack(StackName=name, TemplateBody=json.dumps(template))
    try:
        cloudformation.get_waiter("stack_create_complete").wait(StackName=name, WaiterConfig={"Delay": 1})
        (output,) = cloudformation.describe_stacks(StackName=name)["Stacks"][0]["Outputs"]
        # When it was deployed, Then the secret was rotated at once
        until(lambda: value(client, output["OutputValue"]) == "new")
        made = json.loads(value(client, output["OutputValue"], "AWSPREVIOUS"))
        # And what was made is as the template asked
        assert made["username"] == "u"
        assert len(made["password"]) == 40
        assert set(made["password"]) <= set(string.ascii_letters + string.digits) - set("abc")
        assert client("secretsmanager").describe_secret(SecretId=output["OutputValue"])["RotationEnabled"] is True
    finally:
        cloudformation.delete_stack(StackName=name)
        cloudformation.get_waiter("stack_delete_complete").wait(StackName=name, WaiterConfig={"Delay": 1})
