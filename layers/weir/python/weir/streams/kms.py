"""Adapter to KMS: is this a key that Kinesis can encrypt with? Asked before anything is created."""

from typing import Any

from weir.runtime import aws
from weir.runtime.errors import FieldError
from weir.streams.errors import KeyUnusable
from weir.streams.models import DEFAULT_KEY

FIELD = "encryption.key_id"


def check_key(client: Any, key_id: str) -> None:
    """KeyUnusable, naming the field, unless the key exists, is enabled and encrypts symmetrically.

    The key that AWS manages for Kinesis needs no check: AWS makes it on first use. Rules:
    https://docs.aws.amazon.com/streams/latest/dev/creating-using-sse-master-keys.html
    """
    if key_id == DEFAULT_KEY:
        return
    try:
        key = client.describe_key(KeyId=key_id)["KeyMetadata"]
    except Exception as error:
        if not aws.is_aws_error(error):
            raise
        code = aws.error_code(error)
        if code in {"NotFoundException", "InvalidArnException", "ValidationException"}:
            raise _unusable(f"KMS knows no key {key_id!r} in this account and region") from error
        if aws.kind(error) == "denied":
            raise _unusable(f"Weir may not use the key {key_id!r}; its key policy must allow it") from error
        raise aws.translate(error, "looking at the KMS key") from error
    if key["KeyState"] != "Enabled":
        raise _unusable(f"the key {key_id!r} is {key['KeyState']}, not Enabled")
    if key.get("KeySpec", "SYMMETRIC_DEFAULT") != "SYMMETRIC_DEFAULT":
        raise _unusable(f"the key {key_id!r} is not a symmetric encryption key")


def _unusable(why: str) -> KeyUnusable:
    return KeyUnusable(f"The KMS key can't be used: {why}.", errors=[FieldError(FIELD, why)])
