"""The first admin: made once in the life of a stack, with the password that was generated into Secrets Manager.

An item ADMIN tells that it was done, and is written in the same transaction: whatever becomes of that admin later,
renamed, disabled or deleted, no update of the stack brings that password back.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from weir.identity import audit, names
from weir.identity.models import User
from weir.identity.table import ADMIN_KEY, SCHEMA
from weir.identity.user_store import Overtaken, Users, new_user_id
from weir.runtime.clock import rfc3339
from weir.runtime.dynamodb import Write
from weir.runtime.errors import Invalid

LEAST_PASSWORD = 12


@dataclass(frozen=True, slots=True)
class FirstAdmin:
    """Whether the first admin was made by this call. The name is the secret's, None where it was done before."""

    made: bool
    username: str | None = None


def make_first_admin(
    users: Users,
    read_secret: Callable[[], str],
    hashed: Callable[[str], str],
    now: datetime,
    *,
    must_change_password: bool,
) -> FirstAdmin:
    """Make the first admin, unless that was done before.

    Parameters
    ----------
    read_secret
        Answers the secret's text, ``{"username": ..., "password": ...}``.
    hashed
        The password's hash, as log-in verifies it.

    Raises
    ------
    Invalid
        The secret is not of that form.
    NameTaken
        A user of the name is there, and was not made by this: nobody is made an admin by accident.
    """
    if users.table.get(ADMIN_KEY) is not None:
        return FirstAdmin(made=False)
    username, password = _credentials(read_secret())
    user = User(
        user_id=new_user_id(),
        username=username,
        created_at=now,
        roles=("admin",),
        must_change_password=must_change_password,
        password_hash=hashed(password),
    )
    marker = Write(
        put={**ADMIN_KEY, "schema": SCHEMA, "user_id": user.user_id, "created_at": rfc3339(now)},
        when="attribute_not_exists(pk)",
    )
    told = audit.entry("user.created", "system", user.user_id, None, now, {"username": username, "roles": "admin"})
    try:
        users.create(user, marker, told)
    except Overtaken:  # CloudFormation's event may come twice
        return FirstAdmin(made=False)
    return FirstAdmin(made=True, username=username)


def _credentials(text: str) -> tuple[str, str]:
    try:
        document = json.loads(text)
        username, password = names.username(document["username"]), document["password"]
    except (ValueError, KeyError, TypeError) as error:
        raise _not_usable() from error
    if username is None or not isinstance(password, str) or len(password) < LEAST_PASSWORD:
        raise _not_usable()
    return username, password


def _not_usable() -> Invalid:
    told = f'{{"username": ..., "password": ...}} with a password of {LEAST_PASSWORD} characters or more'
    return Invalid(f"The admin's secret is not of the form {told}.")
