"""Users in the identity table. That no two share a name or an e-mail address, and that an admin is left, are
conditions of the very transaction that would break it.

A transaction that botocore sends again after a lost answer does nothing twice, for it bears the same token:
https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html
"""

import base64
import secrets
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from weir.identity.errors import NameTaken, UserNotFound
from weir.identity.models import User
from weir.identity.shapes import SHAPES
from weir.identity.table import (
    ADMINS_KEY,
    SCHEMA,
    USERS,
    Key,
    email_key,
    gone_key,
    identity_key,
    name_key,
    user_key,
)
from weir.runtime.clock import parse_rfc3339, rfc3339
from weir.runtime.dynamodb import Item, Table, Write
from weir.runtime.errors import Conflict, PreconditionFailed

_NOBODY = "nobody"
_GONE_KEPT = timedelta(days=400)
_TIMES = ("created_at", "last_login_at")


class UserExists(Conflict):
    """There is, or was, a user of this id."""

    slug = "user-exists"


class LastAdmin(Conflict):
    """Nobody would be left who could let anybody in."""

    slug = "last-admin"


class Overtaken(Conflict):
    """A condition of another write in the same transaction did not hold; ``extra`` is its index among the extras."""

    slug = "overtaken"

    def __init__(self, extra: int) -> None:
        super().__init__("Something else that belongs to this has changed meanwhile; look again.")
        self.extra = extra


class Users:
    """The users in a table. Every method raises the WeirError of ``runtime.dynamodb`` where DynamoDB fails."""

    def __init__(self, table: Table) -> None:
        self.table = table

    def get(self, user_id: str) -> User | None:
        """The user of an id."""
        item = self.table.get(user_key(user_id))
        return user_of(item) if item is not None else None

    def by_name(self, stored_name: str) -> User | None:
        """The user of a name, in its stored form. Two reads, whether there is one or not: time tells nothing."""
        return self.get(self._named(name_key(stored_name)) or _NOBODY)

    def by_email(self, stored: str) -> User | None:
        """The user of an e-mail address, in its stored form."""
        found = self._named(email_key(stored))
        return self.get(found) if found is not None else None

    def by_identity(self, provider: str, subject: str) -> User | None:
        """The user who is ``subject`` at a provider."""
        found = self._named(identity_key(provider, subject))
        return self.get(found) if found is not None else None

    def _named(self, key: Key) -> str | None:
        """The id of the user that an item names; None where there is no item."""
        item = self.table.get(key)
        return str(SHAPES.current(item)["user_id"]) if item is not None else None

    def create(self, user: User, *extra: Write) -> None:
        """Store a new user, together with other writes.

        Raises
        ------
        NameTaken
            The name or the e-mail address is another user's.
        UserExists
            There is a user of this id.
        Overtaken
            The condition of an extra write did not hold.
        """
        new = "attribute_not_exists(pk)"
        writes = [
            Write(put=user_item(user), when=new),
            Write(put={**name_key(user.username), "schema": SCHEMA, "user_id": user.user_id}, when=new),
        ]
        if user.email is not None:
            writes.append(Write(put=_email_item(user.email, user.user_id), when=new))
        if _is_admin(user):
            writes.append(_one_admin_more())
        held = self.table.transact([*writes, *extra])
        if not held:
            return
        if not held[0]:
            raise UserExists(f"There is a user {user.user_id} already.")
        if not held[1]:
            raise NameTaken(f"There is a user {user.username!r} already.")
        if user.email is not None and not held[2]:
            raise _email_taken()
        raise Overtaken(held.index(False) - len(writes))

    def change(self, user: User, changed: User, *extra: Write) -> User:
        """Store what ``changed`` has otherwise than ``user``, as read; answers it with its new version.

        Name and id stay. ``last_login_at`` is not written: a log-in in between stays.

        Raises
        ------
        PreconditionFailed
            Another change came between.
        UserNotFound
            The user is gone.
        NameTaken
            The new e-mail address is another user's.
        LastAdmin
            Nobody else is an admin.
        Overtaken
            The condition of an extra write did not hold.
        """
        changed = replace(changed, version=user.version + 1, last_login_at=user.last_login_at)
        writes = [_update_of(user, changed), *_email_moves(user, changed), *_admin_counts(user, changed)]
        held = self.table.transact([*writes, *extra])
        if held:
            self._refused(user, changed, held, len(writes))
        return changed

    def delete(self, user: User, now: datetime, *extra: Write) -> None:
        """Delete a user, whose id no other gets in the 400 days in which the audit may name it.

        Keys and sessions are dead from then on, for there is no owner to them; ``clear`` removes what is left of them.
        PreconditionFailed, UserNotFound, LastAdmin and Overtaken as ``change`` tells.
        """
        stone = {**gone_key(user.user_id), "schema": SCHEMA, "ttl": int((now + _GONE_KEPT).timestamp())}
        gone = replace(user, email=None, roles=())
        writes = [
            Write(
                key=user_key(user.user_id),
                when="attribute_exists(pk) AND version = :version",
                values={"version": user.version},
            ),
            *_email_moves(user, gone),
            *_admin_counts(user, gone),
            _release(name_key(user.username), user.user_id),
            Write(put=stone),
        ]
        held = self.table.transact([*writes, *extra])
        if held:
            self._refused(user, gone, held, len(writes))

    def _refused(self, user: User, changed: User, held: tuple[bool, ...], own: int) -> None:
        """Raise why a change was not made, from which conditions held."""
        if not held[0]:
            if self.get(user.user_id) is None:
                raise UserNotFound(f"There is no user {user.user_id} any more.")
            raise PreconditionFailed("Somebody else has changed this user meanwhile; read it again.")
        moves, counts = _email_moves(user, changed), _admin_counts(user, changed)
        if not all(held[1 : 1 + len(moves)]):
            raise _email_taken()
        if not all(held[1 + len(moves) : 1 + len(moves) + len(counts)]):
            raise LastAdmin("This is the last admin who can log in; make another one first.")
        raise Overtaken(held.index(False) - own)

    def identity(self, user_id: str, provider: str, subject: str, now: datetime) -> Write:
        """The write that makes a user ``subject`` at a provider, for a transaction of ``create`` or ``change``.

        NameTaken where the subject is a user's already; the write holds only while it is not.
        """
        found = self._named(identity_key(provider, subject))
        if found is not None and self.get(found) is not None:
            raise NameTaken("This account of the provider is a user's already.")
        item = {
            **identity_key(provider, subject),
            "schema": SCHEMA,
            "list": f"IDENTITIES#{user_id}",
            "at": f"{provider}#{subject}",
            "user_id": user_id,
            "provider": provider,
            "subject": subject,
            "created_at": rfc3339(now),
        }
        if found is None:
            return Write(put=item, when="attribute_not_exists(pk)")
        # A user who is gone may have left it, where the link came as they were deleted.
        return Write(put=item, when="user_id = :gone", values={"gone": found})

    def clear(self, user_id: str) -> None:
        """Remove what a deleted user has left: keys, sessions, links to providers. May be called again."""
        left = [
            item for item in self.table.all("pk = :pk", {"pk": f"USER#{user_id}"}) if item["sk"] not in {"USER", "GONE"}
        ]
        named = {"list": "list"}
        linked = self.table.all("#list = :list", {"list": f"IDENTITIES#{user_id}"}, index="listing", names=named)
        for item in [*left, *linked]:
            self.table.delete({"pk": item["pk"], "sk": item["sk"]})

    def page(
        self, limit: int, after: Mapping[str, Any] | None = None, prefix: str = ""
    ) -> tuple[list[User], Item | None]:
        """Users by name, those whose name begins with ``prefix`` (stored form), and where to go on; None at the end.

        What was changed within the last second may be told as it was.
        """
        where, values = "#list = :list", {"list": USERS}
        names = {"list": "list"}
        if prefix:
            where, values, names = f"{where} AND begins_with(#at, :at)", {**values, "at": prefix}, {**names, "at": "at"}
        items, position = self.table.page(where, values, limit=limit, after=after, index="listing", names=names)
        return [user_of(item) for item in items], position


def new_user_id() -> str:
    """A user id: 80 random bits as 16 characters of a-z and 2-7."""
    return user_id_of(secrets.token_bytes(10))


def user_id_of(raw: bytes) -> str:
    """The user id that 10 bytes come to."""
    return base64.b32encode(raw).decode().lower()


def user_item(user: User) -> Item:
    """The item of a user; what is None is left out."""
    item: Item = {
        **user_key(user.user_id),
        "schema": SCHEMA,
        "list": USERS,
        "at": user.username,
        **{name: _stored(getattr(user, name)) for name in User.__dataclass_fields__},
    }
    return {name: value for name, value in item.items() if value is not None}


def user_of(item: Mapping[str, Any]) -> User:
    """A user from an item, of any schema that this version knows. Fields that it does not know are left out."""
    current = SHAPES.current(item)
    fields = {name: current[name] for name in User.__dataclass_fields__ if name in current}
    fields |= {name: parse_rfc3339(fields[name]) for name in _TIMES if name in fields}
    fields |= {name: tuple(fields[name]) for name in ("roles", "groups") if name in fields}
    return User(**fields)


def _stored(value: Any) -> Any:
    match value:
        case datetime():
            return rfc3339(value)
        case tuple():
            return list(value)
        case _:
            return value


def _is_admin(user: User) -> bool:
    return "admin" in user.roles and not user.disabled


def _update_of(user: User, changed: User) -> Write:
    """The write of a user, on condition that nobody has changed them since they were read.

    All fields, so that the item is in the newest shape afterwards; but for the last log-in, which is no change.
    """
    kept = {"pk", "sk", "last_login_at"}
    sets = {name: value for name, value in user_item(changed).items() if name not in kept}
    removes = [name for name in User.__dataclass_fields__ if name not in sets and name not in kept]
    changes = "SET " + ", ".join(f"#{name} = :{name}" for name in sets)
    if removes:
        changes += " REMOVE " + ", ".join(f"#{name}" for name in removes)
    return Write(
        key=user_key(user.user_id),
        changes=changes,
        when="attribute_exists(pk) AND #version = :read",
        values={**sets, "read": user.version},
        names={name: name for name in [*sets, *removes]},
    )


def _email_item(email: str, user_id: str) -> Item:
    return {**email_key(email), "schema": SCHEMA, "user_id": user_id}


def _email_taken() -> NameTaken:
    return NameTaken("Another user has this e-mail address.")


def _email_moves(user: User, changed: User) -> list[Write]:
    if user.email == changed.email:
        return []
    moves = []
    if changed.email is not None:
        moves.append(Write(put=_email_item(changed.email, user.user_id), when="attribute_not_exists(pk)"))
    if user.email is not None:
        moves.append(_release(email_key(user.email), user.user_id))
    return moves


def _release(key: Mapping[str, str], user_id: str) -> Write:
    """Give a name or address free, unless it has become somebody else's."""
    return Write(key=key, when="attribute_not_exists(pk) OR user_id = :me", values={"me": user_id})


def _one_admin_more() -> Write:
    return Write(
        key=ADMINS_KEY,
        changes="SET #schema = :schema ADD admins :one",
        values={"schema": SCHEMA, "one": 1},
        names={"schema": "schema"},
    )


def _admin_counts(user: User, changed: User) -> list[Write]:
    """How the number of admins changes, who can log in; it never comes to none."""
    if _is_admin(user) == _is_admin(changed):
        return []
    if _is_admin(changed):
        return [_one_admin_more()]
    return [
        Write(key=ADMINS_KEY, changes="ADD admins :less", when="admins > :one", values={"less": -1, "one": 1}),
    ]
