"""Secrets Manager: the versions of one secret, as a rotation works on them.

https://docs.aws.amazon.com/secretsmanager/latest/userguide/rotate-secrets_lambda-functions.html
"""

from typing import Any

from weir.runtime import aws

CURRENT, PENDING = "AWSCURRENT", "AWSPENDING"


class Versions:
    """The versions of the secret ``arn``, over botocore's client. WeirErrors where Secrets Manager refuses or fails."""

    def __init__(self, client: Any, arn: str) -> None:
        self._client, self.arn = client, arn

    def stages(self) -> dict[str, frozenset[str]]:
        """The stages of each version, by its id; a pending version is told of before it has a value."""
        answer = self._call("describe_secret", "looking at a secret's versions")
        return {version: frozenset(stages) for version, stages in answer.get("VersionIdsToStages", {}).items()}

    def value(self, stage: str, version: str | None = None) -> str | None:
        """The text of the version in a stage, of ``version`` alone where that is given; None where there is none."""
        named = {} if version is None else {"VersionId": version}
        try:
            answer = self._client.get_secret_value(SecretId=self.arn, VersionStage=stage, **named)
        except Exception as error:
            if aws.kind(error) == "missing":
                return None
            raise _translated(error, "reading a secret's version") from error
        return str(answer["SecretString"])

    def put_pending(self, version: str, text: str) -> None:
        """Give the pending version its text. One that was given before stays: a version's text never changes."""
        try:
            self._client.put_secret_value(
                SecretId=self.arn, ClientRequestToken=version, SecretString=text, VersionStages=[PENDING]
            )
        except Exception as error:
            if aws.error_code(error) != "ResourceExistsException":
                raise _translated(error, "writing a secret's version") from error

    def make_current(self, version: str, instead_of: str) -> None:
        """Move the stage AWSCURRENT; the version that had it becomes AWSPREVIOUS by that."""
        moved = {"MoveToVersionId": version, "RemoveFromVersionId": instead_of}
        self._call("update_secret_version_stage", "making a secret's version current", VersionStage=CURRENT, **moved)

    def _call(self, operation: str, doing: str, **parameters: Any) -> Any:
        try:
            return getattr(self._client, operation)(SecretId=self.arn, **parameters)
        except Exception as error:
            raise _translated(error, doing) from error


def _translated(error: Exception, doing: str) -> Exception:
    return aws.translate(error, doing) if aws.is_aws_error(error) else error
