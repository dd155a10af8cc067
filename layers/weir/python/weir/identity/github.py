"""GitHub's log-in: OAuth without OpenID Connect, so that its API is asked who it was.

A user's id is a number, and stays; a log-in name can be given up and taken by another. PKCE since July 2025.
https://docs.github.com/en/apps/oauth-apps/building-oauth-apps/authorizing-oauth-apps
"""

from typing import Any
from urllib.parse import urlencode

from weir.identity.oauth_errors import ProviderFailed
from weir.identity.oidc import Account, Answered, Asked, tokens_of
from weir.identity.outbound import Web
from weir.identity.providers import Provider


class GitHub:
    """Speaks to GitHub, or a GitHub Enterprise Server. The same methods as ``Oidc``."""

    def __init__(self, web: Web) -> None:
        self._web = web

    def authorize_url(self, provider: Provider, asked: Asked, until: float) -> str:  # noqa: ARG002 (as Oidc's)
        """Where to send the browser."""
        query = {
            "client_id": provider.client_id,
            "redirect_uri": asked.callback,
            "scope": " ".join(provider.scopes),
            "state": asked.state,
            "code_challenge": asked.challenge,
            "code_challenge_method": "S256",
        }
        return f"{provider.base_url}/login/oauth/authorize?{urlencode(query)}"

    def account(self, provider: Provider, answered: Answered, until: float) -> Account:
        """Whose code it is. ProviderRefused, ProviderFailed and ProviderTimeout as ``Oidc`` tells."""
        fields = {
            "client_id": provider.client_id,
            "client_secret": provider.client_secret,
            "code": answered.code,
            "redirect_uri": answered.callback,
            "code_verifier": answered.verifier,
        }
        tokens = tokens_of(self._web.post(f"{provider.base_url}/login/oauth/access_token", fields, until, {}))
        token = tokens.get("access_token")
        if not isinstance(token, str) or not token or not token.isascii() or not token.isprintable():
            raise ProviderFailed("GitHub's answer holds no token. Try again later.")
        user = self._api(provider, "/user", token, until)
        if not isinstance(user, dict) or type(user.get("id")) is not int:
            raise ProviderFailed("GitHub does not tell who logged in. Try again later.")
        emails = self._api(provider, "/user/emails?per_page=100", token, until)
        name = user.get("login")
        return Account(str(user["id"]), _primary(emails), name if isinstance(name, str) else None)

    def _api(self, provider: Provider, path: str, token: str, until: float) -> Any:
        headers = {"Authorization": f"Bearer {token}", "Accept": "application/vnd.github+json"}
        reply = self._web.get(f"{provider.api_url}{path}", until, headers)
        if reply.status != 200:
            raise ProviderFailed("GitHub does not tell who logged in. Try again later.")
        return reply.body


def _primary(emails: Any) -> str | None:
    """The primary address, where GitHub has verified it: the others may be anybody's to add."""
    for each in emails if isinstance(emails, list) else []:
        if isinstance(each, dict) and each.get("primary") is True and each.get("verified") is True:
            address = each.get("email")
            return address if isinstance(address, str) else None
    return None
