"""The composition root of packages: adapters made once for a process, from its settings, handed to the use cases."""

from dataclasses import dataclass
from functools import lru_cache

from weir.packages.bucket import PackagesBucket, bucket
from weir.packages.store import Store
from weir.packages.table import table
from weir.runtime.clock import SYSTEM, Clock
from weir.runtime.settings import Settings, settings


@dataclass(frozen=True, slots=True)
class Deps:
    """What the use cases of packages speak to."""

    store: Store
    bucket: PackagesBucket
    settings: Settings
    clock: Clock = SYSTEM


@lru_cache(maxsize=1)
def deps() -> Deps:
    """This process's. SettingsError where the table or the bucket is not configured."""
    conf = settings(needs=("packages_table", "packages_bucket"))
    return Deps(Store(table(), SYSTEM), bucket(), conf)
