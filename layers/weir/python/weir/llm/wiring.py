"""The composition root of models: adapters made once for a process, from its settings, handed to the use cases."""

from functools import lru_cache

from weir.llm.providers import Deps
from weir.llm.routing import Routing
from weir.llm.secrets import Vault
from weir.llm.store import Store
from weir.llm.table import table
from weir.runtime import aws
from weir.runtime.clock import SYSTEM
from weir.runtime.settings import settings


@lru_cache(maxsize=1)
def deps() -> Deps:
    """What admins' changes speak to. SettingsError where the table or the secrets' prefix is not configured."""
    conf = settings(needs=("llm_table", "provider_secret_prefix"))
    vault = Vault(aws.client("secretsmanager"), conf.provider_secret_prefix, conf.provider_secret_kms_key)
    return Deps(Store(table(), SYSTEM), vault)


@lru_cache(maxsize=1)
def routing() -> Routing:
    """The routes, as calls follow them. SettingsError where the table is not configured."""
    return Routing(Store(table(), SYSTEM), SYSTEM.monotonic)
