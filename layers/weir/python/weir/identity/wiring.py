"""The composition root of identity: adapters made once for a process, from its settings, handed to the use cases."""

from dataclasses import dataclass
from functools import lru_cache

from weir.identity.keyring import Keyring
from weir.identity.table import table
from weir.identity.user_store import Users
from weir.runtime import secrets
from weir.runtime.clock import SYSTEM, Clock
from weir.runtime.dynamodb import Table
from weir.runtime.settings import Settings, settings


@dataclass(frozen=True, slots=True)
class Deps:
    """What the use cases of identity speak to."""

    table: Table
    users: Users
    keyring: Keyring
    settings: Settings
    clock: Clock = SYSTEM


@lru_cache(maxsize=1)
def deps() -> Deps:
    """This process's. SettingsError where the table, the signing secret or the tokens' issuer is not configured."""
    conf = settings(needs=("identity_table", "signing_secret_arn", "token_issuer"))
    items = table()
    keyring = Keyring(lambda stage: secrets.version(conf.signing_secret_arn, stage), SYSTEM.monotonic)
    return Deps(items, Users(items), keyring, conf)
