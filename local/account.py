"""The integration tests against a stage deployed to a real account: ``python -m local.account STAGE``.

Credentials come from where the AWS SDKs find them (AWS_PROFILE, AWS_REGION, SSO, the environment) and are checked
before anything else. It says which account and region it will use and what that will cost, and asks; only "yes" goes
on. Every stream that the tests make is provisioned, short-lived and tagged with its expiry, every user is deleted.

The tests log in as an admin of the stage, whose name and password are asked for, or come from ``WEIR_ADMIN_USERNAME``
and ``WEIR_ADMIN_PASSWORD``.
"""

import getpass
import json
import os
import subprocess
import sys
from decimal import Decimal
from typing import Any

from local import places, stack

STACK_FILE = places.STATE / "aws-stack.json"

# An upper bound: streams of the suite, shards each, hours billed each (a started hour counts), and what they carry.
# Prices of us-east-1, 2026: https://aws.amazon.com/kinesis/data-streams/pricing/
STREAMS, SHARDS, HOURS = 40, 3, 1
SHARD_HOUR_USD = Decimal("0.015")
EVERYTHING_ELSE_USD = Decimal("0.20")  # PUT payload units, Lambda, Step Functions, DynamoDB, S3, CloudWatch: below that


def cost_usd() -> Decimal:
    """What one pass of the suite costs at most."""
    return STREAMS * SHARDS * HOURS * SHARD_HOUR_USD + EVERYTHING_ELSE_USD


def question(identity: dict[str, str], region: str, stack_name: str) -> str:
    """What the person is asked."""
    return (
        f"Account {identity['Account']} as {identity['Arn']}, region {region}, stack {stack_name}.\n"
        f"The tests make about {STREAMS} streams of up to {SHARDS} shards and delete them:"
        f" at most about ${cost_usd()}.\nGo on? Type yes: "
    )


def main(stage: str) -> int:
    """Ask, then run the tests; the status is theirs, or 1 where nothing was run."""
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError

    session = boto3.Session(region_name=os.environ.get("AWS_REGION"))  # boto3 reads AWS_DEFAULT_REGION alone
    region = session.region_name
    if not region:
        return _refuse("No region: set AWS_REGION, or a region in the profile.")
    try:
        identity = session.client("sts").get_caller_identity()
        stack_name = f"{stack.STACK_NAME}-{stage}"
        found = session.client("cloudformation").describe_stacks(StackName=stack_name)["Stacks"][0]
    except (BotoCoreError, ClientError) as error:
        return _refuse(f"These credentials can't be used: {error}")
    print(question({"Account": identity["Account"], "Arn": identity["Arn"]}, region, stack_name), end="", flush=True)
    if sys.stdin.readline().strip() != "yes":
        return _refuse("Nothing was done.")
    outputs = {output["OutputKey"]: output["OutputValue"] for output in found.get("Outputs", [])}
    return _run(describe(outputs, region, stack_name, _admin()))


def _admin() -> dict[str, str]:
    username = os.environ.get("WEIR_ADMIN_USERNAME") or "admin"
    password = os.environ.get("WEIR_ADMIN_PASSWORD") or getpass.getpass(f"Password of {username} on that stage: ")
    return {"username": username, "password": password}


def describe(outputs: dict[str, str], region: str, stack_name: str, admin: dict[str, str]) -> dict[str, Any]:
    """The document that the tests read, as ``.local/stack.json`` has it; no endpoint means AWS itself."""
    return {
        "api_url": outputs["ApiUrl"],
        "gateway_url": outputs["ApiUrl"],
        "gateway_tls_url": outputs["ApiUrl"],
        "gateway_ca": None,
        "aws_endpoint_url": None,
        "region": region,
        "stack_name": stack_name,
        "admin": admin,
        "outputs": outputs,
    }


def _run(document: dict[str, Any]) -> int:
    places.STATE.mkdir(exist_ok=True)
    stack.write_private(STACK_FILE, json.dumps(document, indent=2) + "\n")
    command = [sys.executable, "-m", "pytest", "-q", "-m", "not local_only", "tests/integration"]
    environment = {**os.environ, places.STACK_FILE_VARIABLE: str(STACK_FILE)}
    try:
        return subprocess.run(command, cwd=places.REPOSITORY, env=environment, check=False).returncode
    finally:
        STACK_FILE.unlink()


def _refuse(why: str) -> int:
    print(why, file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
