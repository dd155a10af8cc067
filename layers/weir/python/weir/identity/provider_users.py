"""Which user somebody is who logged in at a provider.

The subject at the provider decides, once it is linked. Before, a verified e-mail address finds the user who has it: an
admin gave it to them, or another provider has verified it. That nobody can register with another's address, and wait
for them to log in, rests on registration taking none. Where nobody is found, one is made as a member if the stack lets
people register.
"""

import random
import re
import secrets
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from weir.identity import audit, names, revocations
from weir.identity.errors import NameTaken, UserNotFound
from weir.identity.models import User
from weir.identity.oauth_errors import NotAUser
from weir.identity.oidc import Account
from weir.identity.user_store import Overtaken, new_user_id
from weir.identity.wiring import Deps
from weir.runtime.dynamodb import Contended, Write
from weir.runtime.errors import PreconditionFailed, Unavailable
from weir.runtime.http import Origin

_TRIES = 4
_UNFIT = re.compile(r"[^a-z0-9._-]+")


def user_of(provider: str, account: Account, origin: Origin, deps: Deps) -> User:
    """The user of an account, linked or made where need be.

    Raises
    ------
    NotAUser
        There is none, or they are disabled.
    Unavailable
        Others change the same user all the time.
    """
    email = names.email(account.email) if account.email is not None else None
    for turn in range(_TRIES):
        try:
            user = deps.users.by_identity(provider, account.subject)
            if user is not None:
                return _let_in(_enabled(user), provider, origin, deps)
            user = deps.users.by_email(email) if email is not None else None
            if user is not None:
                return _linked(_enabled(user), provider, account, origin, deps)
            if not deps.settings.self_registration:
                raise NotAUser("nobody has this account or its e-mail address")
            return _made(provider, account, email, turn, origin, deps)
        except (Contended, NameTaken, Overtaken, PreconditionFailed, UserNotFound):
            # The same account at the same time, a taken name, or a change by an admin: look again in a moment.
            deps.clock.sleep(random.uniform(0.05, 0.15))
    raise Unavailable("Others are changing this user all the time; try again.", retry_after=1)


def _enabled(user: User) -> User:
    if user.disabled:
        raise NotAUser("the user is disabled")
    return user


def _let_in(user: User, provider: str, origin: Origin, deps: Deps) -> User:
    """The user who was linked before; an admin may have reset the password since."""
    if not user.must_change_password:
        return user
    changed, ends = _without_made_up_password(user, provider, origin, deps.clock.now())
    return deps.users.change(user, changed, *ends)


def _linked(user: User, provider: str, account: Account, origin: Origin, deps: Deps) -> User:
    """The user, linked to the account in the version that had its e-mail address."""
    now = deps.clock.now()
    changed, ends = _without_made_up_password(user, provider, origin, now) if user.must_change_password else (user, ())
    told = audit.entry("user.provider-linked", user, user.user_id, origin, now, {"provider": provider})
    link = deps.users.identity(user.user_id, provider, account.subject, now)
    return deps.users.change(user, changed, link, told, *ends)


def _without_made_up_password(user: User, provider: str, origin: Origin, now: datetime) -> tuple[User, Sequence[Write]]:
    """The user without the password that an admin made up, and what is written beside: the audit, and a revocation.

    Who logs in by a provider need not know it. Who knows it may have logged in: were that session to live on, its next
    refresh would open everything, for there is no password to be changed any more.
    """
    changed = replace(
        user,
        password_hash=None,
        must_change_password=False,
        tokens_from=revocations.from_now(user.tokens_from, now),
        sessions_from=revocations.from_now(user.sessions_from, now),
    )
    told = audit.entry("user.password-ended", user, user.user_id, origin, now, {"provider": provider})
    return changed, (told, revocations.user_write(user.user_id, changed.tokens_from, now))


def _made(provider: str, account: Account, email: str | None, turn: int, origin: Origin, deps: Deps) -> User:
    now = deps.clock.now()
    user = User(new_user_id(), _name(account, email, turn), now, email=email, roles=("member",))
    told = audit.entry("user.registered", user, user.user_id, origin, now, {"provider": provider})
    deps.users.create(user, deps.users.identity(user.user_id, provider, account.subject, now), told)
    return user


def _name(account: Account, email: str | None, turn: int) -> str:
    """A user name as the account would have it; another one at each turn after the first."""
    wish = account.name or (email or "").split("@")[0]
    text = _UNFIT.sub("-", wish.lower())[:48].strip("._-")
    if turn or names.username(text) is None or text in names.RESERVED:
        text = f"{text or 'user'}-{secrets.token_hex(3)}"
    return text
