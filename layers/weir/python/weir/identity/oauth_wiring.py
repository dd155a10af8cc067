"""The composition root of log-in by a provider, made once for a process."""

from functools import lru_cache

from weir.identity import oauth_clients
from weir.identity.github import GitHub
from weir.identity.oauth import OAuth
from weir.identity.oidc import Oidc
from weir.identity.outbound import Web
from weir.identity.providers import Providers
from weir.identity.wiring import deps
from weir.runtime import secrets
from weir.runtime.settings import settings


@lru_cache(maxsize=1)
def oauth() -> OAuth:
    """This process's. SettingsError where a client in the settings, or what is needed, is missing or wrong."""
    arn = settings(needs=("providers_secret_arn",)).providers_secret_arn
    wired = deps()
    web = Web(wired.clock.monotonic)

    def secret() -> str:
        return secrets.version(arn, "AWSCURRENT") or "{}"

    return OAuth(
        wired,
        oauth_clients.read(wired.settings.oauth_clients),
        Providers(secret, wired.clock.monotonic),
        {"oidc": Oidc(web, wired.clock), "github": GitHub(web)},
    )
