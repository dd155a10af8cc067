"""What admins do with users: make, change, disable, delete, let in again.

Each change is one transaction with its audit entry and, where it takes rights away, with the revocation that ends the
access tokens that still tell of them. No admin can take their own rights away, and the last one stays.
"""

import hashlib
import secrets
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from functools import partial

from weir.identity import audit, passwords, revocations
from weir.identity.contract_users import NewUser, UserPatch
from weir.identity.errors import UserNotFound
from weir.identity.key_store import Keys
from weir.identity.models import ApiKey, User
from weir.identity.roles import scopes_of
from weir.identity.table import gone_key
from weir.identity.user_store import Overtaken, UserExists, Users, new_user_id, user_id_of
from weir.runtime.audit import Asker
from weir.runtime.clock import Clock
from weir.runtime.dynamodb import Write, again
from weir.runtime.errors import BadRequest, FieldError, Forbidden, Invalid, PreconditionFailed, Unavailable
from weir.runtime.http import Principal

MOST_KEY_LENGTH = 256
_TRIES = 4
_ALPHABET = "abcdefghjkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"
"""Without what one mistakes for another when typing it in."""

_GENERATED_LENGTH = 22


def generated_password() -> str:
    """A password of 126 random bits that can be read out and typed in."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(_GENERATED_LENGTH))


def found(user_id: str, users: Users) -> User:
    """The user of an id. UserNotFound where there is none."""
    user = users.get(user_id)
    if user is None:
        raise UserNotFound(f"There is no user {user_id}.")
    return user


def create_user(asked: NewUser, asker: Asker, users: Users, clock: Clock, key: str | None = None) -> tuple[User, str]:
    """Make a user; answers it with its password, which must be changed at first use and is told nowhere else.

    With an idempotency ``key`` the user's id follows from caller and key, so that a second request makes no second
    user. It is not answered like the first, because the password is not kept.

    Raises
    ------
    Invalid
        The password is none to take.
    NameTaken
        The name or the e-mail address is another user's.
    UserExists
        The key has made a user before; ``user_id`` tells which.
    Forbidden
        The caller comes with a key, or is an admin no more.
    """
    _check_asker(asker, users)
    user_id = new_user_id() if key is None else _keyed_id(asker.principal, key)
    if key is not None and users.get(user_id) is not None:
        raise _made_before(user_id)
    if asked.password is not None and (wrong := passwords.problem(asked.password, asked.username)):
        raise Invalid(f"password: {wrong}", errors=[FieldError("password", wrong)])
    password = asked.password if asked.password is not None else generated_password()
    now = clock.now()
    user = User(
        user_id=user_id,
        username=asked.username,
        created_at=now.replace(microsecond=now.microsecond // 1000 * 1000),  # as it is read back
        email=asked.email,
        roles=asked.roles,
        groups=asked.groups,
        must_change_password=True,
        password_hash=passwords.hashed(password),
    )
    detail = {"username": user.username, "roles": " ".join(user.roles), "groups": " ".join(user.groups)}
    told = audit.entry("user.created", asker.principal, user_id, asker.origin, now, detail)
    never_gone = Write(key=gone_key(user_id), when="attribute_not_exists(pk)")
    try:
        users.create(user, told, *([] if key is None else [never_gone]))
    except (UserExists, Overtaken) as error:
        raise _made_before(user_id) from error
    return user, password


def _keyed_id(caller: Principal, key: str) -> str:
    if not key or len(key) > MOST_KEY_LENGTH or not key.isprintable():
        raise BadRequest(f"Idempotency-Key must be 1 to {MOST_KEY_LENGTH} printable characters.")
    return user_id_of(hashlib.blake2b(f"{caller.sub}\n{key}".encode(), digest_size=10).digest())


def _made_before(user_id: str) -> UserExists:
    told = "Its password was shown once; PATCH it with reset_password for a new one."
    return UserExists(f"This Idempotency-Key has made the user {user_id} before. {told}", user_id=user_id)


def change_user(
    user_id: str, patch: UserPatch, if_match: str | None, asker: Asker, users: Users, clock: Clock
) -> tuple[User, str | None]:
    """Change what a patch names; answers the user, and the new password where one was asked for.

    Tokens with the old roles and groups die, and with a disabled user or a reset password the sessions too. Keys are
    revoked last, so that no session which ends here makes another; where that breaks off, ask again.

    Raises
    ------
    UserNotFound
    PreconditionFailed
        The user is not in the version that ``if_match`` names.
    NameTaken
        The e-mail address is another user's.
    LastAdmin
        No admin would be left.
    Forbidden
        Of oneself: an admin's role, disabling, a new password. Or the caller comes with a key,
        or is an admin no more.
    """
    _check_asker(asker, users)
    changed, password = _changed(user_id, patch, if_match, asker, users, clock)
    if patch.revoke_keys:
        _revoke_keys(user_id, asker, Keys(users.table, clock), clock.now())
    return changed, password


def _changed(
    user_id: str, patch: UserPatch, if_match: str | None, asker: Asker, users: Users, clock: Clock
) -> tuple[User, str | None]:
    password = generated_password() if patch.reset_password else None
    password_hash = passwords.hashed(password) if password is not None else None
    for _ in range(_TRIES):
        user = found(user_id, users)
        check_match(if_match, user)
        now = clock.now()
        changed = _patched(user, patch, password_hash, now)
        _check_oneself(user, changed, asker.principal)
        if changed == user:
            return user, None
        try:
            return again(partial(users.change, user, changed, *_effects(user, changed, asker, now)), clock), password
        except PreconditionFailed:
            if if_match is not None:
                raise
    raise Unavailable("Others are changing this user all the time; try again.", retry_after=1)


def _revoke_keys(user_id: str, asker: Asker, keys: Keys, now: datetime) -> None:
    def told(key: ApiKey) -> Write:
        detail = {"name": key.name, "owner": user_id}
        return audit.entry("api-key.revoked", asker.principal, key.key_id, asker.origin, now, detail)

    keys.revoke_all(user_id, now, told)


def _patched(user: User, patch: UserPatch, password_hash: str | None, now: datetime) -> User:
    named = {name: getattr(patch, name) for name in patch.model_fields_set - {"reset_password", "revoke_keys"}}
    changed = replace(user, **named)
    if password_hash is not None:
        changed = replace(changed, password_hash=password_hash, must_change_password=True)
    all_ends = password_hash is not None or (changed.disabled and not user.disabled)
    if all_ends or (changed.roles, changed.groups) != (user.roles, user.groups):
        changed = replace(changed, tokens_from=revocations.from_now(user.tokens_from, now))
    if all_ends:
        changed = replace(changed, sessions_from=revocations.from_now(user.sessions_from, now))
    return changed


def _effects(user: User, changed: User, asker: Asker, now: datetime) -> Iterator[Write]:
    """What is written beside a change: how the audit tells of it, and the end of the tokens from before."""
    for what, detail in _told(user, changed):
        yield audit.entry(what, asker.principal, user.user_id, asker.origin, now, detail)
    if changed.tokens_from != user.tokens_from:
        yield revocations.user_write(user.user_id, changed.tokens_from, now)


def _told(user: User, changed: User) -> Iterator[tuple[str, dict[str, str]]]:
    if changed.roles != user.roles:
        yield "user.roles-changed", {"from": " ".join(user.roles), "to": " ".join(changed.roles)}
    if changed.groups != user.groups:
        yield "user.groups-changed", {"from": " ".join(user.groups), "to": " ".join(changed.groups)}
    if changed.disabled != user.disabled:
        yield "user.disabled" if changed.disabled else "user.enabled", {}
    if changed.password_hash != user.password_hash:
        yield "user.password-reset", {}
    if changed.email != user.email:
        yield "user.changed", {"fields": "email"}


def delete_user(user_id: str, if_match: str | None, asker: Asker, users: Users, clock: Clock) -> None:
    """Delete a user with keys and sessions; the audit stays. Tokens from before die by the revocation.

    Asked for again where it broke off, it removes what was left, and answers that the user is gone.

    Raises
    ------
    UserNotFound
    PreconditionFailed
        The user is not in the version that ``if_match`` names.
    LastAdmin
        No admin would be left.
    Forbidden
        It is oneself; or the caller comes with a key, or is an admin no more.
    """
    _check_asker(asker, users)
    if user_id == asker.principal.sub:
        raise Forbidden("You can't delete yourself; another admin can.")
    for _ in range(_TRIES):
        user = users.get(user_id)
        if user is None:
            users.clear(user_id)
            raise UserNotFound(f"There is no user {user_id}.")
        check_match(if_match, user)
        now = clock.now()
        told = audit.entry("user.deleted", asker.principal, user_id, asker.origin, now, {"username": user.username})
        dead = revocations.user_write(user_id, revocations.from_now(user.tokens_from, now), now)
        try:
            again(partial(users.delete, user, now, told, dead), clock)
        except PreconditionFailed:
            if if_match is not None:
                raise
            continue
        users.clear(user_id)
        return
    raise Unavailable("Others are changing this user all the time; try again.", retry_after=1)


def etag(user: User) -> str:
    """The version of a user as an entity tag (RFC 9110, 8.8.3)."""
    return f'"{user.version}"'


def check_match(if_match: str | None, user: User) -> None:
    """PreconditionFailed unless ``If-Match`` names the user's version, is ``*``, or was not sent (RFC 9110, 13.1.1)."""
    if if_match is None or if_match.strip() == "*":
        return
    if etag(user) not in [tag.strip() for tag in if_match.split(",")]:
        raise PreconditionFailed(f"The user is in version {etag(user)} now; read it again.")


def _check_asker(asker: Asker, users: Users) -> None:
    """Forbidden for API keys, and for who may not do it any more: a token tells what was so up to 60 s ago.

    Elsewhere that is soon enough. Here it would let an admin who was just removed make another one.
    """
    if asker.principal.credential != "token":
        raise Forbidden("No API key may change users: log in.")
    caller = users.get(asker.principal.sub)
    if caller is None or caller.disabled or "users:write" not in scopes_of(caller.roles):
        raise Forbidden("You may not change users any more.")


def _check_oneself(user: User, changed: User, caller: Principal) -> None:
    if user.user_id != caller.sub:
        return
    if "admin" in user.roles and "admin" not in changed.roles:
        raise Forbidden("You can't take the role admin from yourself; another admin can.")
    if changed.disabled:
        raise Forbidden("You can't disable yourself; another admin can.")
    if changed.password_hash != user.password_hash:
        raise Forbidden("Change your own password with POST /auth/password.")
