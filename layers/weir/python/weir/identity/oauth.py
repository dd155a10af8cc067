"""Log-in by a provider, for an application such as the console: authorization code with PKCE, on both sides.

1. The application sends the browser to ``begin``, which sends it on to the provider, with a state that holds once, and
   a cookie by which ``finish`` knows the browser again. Of both only hashes are stored; PKCE verifier and nonce follow
   from them, so that the table holds nothing that could finish a log-in.
2. The provider sends the browser to ``finish``, which finds out whose code it is, and sends the browser back to the
   application with a code of ours. No token is ever in a URL.
3. The application changes that code for tokens (``tokens_for``), which it can only with its own PKCE verifier.

RFC 6749, RFC 7636, RFC 9207 and RFC 9700. State and code are each consumed by one conditional delete that names all
that must hold. Where botocore's retry meets its own delete, the log-in is refused, and begins again; none is let in
twice.
"""

import base64
import hashlib
import hmac
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlencode, urlsplit

from weir.identity import oauth_clients, provider_users, sessions, table
from weir.identity.errors import BadCredentials, BadToken
from weir.identity.models import Tokens, User
from weir.identity.oauth_clients import Clients
from weir.identity.oauth_errors import BadState, GrantRefused
from weir.identity.oidc import Account, Answered, Asked
from weir.identity.providers import Kind, Provider, Providers
from weir.identity.shapes import SHAPES
from weir.identity.wiring import Deps
from weir.runtime.clock import Clock
from weir.runtime.http import Origin

if TYPE_CHECKING:
    from weir.identity.contract_oauth import TokenRequest

STATE_SECONDS = 600
CODE_SECONDS = 60
ASKING_SECONDS = 20.0
"""For all that a provider is asked in one request; API Gateway waits 29."""

_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")
_VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}")
_STATE = re.compile(r"[\x20-\x7e]{1,512}")
_PASSED_ON = {"access_denied", "temporarily_unavailable", "server_error"}
"""Errors of a provider that mean to the application what they mean to us; all others are ours to be blamed for."""


class Speaks(Protocol):
    """What is asked of a kind of provider."""

    def authorize_url(self, provider: Provider, asked: Asked, until: float) -> str:
        """Where to send the browser."""
        ...

    def account(self, provider: Provider, answered: Answered, until: float) -> Account:
        """Whose code it is."""
        ...


@dataclass(frozen=True, slots=True)
class OAuth:
    """What log-in by a provider works with."""

    deps: Deps
    clients: Clients
    providers: Providers
    speaks: Mapping[Kind, Speaks]
    chance: Callable[[], str] = lambda: secrets.token_urlsafe(32)


@dataclass(frozen=True, slots=True)
class Wish:
    """What an application asks for, as it came: RFC 6749, section 4.1.1, and RFC 7636, section 4.3."""

    client_id: str | None
    redirect_uri: str | None
    state: str | None = None
    response_type: str | None = None
    code_challenge: str | None = None
    code_challenge_method: str | None = None


@dataclass(frozen=True, slots=True)
class Return:
    """What a provider sent the browser back with, as it came."""

    state: str | None
    code: str | None = None
    error: str | None = None
    iss: str | None = None


def begin(name: str, wish: Wish, callback: str, oauth: OAuth) -> tuple[str, str | None]:
    """Where to send the browser, and the cookie to give it; none where it goes back to the application with an error.

    Raises
    ------
    UnknownProvider, UnknownClient
        Never a redirect: nobody knows yet whose address it is.
    ProviderFailed, ProviderTimeout
        Discovery failed.
    """
    client_id, redirect_uri = oauth_clients.check(oauth.clients, wish.client_id, wish.redirect_uri)
    provider = oauth.providers.named(name)
    if refused := _refused(wish):
        state = wish.state if wish.state and _STATE.fullmatch(wish.state) else None
        return _back(redirect_uri, state, error=refused[0], error_description=refused[1]), None
    state, cookie = oauth.chance(), oauth.chance()
    asked = Asked(callback, state, _derived(cookie, "nonce", state), challenge(_derived(cookie, "verifier", state)))
    url = oauth.speaks[provider.kind].authorize_url(provider, asked, oauth.deps.clock.monotonic() + ASKING_SECONDS)
    oauth.deps.table.put_new(
        {
            **table.state_key(_digest(state)),
            **_dated(oauth.deps.clock, STATE_SECONDS),
            "provider": name,
            "browser": _digest(cookie),
            "client_id": client_id,
            "redirect_uri": redirect_uri,
            "client_state": wish.state,
            "code_challenge": wish.code_challenge,
            "callback": callback,
        }
    )
    return url, cookie


def finish(name: str, came: Return, cookie: str | None, origin: Origin, oauth: OAuth) -> str:
    """Where to send the browser, back to the application: with a code of ours, or the provider's error.

    Raises
    ------
    UnknownProvider
    BadState
        No log-in was begun with this state, provider and browser, or it is over.
    ProviderRefused
        The provider's answer does not prove who it was.
    ProviderFailed, ProviderTimeout
        It does not answer, or wrongly.
    NotAUser
        It is nobody here.
    """
    provider = oauth.providers.named(name)
    if came.state is None or cookie is None:
        raise BadState("no state, or no cookie of ours")
    if came.code is not None and not _is_unicode(came.code):
        raise BadState("the code is no Unicode text")
    begun = _consumed(name, came.state, cookie, oauth)
    if came.iss is not None and provider.issuer and came.iss != provider.issuer:
        raise BadState("the answer is another issuer's")  # RFC 9207
    if came.error is not None or came.code is None:
        error = came.error if came.error in _PASSED_ON else "server_error"
        return _back(begun["redirect_uri"], begun["client_state"], error=error)
    answered = Answered(
        begun["callback"],
        came.code,
        _derived(cookie, "nonce", came.state),
        _derived(cookie, "verifier", came.state),
    )
    account = oauth.speaks[provider.kind].account(provider, answered, oauth.deps.clock.monotonic() + ASKING_SECONDS)
    user = provider_users.user_of(name, account, origin, oauth.deps)
    return _back(begun["redirect_uri"], begun["client_state"], code=_new_code(user, name, begun, oauth))


def tokens_for(asked: "TokenRequest", origin: Origin, oauth: OAuth) -> Tokens:
    """The tokens for a code of ours, or for a refresh token. GrantRefused carries RFC 6749's ``error``."""
    if asked.grant_type == "authorization_code":
        user, provider = _owner_of_code(asked, oauth)
        try:
            return sessions.start(user, origin, oauth.deps, via=f"oauth:{provider}")
        except BadCredentials as error:
            raise _spent_code() from error  # disabled, deleted, or with new rights to a log-in, in this very moment
    if asked.grant_type != "refresh_token":
        raise GrantRefused("unsupported_grant_type", "grant_type must be authorization_code or refresh_token.")
    if asked.refresh_token is None:
        raise GrantRefused("invalid_request", "refresh_token is needed.")
    try:
        return sessions.refresh(asked.refresh_token, origin, oauth.deps)
    except BadToken as error:
        raise GrantRefused("invalid_grant", "The refresh token does not hold. Log in again.") from error


def _owner_of_code(asked: "TokenRequest", oauth: OAuth) -> tuple[User, str]:
    """The user who logged in, and by which provider. A code that is presented wrongly stays good for whose it is."""
    if not asked.code or not asked.client_id or not asked.redirect_uri or not asked.code_verifier:
        told = "client_id, code, redirect_uri and code_verifier are needed."
        raise GrantRefused("invalid_request", told)
    if asked.client_id not in oauth.clients:
        raise GrantRefused("invalid_client", "There is no such client.")
    if not _VERIFIER.fullmatch(asked.code_verifier):
        raise GrantRefused("invalid_request", "code_verifier is not 43 to 128 of A-Z a-z 0-9 - . _ ~ (RFC 7636).")
    if asked.redirect_uri not in oauth.clients[asked.client_id]:
        raise _spent_code()
    consumed = oauth.deps.table.delete(
        table.code_key(_digest(asked.code)),
        when="client_id = :client AND redirect_uri = :uri AND code_challenge = :challenge AND expires_at > :now",
        values={
            "client": asked.client_id,
            "uri": asked.redirect_uri,
            "challenge": challenge(asked.code_verifier),
            "now": int(oauth.deps.clock.epoch()),
        },
    )
    code = SHAPES.current(consumed.item) if consumed.done and consumed.item is not None else None
    user = oauth.deps.users.get(code["user_id"]) if code is not None else None
    if code is None or user is None:
        raise _spent_code()
    return user, code["provider"]


def _spent_code() -> GrantRefused:
    return GrantRefused("invalid_grant", "The code does not hold. Begin again.")


def challenge(verifier: str) -> str:
    """The S256 code challenge of a verifier (RFC 7636, section 4.2)."""
    return _text(hashlib.sha256(verifier.encode()).digest())


def _refused(wish: Wish) -> tuple[str, str] | None:
    """Error and description (RFC 6749, section 4.1.2.1) of a wish of a known application that can't be met."""
    if wish.response_type not in {None, "code"}:
        return "unsupported_response_type", "response_type must be code"
    if wish.state is None or not _STATE.fullmatch(wish.state):
        return "invalid_request", "state must be 1 to 512 printable ASCII characters"
    if wish.code_challenge_method != "S256":
        return "invalid_request", "code_challenge_method must be S256"
    if wish.code_challenge is None or not _CHALLENGE.fullmatch(wish.code_challenge):
        return "invalid_request", "code_challenge must be the S256 of a verifier"
    return None


def _consumed(name: str, state: str, cookie: str, oauth: OAuth) -> Mapping[str, Any]:
    consumed = oauth.deps.table.delete(
        table.state_key(_digest(state)),
        when="provider = :provider AND browser = :browser AND expires_at > :now",
        values={"provider": name, "browser": _digest(cookie), "now": int(oauth.deps.clock.epoch())},
    )
    if consumed.done and consumed.item is not None:
        return SHAPES.current(consumed.item)
    # What stands there tells the log which attack it may be; the caller is told nothing of it.
    raise BadState(
        "the state is not known" if consumed.item is None else "the state is not this browser's or provider's"
    )


def _new_code(user: User, provider: str, begun: Mapping[str, Any], oauth: OAuth) -> str:
    code = oauth.chance()
    oauth.deps.table.put_new(
        {
            **table.code_key(_digest(code)),
            **_dated(oauth.deps.clock, CODE_SECONDS),
            "user_id": user.user_id,
            "provider": provider,
            **{name: begun[name] for name in ("client_id", "redirect_uri", "code_challenge")},
        }
    )
    return code


def _dated(clock: Clock, seconds: int) -> dict[str, int]:
    ends = int(clock.epoch()) + seconds
    return {"schema": table.SCHEMA, "expires_at": ends, "ttl": ends}


def _back(redirect_uri: str, state: str | None, **told: str) -> str:
    """The application's address with what it is told; an address may have a query of its own."""
    query = urlencode({**told, **({} if state is None else {"state": state})})
    return f"{redirect_uri}{'&' if urlsplit(redirect_uri).query else '?'}{query}"


def _derived(cookie: str, purpose: str, state: str) -> str:
    """A secret of one log-in in one browser, 43 characters: nobody has it who lacks the cookie."""
    return _text(hmac.digest(cookie.encode(), f"weir oauth {purpose}\0{state}".encode(), hashlib.sha256))


def _is_unicode(text: str) -> bool:
    """Whether a text can be sent on: JSON, and so an event, may hold half a surrogate pair, which no form can."""
    try:
        return bool(text.encode())
    except UnicodeEncodeError:
        return False


def _digest(text: str) -> str:
    """What is stored of a random text: it can't be guessed from its hash."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
