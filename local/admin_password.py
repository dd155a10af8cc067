"""The first admin's user name and password of a stage: ``python -m local.admin_password STAGE``.

``local`` is the stack on the local AWS; any other is a stage on a real account, read with the credentials that the AWS
SDKs find. The secret is readable by whoever IAM allows it to, and by the function that made the admin. On a deployed
stage the password is good for one log-in: it must be changed then, and the secret keeps the old one.
"""

import json
import os
import sys
from typing import Any

from local import stack

OUTPUT = "AdminSecretArn"


class NoPassword(Exception):
    """It can't be read; the message says why."""


def read(session: Any, stack_name: str) -> dict[str, str]:
    """``username`` and ``password`` as they were made when a stack was deployed. ``session`` is boto3's."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        found = session.client("cloudformation").describe_stacks(StackName=stack_name)["Stacks"][0]
        outputs = {output["OutputKey"]: output["OutputValue"] for output in found.get("Outputs", [])}
        if OUTPUT not in outputs:
            raise NoPassword(f"The stack {stack_name} has no output {OUTPUT}: deploy it anew.")
        text = session.client("secretsmanager").get_secret_value(SecretId=outputs[OUTPUT])["SecretString"]
    except (BotoCoreError, ClientError) as error:
        raise NoPassword(f"The password of {stack_name} can't be read: {error}") from error
    credentials: dict[str, str] = json.loads(text)
    return credentials


def of_stage(stage: str) -> dict[str, str]:
    """The same of a stage, by its name."""
    if stage == "local":
        document = stack.read()
        if document is None:
            raise NoPassword("No local AWS is running: make up")
        credentials: dict[str, str] = document["admin"]
        return credentials
    import boto3

    return read(boto3.Session(region_name=os.environ.get("AWS_REGION")), f"{stack.STACK_NAME}-{stage}")


def main(stage: str) -> int:
    """Tell both on the standard output, a line each."""
    try:
        credentials = of_stage(stage)
    except NoPassword as error:
        print(error, file=sys.stderr)
        return 1
    print(f"username: {credentials['username']}\npassword: {credentials['password']}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
