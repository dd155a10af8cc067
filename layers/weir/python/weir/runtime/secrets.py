"""Secrets Manager: read a secret once per environment."""

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
