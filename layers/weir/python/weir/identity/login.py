"""Log-in by password, and what people do with their own: change it, register, look at who they are.

Whether there is such a user is told neither by the answer nor by its time: a name that is nobody's takes the same
reads, counts and hash as a wrong password.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime

from weir.identity import attempts, audit, names, passwords, revocations, sessions, tokens
from weir.identity.attempts import REGISTRATION, SESSION, Bucket
from weir.identity.contract_auth import LoginRequest, PasswordChange, Registration
from weir.identity.errors import BadCredentials, BadToken
from weir.identity.models import Tokens, User
from weir.identity.user_store import new_user_id
from weir.identity.wiring import Deps
from weir.runtime.errors import FieldError, Forbidden, Invalid, PreconditionFailed, Unavailable
from weir.runtime.http import Origin, Principal

NOBODY = "-"
"""Looked up for what can't be a user's name; it can't be one either."""

_TRIES = 4


class RegistrationClosed(Forbidden):
    """Users are made by admins here."""

    slug = "registration-closed"


@dataclass(frozen=True, slots=True)
class LoggedIn:
    """Tokens, and the token by which the device is known at the next log-in."""

    tokens: Tokens
    device: str = field(repr=False)


def log_in(asked: LoginRequest, origin: Origin, deps: Deps) -> LoggedIn:
    """Let a user in who knows their password.

    Raises
    ------
    BadCredentials
        Name or password is wrong, or the user is disabled: one answer for all.
    TooManyAttempts
        Before the password was looked at.
    Invalid
        ``expires_in`` is above what the stack allows.
    TooManyRights
        As ``sessions.start``.
    """
    longest = deps.settings.access_token_seconds
    if asked.expires_in is not None and asked.expires_in > longest:
        raise _invalid("expires_in", f"must be {longest} at most here")
    if not passwords.typeable(asked.password):
        raise _wrong()
    now, key = deps.clock.now(), deps.keyring.signing()
    name = names.username(asked.username)
    user = deps.users.by_name(name or NOBODY)
    device = tokens.verify_device(asked.device, user, deps.keyring, now)
    buckets = attempts.at_log_in(name or asked.username, user.user_id if user else None, device, origin.source_ip)
    reserved = attempts.reserve(buckets, deps.table, key, now)
    right = passwords.matches(asked.password, user.password_hash if user is not None else None)
    if user is None or not right or user.disabled:
        if reserved.filled:
            _tell(user, reserved.filled, origin, deps, now)
        raise _wrong()
    attempts.give_back(reserved, deps.table)
    started = sessions.start(
        user, origin, deps, "password", asked.max_uses, asked.expires_in, rehashed=_rehashed(asked.password, user)
    )
    return LoggedIn(started, tokens.issue_device(user, key, now, device))


def change_password(asked: PasswordChange, caller: Principal, origin: Origin, deps: Deps) -> LoggedIn:
    """Change the caller's password. All sessions and tokens from before end, and a new session begins.

    Raises
    ------
    Forbidden
        The caller comes with an API key.
    Invalid
        422: the present password is another, or the new one is none to take.
    TooManyAttempts
        The present password was guessed at too often in this session.
    BadToken
        The user is gone or disabled.
    """
    if caller.credential != "token":
        raise Forbidden("An API key can't change a password. Log in.")
    bucket = Bucket(SESSION, (caller.credential_id,))
    reserved = attempts.reserve([bucket], deps.table, deps.keyring.signing(), deps.clock.now())
    for _ in range(_TRIES):
        user = me(caller, deps)
        if user.disabled:
            raise BadToken(f"user {caller.sub}: disabled")
        if not passwords.matches(asked.current_password, user.password_hash):
            raise _invalid("current_password", "is not your password")
        attempts.give_back(reserved, deps.table)
        reserved = attempts.Reserved((), ())
        if asked.new_password == asked.current_password:
            raise _invalid("new_password", "must be another than the present one")
        _check(asked.new_password, "new_password", user.username)
        try:
            return _changed(user, passwords.hashed(asked.new_password), caller, origin, deps)
        except PreconditionFailed:
            continue
    raise Unavailable("Others are changing this user all the time; try again.", retry_after=1)


def register(asked: Registration, origin: Origin, deps: Deps) -> User:
    """Make a member, where the stack lets people register: no role or group beyond that, and no e-mail address.

    Raises
    ------
    RegistrationClosed
        It does not.
    TooManyAttempts
        Too many from here.
    Invalid
        The password is none to take.
    NameTaken
        The name is another user's.
    """
    if not deps.settings.self_registration:
        raise RegistrationClosed("Users are made by an admin here; ask one.")
    now, bucket = deps.clock.now(), Bucket(REGISTRATION, (attempts.network(origin.source_ip),))
    attempts.reserve([bucket], deps.table, deps.keyring.signing(), now)
    _check(asked.password, "password", asked.username)
    hashed = passwords.hashed(asked.password)
    user = User(new_user_id(), asked.username, now, roles=("member",), password_hash=hashed)
    deps.users.create(user, audit.entry("user.registered", user, user.user_id, origin, now, {"provider": "password"}))
    return user


def me(caller: Principal, deps: Deps) -> User:
    """The caller as a user. BadToken where they are gone."""
    user = deps.users.get(caller.sub)
    if user is None:
        raise BadToken(f"user {caller.sub}: gone")
    return user


def _changed(user: User, password_hash: str, caller: Principal, origin: Origin, deps: Deps) -> LoggedIn:
    """One transaction: the user, the end of what was before, the new session, the audit."""
    now = deps.clock.now()
    changed = replace(
        user,
        password_hash=password_hash,
        must_change_password=False,
        tokens_from=revocations.from_now(user.tokens_from, now),
        sessions_from=revocations.from_now(user.sessions_from, now),
    )
    session_id = tokens.new_id()
    stored = deps.users.change(
        user,
        changed,
        audit.entry("user.password-changed", caller, user.user_id, origin, now),
        revocations.user_write(user.user_id, changed.tokens_from, now),
        sessions.opening(changed, session_id, now, deps),
    )
    fresh = sessions.opened(stored, session_id, now, deps)
    return LoggedIn(fresh, tokens.issue_device(stored, deps.keyring.signing(), now))


def _tell(user: User | None, filled: tuple[str, ...], origin: Origin, deps: Deps, now: datetime) -> None:
    """Audit that guesses are being refused: once a window, for a name that is nobody's too, which it does not tell."""
    subject = "nobody" if user is None else user.user_id
    audit.record(deps.table, "login.refused", "anonymous", subject, origin, now, {"limits": ", ".join(filled)})


def _rehashed(password: str, user: User) -> str | None:
    if user.password_hash is None or not passwords.needs_rehash(user.password_hash):
        return None
    return passwords.hashed(password)


def _check(password: str, named: str, username: str) -> None:
    if wrong := passwords.problem(password, username):
        raise _invalid(named, wrong)


def _invalid(named: str, told: str) -> Invalid:
    return Invalid(f"The request can't be accepted: {named}: {told}", errors=[FieldError(named, told)])


def _wrong() -> BadCredentials:
    return BadCredentials("User name or password is wrong.")
