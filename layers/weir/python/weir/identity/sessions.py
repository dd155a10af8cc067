"""Sessions: what a log-in starts, a refresh carries on, and a log-out or a stolen refresh token ends.

A refresh token is good once (RFC 9700, section 4.14.2): it names a generation of its session, and is changed for the
next by one conditional write, which only one of many at the same time can do. One that comes again, though it was good
once, is in two hands, of which one is a thief's: the session ends with all its tokens, and its owner logs in anew.
"""

from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Literal

from weir.identity import audit, revocations, tokens
from weir.identity.errors import BadCredentials, BadToken
from weir.identity.models import Tokens, User
from weir.identity.shapes import SHAPES
from weir.identity.table import SCHEMA, session_key, user_key
from weir.identity.tokens import Refresh
from weir.identity.wiring import Deps
from weir.runtime.clock import rfc3339
from weir.runtime.dynamodb import Item, Outcome, Write, again
from weir.runtime.errors import Forbidden, Unavailable
from weir.runtime.http import Origin, Principal

LONGEST_SECONDS = 90 * 86_400
"""From the log-in, however often it is refreshed."""

_DAY = 86_400
_TRIES = 4


def start(
    user: User,
    origin: Origin,
    deps: Deps,
    via: str,
    max_uses: int | None = None,
    seconds: int | None = None,
    rehashed: str | None = None,
) -> Tokens:
    """Log a user in who has proved who they are: the user's last log-in, the session and the audit in one transaction.

    Parameters
    ----------
    via
        How they proved it, for the audit: ``password``, ``oauth:google``.
    max_uses, seconds
        Limits of the access token; with either there is no refresh token.
    rehashed
        The hash of the same password, by newer parameters.

    Raises
    ------
    BadCredentials
        The user was disabled or deleted meanwhile, or what proved them has changed.
    TooManyRights
        Their groups fit into no token.
    """
    for _ in range(_TRIES):
        now = deps.clock.now()
        session_id = tokens.new_id()
        access = _access(user, session_id, now, deps, max_uses, seconds)
        limited = max_uses is not None or seconds is not None
        session = opening(user, session_id, now, deps, seconds=access.expires_in if limited else None)
        told = audit.entry("login.done", user, user.user_id, origin, now, {"via": via, "session": session_id})
        writes = [_logged_in(user, now, rehashed), session, told]
        if not again(partial(deps.table.transact, writes), deps.clock):
            return access if limited else replace(access, refresh_token=_refresh_of(user, session_id, 0, deps))
        user = _as_proved(user, deps)
    raise Unavailable("Others are changing this user all the time; try again.", retry_after=1)


def opening(user: User, session_id: str, now: datetime, deps: Deps, seconds: int | None = None) -> Write:
    """The write of a new session, good for ``seconds``, or as long as refresh tokens are."""
    began = max(int(now.timestamp()), user.sessions_from)
    expires_at = began + (seconds or deps.settings.refresh_token_days * _DAY)
    item: Item = {
        **session_key(user.user_id, session_id),
        "schema": SCHEMA,
        "user_id": user.user_id,
        "session_id": session_id,
        "generation": 0,
        "began": began,
        "expires_at": expires_at,
        "ttl": expires_at + _DAY,
    }
    return Write(put=item, when="attribute_not_exists(pk)")


def opened(user: User, session_id: str, now: datetime, deps: Deps) -> Tokens:
    """The first tokens of a session that has been written by ``opening``."""
    return replace(_access(user, session_id, now, deps), refresh_token=_refresh_of(user, session_id, 0, deps))


def refresh(text: str, origin: Origin, deps: Deps) -> Tokens:
    """The next tokens for a refresh token, with the rights that the user has today.

    Raises
    ------
    BadToken
        It is none of ours, or no longer good; the session has ended, by this very call where the token comes again.
    TooManyRights
        As ``start``; the token stays good.
    """
    asked = tokens.read_refresh(text, deps.keyring)
    user = deps.users.get(asked.user_id)
    if user is None or user.disabled:
        raise BadToken(f"refresh {asked.session_id}: user disabled or gone")
    now = deps.clock.now()
    access = _access(user, asked.session_id, now, deps)
    following = _refresh_of(user, asked.session_id, asked.generation + 1, deps)
    _rotate(asked, user, now, origin, deps)
    return replace(access, refresh_token=following)


def end(caller: Principal, origin: Origin, deps: Deps) -> None:
    """End the caller's session: no refresh from now on, and within 60 s no access token. Ended twice, it is ended.

    Forbidden where the caller comes with an API key, which has no session.
    """
    if caller.credential != "token":
        raise Forbidden("An API key has no session to end; revoke it instead: DELETE /api-keys/{key_id}.")
    _end(caller.sub, caller.credential_id, "session.ended", caller, origin, deps)


def _rotate(asked: Refresh, user: User, now: datetime, origin: Origin, deps: Deps) -> None:
    """Take the session to its next generation, or raise BadToken."""
    nonce = tokens.new_id()
    outcome = again(partial(_next_generation, asked, user, int(now.timestamp()), nonce, deps), deps.clock)
    if outcome.done:
        return
    item = None if outcome.item is None else SHAPES.current(outcome.item)
    if item is None:
        raise BadToken(f"refresh {asked.session_id}: no such session any more")
    if item.get("rotated_by") == nonce:
        return  # botocore sent the write again when its answer was lost, and met what it had written itself
    if item["generation"] > asked.generation and "revoked_at" not in item:
        _end(asked.user_id, asked.session_id, "session.refreshed-twice", "anonymous", origin, deps)
        raise BadToken(f"refresh {asked.session_id}: came again; the session was ended")
    raise BadToken(f"refresh {asked.session_id}: ended, or too old")


def _next_generation(asked: Refresh, user: User, instant: int, nonce: str, deps: Deps) -> Outcome:
    expires_at = instant + deps.settings.refresh_token_days * _DAY
    values = {
        "presented": asked.generation,
        "next": asked.generation + 1,
        "nonce": nonce,
        "now": instant,
        "oldest": max(user.sessions_from, instant - LONGEST_SECONDS),
        "expires_at": expires_at,
        "ttl": expires_at + _DAY,
    }
    return deps.table.update(
        session_key(asked.user_id, asked.session_id),
        "SET generation = :next, rotated_by = :nonce, expires_at = :expires_at, #ttl = :ttl",
        "generation = :presented AND attribute_not_exists(revoked_at) AND expires_at > :now AND began >= :oldest",
        values,
        {"ttl": "ttl"},
    )


def _end(
    user_id: str, session_id: str, what: str, who: Principal | Literal["anonymous"], origin: Origin, deps: Deps
) -> None:
    """End a session, unless it has been ended: neither its refresh token nor its access tokens hold from then on."""
    now = deps.clock.now()
    ended = Write(
        key=session_key(user_id, session_id),
        changes="SET revoked_at = :now",
        when="attribute_exists(pk) AND attribute_not_exists(revoked_at)",
        values={"now": rfc3339(now)},
    )
    told = audit.entry(what, who, user_id, origin, now, {"session": session_id})
    again(lambda: deps.table.transact([ended, revocations.session_write(session_id, now), told]), deps.clock)


def _logged_in(user: User, now: datetime, rehashed: str | None) -> Write:
    """The write of a log-in into the user, who must be as they were read. It is no change: the version stays."""
    newer = {} if rehashed is None else {"password_hash": rehashed}
    return Write(
        key=user_key(user.user_id),
        changes="SET last_login_at = :now" + "".join(f", {name} = :{name}" for name in newer),
        when="attribute_exists(pk) AND disabled = :no AND version = :version",
        values={"now": rfc3339(now), "no": False, "version": user.version, **newer},
    )


def _as_proved(user: User, deps: Deps) -> User:
    """The user as they are now. BadCredentials where what they have proved is no longer what lets them in."""
    found = deps.users.get(user.user_id)
    if found is None or found.disabled:
        raise BadCredentials("The user may not log in any more.")
    if (found.password_hash, found.sessions_from) != (user.password_hash, user.sessions_from):
        raise BadCredentials("The password has changed meanwhile. Log in with the new one.")
    return found


def _access(
    user: User, session_id: str, now: datetime, deps: Deps, max_uses: int | None = None, seconds: int | None = None
) -> Tokens:
    text, claims = tokens.issue_access(
        user, session_id, deps.keyring.signing(), deps.settings, now, max_uses=max_uses, seconds=seconds
    )
    return Tokens(text, claims.expires_at - int(now.timestamp()), must_change_password=claims.must_change_password)


def _refresh_of(user: User, session_id: str, generation: int, deps: Deps) -> str:
    return tokens.issue_refresh(user.user_id, session_id, generation, deps.keyring.signing())
