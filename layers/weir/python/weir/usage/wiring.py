"""The composition root of usage: adapters made once for a process, from its settings, handed to the use cases."""

from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from typing import TYPE_CHECKING

from weir.runtime.clock import SYSTEM, Clock
from weir.runtime.dynamodb import Table
from weir.runtime.settings import Settings, settings
from weir.usage.cap_store import CapStore, KnownCaps
from weir.usage.caps import Default, defaults_of
from weir.usage.counter_table import TableCounters
from weir.usage.counters import Counters
from weir.usage.metering import Meter
from weir.usage.price_store import PriceStore
from weir.usage.prices import Prices
from weir.usage.records import Recorder
from weir.usage.table import table

if TYPE_CHECKING:
    from weir.usage.rolling import Rolling
    from weir.usage.summaries import Summaries


@dataclass(frozen=True, slots=True)
class Deps:
    """What the use cases of usage speak to."""

    table: Table
    counters: Counters
    caps: CapStore
    defaults: tuple[Default, ...]
    recorder: Recorder
    settings: Settings
    clock: Clock = SYSTEM


@lru_cache(maxsize=1)
def deps() -> Deps:
    """This process's. SettingsError where the table is not configured, or the default caps can't be read."""
    conf = settings(needs=("usage_table",))
    found = table()
    return Deps(
        table=found,
        counters=_counters(found, conf.counter_store),
        caps=CapStore(found, SYSTEM),
        defaults=defaults_of(conf.default_caps),
        recorder=Recorder(found, SYSTEM, timedelta(days=conf.usage_kept_days)),
        settings=conf,
    )


@lru_cache(maxsize=1)
def meter() -> Meter:
    """This process's meter. SettingsError as ``deps``."""
    made = deps()
    kept = float(made.settings.caps_kept_seconds)
    known = KnownCaps(made.caps, made.defaults, kept, made.clock)
    prices = Prices(PriceStore(made.table, made.clock).of_model, made.clock.monotonic, kept)
    return Meter(made.counters, known, prices, made.recorder, made.clock)


@lru_cache(maxsize=1)
def summaries() -> "Summaries":
    """This process's summaries. SettingsError as ``deps``."""
    from weir.usage.summaries import Summaries  # the gateway has no use for it, nor for the next one

    made = deps()
    return Summaries(made.table, made.clock, timedelta(days=made.settings.usage_kept_days))


@lru_cache(maxsize=1)
def rolling() -> "Rolling":
    """This process's rolling-up. SettingsError as ``deps``."""
    from weir.usage.rolling import Rolling

    made = deps()
    return Rolling(made.table, summaries(), made.clock, timedelta(days=made.settings.usage_kept_days))


def _counters(found: Table, store: str) -> Counters:
    """The store of counters that is configured: the table, or the Redis or Valkey of an address."""
    if not store:
        return TableCounters(found)
    from weir.usage.valkey import ValkeyCounters, connected  # the library is an extra, for who has such a store

    return ValkeyCounters(connected(store))
