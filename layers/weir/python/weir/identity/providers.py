"""The providers that people log in by, from the secret that the operator writes.

A JSON object by name: ``{"google": {"client_id": "...", "client_secret": "..."}, "github": {...}, "corp": {"issuer":
"https://login.example", "client_id": "...", "client_secret": "...", "scopes": ["openid", "email"]}}``. ``google`` and
``github`` need no issuer; ``github`` takes ``base_url`` and ``api_url`` of an Enterprise Server; any other is an OpenID
Connect issuer, found by discovery.

A name stays with its issuer: users are known by name and subject, so that another issuer under an old name could stand
for users of the old one. A provider's word for a verified e-mail address is taken: name only those that you trust with
that.

Issuers are https. A loopback address over http is taken where the operator wrote it, here: nobody stands between a
machine and itself, and the local AWS has no certificate.

An entry that can't be used leaves out its provider alone. The log tells which, and why.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import urlsplit

from weir.identity.oauth_clients import is_secure
from weir.identity.oauth_errors import BadProviders, UnknownProvider
from weir.runtime.errors import WeirError
from weir.runtime.observability import logger

Kind = Literal["oidc", "github"]
KEPT_SECONDS = 300.0
AGAIN_SECONDS = 30.0
"""A name that is not known makes the secret be read anew, and so does a read that failed: no more often, for anybody
can make a name up, and anybody asks.
"""

OUTLASTS_SECONDS = 3_600.0
"""How long the providers read last are used on while the secret can't be."""

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
_FIELDS = {"kind", "issuer", "client_id", "client_secret", "scopes", "base_url", "api_url"}
_DEFAULTS: dict[str, dict[str, str]] = {
    "google": {"issuer": "https://accounts.google.com"},
    "github": {"kind": "github", "base_url": "https://github.com", "api_url": "https://api.github.com"},
}
_SCOPES: dict[Kind, tuple[str, ...]] = {"oidc": ("openid", "email", "profile"), "github": ("read:user", "user:email")}


@dataclass(frozen=True, slots=True)
class Provider:
    """A provider. ``issuer`` is an ``oidc`` one's, ``base_url`` and ``api_url`` are GitHub's, without a last slash."""

    name: str
    kind: Kind
    client_id: str
    client_secret: str = field(repr=False)
    scopes: tuple[str, ...] = ()
    issuer: str = ""
    base_url: str = ""
    api_url: str = ""


class Providers:
    """The providers, read anew when those known are older than five minutes, or an unknown one is asked for.

    Parameters
    ----------
    secret
        Answers the secret's text; WeirError where it can't be read.
    monotonic
        Answers seconds.
    """

    def __init__(self, secret: Callable[[], str], monotonic: Callable[[], float]) -> None:
        self._secret, self._monotonic = secret, monotonic
        self._known: Mapping[str, Provider] = {}
        self._read_at = self._tried_at = float("-inf")
        self._failure: WeirError | None = None

    def all(self) -> Mapping[str, Provider]:
        """Every provider by its name. BadProviders or another WeirError where the secret can't be used or read."""
        return self._of_age(KEPT_SECONDS)

    def named(self, name: str) -> Provider:
        """The provider of a name, else UnknownProvider. Beside, as ``all``."""
        known = self.all() if name in self._known else self._of_age(AGAIN_SECONDS)
        if name not in known:
            raise UnknownProvider("There is no such log-in provider. GET /auth/providers names those there are.")
        return known[name]

    def _of_age(self, seconds: float) -> Mapping[str, Provider]:
        """What is known, and was read less than so many seconds ago, or can't be read anew."""
        now = self._monotonic()
        if now - self._read_at >= seconds and now - self._tried_at >= AGAIN_SECONDS:
            self._try(now)
        if self._failure is not None and now - self._read_at >= OUTLASTS_SECONDS:
            raise self._failure.with_traceback(None)  # the very error, told again: it would gather the way of each
        return self._known

    def _try(self, now: float) -> None:
        self._tried_at = now
        try:
            self._known, wrong = read(self._secret())
        except WeirError as error:
            self._failure = error
            logger().error("the log-in providers can't be read; those known serve on", extra={"reason": str(error)})
            return
        self._read_at, self._failure = now, None
        for one in wrong:
            logger().error("a log-in provider is left out", extra={"reason": one.reason})


def read(text: str) -> tuple[Mapping[str, Provider], tuple[BadProviders, ...]]:
    """The providers in the secret's text, and what is wrong with the other entries.

    BadProviders where it is no JSON object. It names what is wrong, never a value: that may be a secret.
    """
    try:
        document = json.loads(text)
    except ValueError:
        raise BadProviders("The providers' secret is no JSON.") from None  # its cause would quote it
    if not isinstance(document, dict):
        raise BadProviders("The providers' secret is no JSON object of providers by name.")
    known, wrong = {}, []
    for name, given in sorted(document.items()):
        try:
            known[name] = _provider(name, given)
        except BadProviders as error:
            wrong.append(error)
    return known, tuple(wrong)


def _provider(name: str, given: Any) -> Provider:
    if not _NAME.fullmatch(name):
        raise BadProviders("A name in the providers' secret is not made of a-z, 0-9 and -, 32 at most.")
    if not isinstance(given, dict) or (unknown := sorted(set(given) - _FIELDS)):
        raise _wrong(name, "is no object" if not isinstance(given, dict) else f"has no field {', '.join(unknown)}")
    values = {**_DEFAULTS.get(name, {}), **given}
    kind = values.get("kind", "oidc")
    if kind not in ("oidc", "github"):
        raise _wrong(name, "kind is neither oidc nor github")
    scopes = values.get("scopes", _SCOPES[kind])
    if not isinstance(scopes, list | tuple) or not all(isinstance(one, str) and one.isprintable() for one in scopes):
        raise _wrong(name, "scopes is no list of texts")
    if kind == "oidc" and "openid" not in scopes:
        raise _wrong(name, "scopes lacks openid")
    urls = {"issuer": values.get("issuer", "")} if kind == "oidc" else _github_urls(values)
    for each, url in urls.items():
        if not isinstance(url, str) or not is_secure(url) or urlsplit(url).query:
            raise _wrong(name, f"{each} is no https address")
    for each in ("client_id", "client_secret"):
        if not isinstance(values.get(each), str) or not values[each]:
            raise _wrong(name, f"{each} is missing")
    return Provider(name, kind, values["client_id"], values["client_secret"], tuple(scopes), **urls)


def _github_urls(values: Mapping[str, Any]) -> dict[str, Any]:
    """GitHub's addresses; an Enterprise Server has its API below its own."""
    base = str(values.get("base_url", _DEFAULTS["github"]["base_url"])).rstrip("/")
    own = base == _DEFAULTS["github"]["base_url"]
    given = values.get("api_url")
    if given in (None, _DEFAULTS["github"]["api_url"]):
        given = _DEFAULTS["github"]["api_url"] if own else f"{base}/api/v3"
    return {"base_url": base, "api_url": str(given).rstrip("/")}


def _wrong(name: str, what: str) -> BadProviders:
    return BadProviders(f"The provider {name} in the providers' secret can't be used: {what}.")
