"""Who the command line speaks as: an API key, or a session that is renewed as long as it can be."""

import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from client.sessions import Session, SessionFile

__all__ = ["AnswerLost", "KeySigner", "NotLoggedIn", "Refused", "SessionSigner", "Signer"]

Json = dict[str, Any]

EARLY_SECONDS = 20.0
"""A token that is about to expire is renewed before it is refused on its way."""


class NotLoggedIn(Exception):
    """The API needs somebody, and nobody is logged in."""


class Refused(Exception):
    """The API does not take a refresh token or a password."""


class AnswerLost(Exception):
    """Nobody knows whether the API has done what it was asked to do."""


class Post(Protocol):
    """POST without credentials: path and body to answer.

    Raises Refused for a 401. With ``once`` it is sent once, and AnswerLost is raised where it may have been done
    although no answer tells so.
    """

    def __call__(self, path: str, body: Mapping[str, Any], *, once: bool = False) -> Json: ...


class Signer(Protocol):
    """Tokens for requests."""

    def token(self) -> str:
        """The token to send. NotLoggedIn where there is none to be had."""

    def renewed(self, rejected: str) -> str | None:
        """Another token than the one that the API has just refused; None where there is no other."""


class KeySigner:
    """An API key: there is no other."""

    def __init__(self, key: str) -> None:
        self._key = key

    def token(self) -> str:
        """The key."""
        return self._key

    def renewed(self, rejected: str) -> None:  # noqa: ARG002
        """None: a key that is refused stays so."""
        return


class SessionSigner:
    """The session of a log-in.

    Parameters
    ----------
    post
        How to ask the API for tokens.
    known
        A user and password to log in with by itself: the local stack's admin, as ``make up`` tells.
    """

    def __init__(
        self,
        url: str,
        sessions: SessionFile,
        post: Post,
        *,
        known: tuple[str, str] | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._url, self._sessions, self._post, self._known, self._now = url, sessions, post, known, now

    def without_log_in(self) -> "SessionSigner":
        """The same session, which nobody is logged in for where it has ended."""
        return SessionSigner(self._url, self._sessions, self._post, now=self._now)

    def token(self) -> str:
        """The access token, renewed where it is about to expire."""
        session = self._sessions.load(self._url)
        if session is not None and session.expires_at - EARLY_SECONDS > self._now():
            return session.access_token
        renewed = self.renewed("" if session is None else session.access_token)
        if renewed is None:
            raise NotLoggedIn(
                f"Nobody is logged in at {self._url}. `weir login` logs in; WEIR_API_KEY may hold an API key instead."
            )
        return renewed

    def renewed(self, rejected: str) -> str | None:
        """By the refresh token, or else by the user that is known; None where neither is to be had.

        NotLoggedIn where it may have been renewed, but the answer was lost, and no user is known.
        """
        with self._sessions.locked():
            session = self._sessions.load(self._url)
            fresh = session is not None and session.expires_at - EARLY_SECONDS > self._now()
            if session is not None and fresh and session.access_token != rejected:
                return session.access_token  # another process was first
            return self._refreshed(session) or self._logged_in(session)

    def log_in(self, username: str, password: str) -> Json:
        """Log in, and keep the session. Refused where the API does not take the password."""
        with self._sessions.locked():
            kept = self._sessions.load(self._url)
            device = kept.device if kept is not None and kept.username == username else None
            body = {"username": username, "password": password} | ({"device": device} if device else {})
            answer = self._post("/auth/login", body)
            self._keep(username, answer, device)
            return answer

    def change_password(self, answer: Mapping[str, Any]) -> None:
        """Keep the session that a change of the password gave."""
        with self._sessions.locked():
            session = self._sessions.load(self._url)
            if session is not None:
                self._keep(session.username, answer, session.device)

    def forget(self) -> None:
        """Keep the tokens no longer; but what tells the API at the next log-in that this device is known."""
        with self._sessions.locked():
            self._drop(self._sessions.load(self._url))

    def _refreshed(self, session: Session | None) -> str | None:
        if session is None or session.refresh_token is None:
            return None
        try:
            answer = self._post("/auth/refresh", {"refresh_token": session.refresh_token}, once=True)
        except Refused:
            return None
        except AnswerLost as error:
            self._drop(session)  # a refresh token that comes again is taken for a stolen one, which ends the session
            if self._known is not None:
                return None
            raise NotLoggedIn(
                f"The session at {self._url} was to be renewed, but the answer was lost; `weir login` begins another.\n"
                f"{error}"
            ) from error
        return self._keep(session.username, answer, session.device)

    def _logged_in(self, session: Session | None) -> str | None:
        if self._known is None:
            return None
        username, password = self._known
        device = session.device if session is not None and session.username == username else None
        try:
            body = {"username": username, "password": password} | ({"device": device} if device else {})
            answer = self._post("/auth/login", body)
        except Refused:
            return None
        return self._keep(username, answer, device)

    def _drop(self, session: Session | None) -> None:
        rest = None
        if session is not None and session.device is not None:
            rest = Session(session.username, access_token="", expires_at=0.0, device=session.device)
        self._sessions.save(self._url, rest)

    def _keep(self, username: str, answer: Mapping[str, Any], device: str | None) -> str:
        session = Session(
            username=username,
            access_token=answer["access_token"],
            expires_at=self._now() + answer["expires_in"],
            refresh_token=answer.get("refresh_token"),
            device=answer.get("device") or device,
        )
        self._sessions.save(self._url, session)
        return session.access_token
