"""OpenID Connect: any issuer, found by discovery. The authorization code flow with PKCE, nonce and client secret.

https://openid.net/specs/openid-connect-core-1_0.html and https://openid.net/specs/openid-connect-discovery-1_0.html
"""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from weir.identity import id_token
from weir.identity.id_token import Jwk
from weir.identity.oauth_clients import is_secure
from weir.identity.oauth_errors import ProviderFailed, ProviderRefused, ProviderTimeout
from weir.identity.outbound import Reply, Web
from weir.identity.providers import Provider
from weir.runtime.clock import Clock

KEPT_SECONDS = 3600.0
"""How long discovery and keys are known before they are asked for again."""

KEYS_AGAIN_SECONDS = 60.0
"""An unknown key asks for the keys anew, for providers change them; no more often, for anybody can name one."""

FAILED_SECONDS = 15.0
"""How long a discovery that failed is not tried again: anybody can begin a log-in, and would wait for a provider that
hangs.
"""

LONGEST_SUBJECT = 255
"""OpenID Connect Core, section 2."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a log-in asks a provider: where to answer, and what the answer must prove."""

    callback: str
    state: str
    nonce: str
    challenge: str


@dataclass(frozen=True, slots=True)
class Answered:
    """What came back to the callback, with what only the browser that began can know."""

    callback: str
    code: str
    nonce: str
    verifier: str


@dataclass(frozen=True, slots=True)
class Account:
    """Who logged in at a provider. ``email`` only where the provider has verified it; ``name`` as a wish for a name."""

    subject: str
    email: str | None = None
    name: str | None = None


@dataclass(frozen=True, slots=True)
class _Found:
    """What discovery tells that is needed here."""

    authorize: str
    token: str
    keys: str
    userinfo: str | None
    algorithms: tuple[str, ...]
    basic: bool


class Oidc:
    """Speaks to OpenID Connect providers. ``until`` as for ``Web``; what a method raises beside, is in its words."""

    def __init__(self, web: Web, clock: Clock) -> None:
        self._web, self._clock = web, clock
        self._found: dict[str, tuple[float, _Found]] = {}
        self._failed: dict[str, tuple[float, ProviderFailed | ProviderTimeout]] = {}
        self._keys: dict[str, tuple[float, Sequence[Jwk]]] = {}

    def authorize_url(self, provider: Provider, asked: Asked, until: float) -> str:
        """Where to send the browser. ProviderFailed and ProviderTimeout where discovery fails."""
        endpoint = self._discovered(provider, until).authorize
        query = {
            "response_type": "code",
            "client_id": provider.client_id,
            "redirect_uri": asked.callback,
            "scope": " ".join(provider.scopes),
            "state": asked.state,
            "nonce": asked.nonce,
            "code_challenge": asked.challenge,
            "code_challenge_method": "S256",
        }
        return f"{endpoint}{'&' if urlsplit(endpoint).query else '?'}{urlencode(query)}"

    def account(self, provider: Provider, answered: Answered, until: float) -> Account:
        """Whose code it is. ProviderRefused where that is not proven, ProviderFailed and ProviderTimeout beside."""
        found = self._discovered(provider, until)
        tokens = self._exchanged(provider, found, answered, until)
        claims = self._proven(provider, found, tokens.get("id_token"), answered.nonce, until)
        if "email" not in claims and found.userinfo is not None and isinstance(tokens.get("access_token"), str):
            claims = self._with_userinfo(claims, found.userinfo, tokens["access_token"], until)
        subject = claims["sub"]
        if not subject or len(subject) > LONGEST_SUBJECT or not subject.isprintable():  # half a surrogate pair is not
            raise ProviderRefused("the ID token names nobody")
        is_verified = claims.get("email_verified") is True or claims.get("email_verified") == "true"  # some send a text
        email, name = claims.get("email"), claims.get("preferred_username")
        return Account(
            subject,
            email if is_verified and isinstance(email, str) else None,
            name if isinstance(name, str) else None,
        )

    def _exchanged(self, provider: Provider, found: _Found, answered: Answered, until: float) -> Mapping[str, Any]:
        fields = {
            "grant_type": "authorization_code",
            "code": answered.code,
            "redirect_uri": answered.callback,
            "code_verifier": answered.verifier,
        }
        headers = {}
        if found.basic:
            pair = f"{quote(provider.client_id, safe='')}:{quote(provider.client_secret, safe='')}"  # RFC 6749, 2.3.1
            headers = {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}
        else:
            fields |= {"client_id": provider.client_id, "client_secret": provider.client_secret}
        return tokens_of(self._web.post(found.token, fields, until, headers))

    def _proven(self, provider: Provider, found: _Found, text: Any, nonce: str, until: float) -> Mapping[str, Any]:
        if not isinstance(text, str):
            raise ProviderRefused("there is no ID token")
        algorithm, kid = id_token.header(text, found.algorithms)
        return id_token.verified(
            text,
            self._key(found.keys, algorithm, kid, until),
            algorithm,
            issuer=provider.issuer,
            client_id=provider.client_id,
            nonce=nonce,
            now=self._clock.epoch(),
        )

    def _with_userinfo(
        self, claims: Mapping[str, Any], userinfo: str, access_token: str, until: float
    ) -> Mapping[str, Any]:
        """The claims with those of the userinfo endpoint, of the same subject (OpenID Connect Core, 5.3.2)."""
        reply = self._web.get(userinfo, until, {"Authorization": f"Bearer {access_token}"})
        if reply.status != 200 or not isinstance(reply.body, dict):
            raise ProviderFailed("The log-in provider does not tell who logged in. Try again later.")
        if reply.body.get("sub") != claims["sub"]:
            raise ProviderRefused("userinfo is of another subject")
        told = ("email", "email_verified", "preferred_username")
        return {**{name: reply.body[name] for name in told if name in reply.body}, **claims}

    def _key(self, url: str, algorithm: str, kid: str | None, until: float) -> Jwk:
        fetched, keys = self._keys.get(url, (float("-inf"), ()))
        age = self._clock.monotonic() - fetched
        candidates = id_token.fitting(keys, algorithm, kid)
        if age >= KEPT_SECONDS or (len(candidates) != 1 and age >= KEYS_AGAIN_SECONDS):
            keys = self._fetched_keys(url, until)
            self._keys[url] = self._clock.monotonic(), keys
            candidates = id_token.fitting(keys, algorithm, kid)
        if len(candidates) != 1:
            raise ProviderRefused("the ID token is signed with a key that is not the provider's")
        return candidates[0]

    def _fetched_keys(self, url: str, until: float) -> list[Jwk]:
        reply = self._web.get(url, until)
        keys = reply.body.get("keys") if isinstance(reply.body, dict) and reply.status == 200 else None
        if not isinstance(keys, list):
            raise ProviderFailed("The log-in provider does not tell its keys. Try again later.")
        return [key for key in keys if isinstance(key, dict)]

    def _discovered(self, provider: Provider, until: float) -> _Found:
        until_known, found = self._found.get(provider.issuer, (float("-inf"), None))
        if found is None or self._clock.monotonic() >= until_known:
            found = self._discover(provider.issuer, until)
            self._found[provider.issuer] = self._clock.monotonic() + KEPT_SECONDS, found
        return found

    def _discover(self, issuer: str, until: float) -> _Found:
        until_tried, failure = self._failed.get(issuer, (float("-inf"), None))
        if failure is not None and self._clock.monotonic() < until_tried:
            raise failure.with_traceback(None)
        try:
            return _found(issuer, self._web.get(f"{issuer.rstrip('/')}/.well-known/openid-configuration", until))
        except (ProviderFailed, ProviderTimeout) as error:
            self._failed[issuer] = self._clock.monotonic() + FAILED_SECONDS, error
            raise


def _found(issuer: str, reply: Reply) -> _Found:
    """What a discovery document tells; ProviderFailed where it is of another issuer, or lacks what is needed."""
    document = reply.body
    if reply.status != 200 or not isinstance(document, dict) or document.get("issuer") != issuer:
        raise ProviderFailed("The log-in provider's discovery document is not its own. Tell an operator.")
    needed = ("authorization_endpoint", "token_endpoint", "jwks_uri")
    userinfo = document.get("userinfo_endpoint")
    if not all(_is_endpoint(document.get(name), issuer) for name in needed):
        raise ProviderFailed("The log-in provider's discovery document lacks an https endpoint. Tell an operator.")
    offered = document.get("id_token_signing_alg_values_supported") or ["RS256"]
    methods = document.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
    return _Found(
        authorize=document["authorization_endpoint"],
        token=document["token_endpoint"],
        keys=document["jwks_uri"],
        userinfo=userinfo if _is_endpoint(userinfo, issuer) else None,
        algorithms=tuple(name for name in id_token.ALGORITHMS if name in offered),
        basic="client_secret_basic" in methods,
    )


def _is_endpoint(url: Any, issuer: str) -> bool:
    """Whether an endpoint may be asked: https; another scheme only where the issuer is the very same place.

    A provider must not make us ask what listens on our own loopback, such as Lambda's runtime API.
    """
    if not isinstance(url, str) or not is_secure(url):
        return False
    theirs, own = urlsplit(url), urlsplit(issuer)
    return theirs.scheme == "https" or (theirs.scheme, theirs.netloc) == (own.scheme, own.netloc)


def tokens_of(reply: Reply) -> Mapping[str, Any]:
    """A token endpoint's answer. ProviderRefused where the code is not good, ProviderFailed where we are not."""
    body = reply.body
    if not isinstance(body, dict):
        raise ProviderFailed("The log-in provider's answer holds no tokens. Try again later.")
    error = body.get("error")
    if error in {"invalid_grant", "bad_verification_code"}:
        raise ProviderRefused("the provider does not know the code")
    if error is not None or reply.status != 200:
        raise ProviderFailed("The log-in provider refuses this stack's client. Tell an operator.")
    return body
