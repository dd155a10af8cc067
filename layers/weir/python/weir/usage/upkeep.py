"""What is done on a schedule: settling what nobody came to settle, and looking whose caps are nearly used up."""

from collections.abc import Iterator
from datetime import timedelta

from weir.runtime.clock import Clock
from weir.runtime.dynamodb import Table
from weir.usage.browsing import active
from weir.usage.cap_store import CapStore
from weir.usage.caps import Default, of_user
from weir.usage.counters import Place
from weir.usage.models import Cap, Subject
from weir.usage.table import day_of


def users(table: Table, clock: Clock) -> list[str]:
    """Who was active today or yesterday: whoever has anything set aside is, for no call lasts a day."""
    now = clock.now()
    days = (day_of(now - timedelta(days=1)), day_of(now))
    return list(dict.fromkeys(user for day in days for user in active(table, day)))


def places(table: Table, store: CapStore, clock: Clock) -> list[Place]:
    """Every counter on which something may be set aside: those of users first, for the others follow them."""
    found = [Place(Subject("user", one)) for one in users(table, clock)]
    for cap in store.all():
        if cap.subject.kind != "user":
            found += [Place(cap.subject, shard) for shard in range(cap.shards)]
    return list(dict.fromkeys(found))


def caps(table: Table, store: CapStore, defaults: tuple[Default, ...], clock: Clock) -> Iterator[Cap]:
    """Every cap that somebody may have come near to: all that are set, and the defaults of who was active."""
    own: dict[str, list[Cap]] = {}
    for cap in store.all():
        if cap.subject.kind == "user":
            own.setdefault(cap.subject.id, []).append(cap)
        yield cap
    for user in users(table, clock):
        yield from (cap for cap in of_user(user, own.get(user, ()), defaults) if cap.default)
