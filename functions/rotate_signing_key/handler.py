"""Secrets Manager: a step of the rotation of the signing secret."""

from typing import Any

from weir.identity import audit
from weir.identity.rotation import rotate
from weir.identity.secretsmanager import Versions
from weir.identity.table import table
from weir.runtime import aws
from weir.runtime.clock import SYSTEM
from weir.runtime.observability import logger, traced
from weir.runtime.settings import settings

settings(needs=("identity_table", "signing_secret_arn"))


def _handle(event: dict[str, Any], _: Any) -> None:
    versions = Versions(aws.client("secretsmanager"), settings().signing_secret_arn)
    told = rotate(event, versions, _audit)
    logger().info("rotation", extra={"step": event["Step"], "version": event["ClientRequestToken"], "outcome": told})


def _audit(version: str) -> None:
    audit.record(table(), "signing-key.rotated", "system", version, None, SYSTEM.now())


handler = traced(_handle)
