"""CloudFormation: the custom resource that makes the first admin. It is always answered, or the stack waits an hour."""

from typing import Any

from weir.identity import custom_resource
from weir.identity.first_admin import FirstAdmin, make_first_admin
from weir.identity.passwords import hashed
from weir.identity.table import table
from weir.identity.user_store import Users
from weir.runtime.clock import SYSTEM
from weir.runtime.errors import WeirError
from weir.runtime.observability import logger, traced
from weir.runtime.secrets import secret
from weir.runtime.settings import settings

PHYSICAL_ID = "first-admin"


def _handle(event: dict[str, Any], _: Any) -> None:
    try:
        answer = custom_resource.succeeded(event, PHYSICAL_ID, _told(_make(event)))
    except Exception as error:
        logger().exception("the first admin was not made")
        reason = error.detail if isinstance(error, WeirError) else f"{type(error).__name__}: see the function's log"
        answer = custom_resource.failed(event, PHYSICAL_ID, reason)
    custom_resource.respond(event, answer, SYSTEM)


def _make(event: dict[str, Any]) -> FirstAdmin:
    if event["RequestType"] == "Delete":  # the user goes with the table, or stays with it
        return FirstAdmin(made=False)
    conf = settings(needs=("identity_table", "admin_secret_arn"))
    return make_first_admin(
        Users(table()),
        lambda: secret(conf.admin_secret_arn),
        hashed,
        SYSTEM.now(),
        must_change_password=event["ResourceProperties"]["MustChangePassword"] != "false",
    )


def _told(outcome: FirstAdmin) -> dict[str, str]:
    return {"Made": "true" if outcome.made else "false"}


handler = traced(_handle)
