"""Secrets Manager: read a secret once per environment, or a version of it each time."""

from functools import lru_cache

from weir.runtime import aws


@lru_cache(maxsize=8)
def secret(arn: str) -> str:
    """The secret's current text. WeirError where Secrets Manager refuses or fails; a failure is not cached."""
    try:
        answer = aws.client("secretsmanager").get_secret_value(SecretId=arn)
    except Exception as error:
        if not aws.is_aws_error(error):
            raise
        raise aws.translate(error, "reading a secret of the stack") from error
    return str(answer["SecretString"])


def version(arn: str, stage: str) -> str | None:
    """The secret's text in a stage such as ``AWSPREVIOUS``, None where no version is in it. Asked for anew each time.

    WeirError where Secrets Manager refuses or fails.
    """
    try:
        answer = aws.client("secretsmanager").get_secret_value(SecretId=arn, VersionStage=stage)
    except Exception as error:
        if not aws.is_aws_error(error):
            raise
        if aws.kind(error) == "missing":
            return None
        raise aws.translate(error, "reading a secret of the stack") from error
    return str(answer["SecretString"])
