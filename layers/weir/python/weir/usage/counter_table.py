"""Counters in DynamoDB: one item a counter, one conditional write a change.

The names of counts are words that expressions may hold as they are.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/WorkingWithItems.html#WorkingWithItems.AtomicCounters
"""

from collections.abc import Mapping, Sequence

from weir.runtime.dynamodb import Item, Outcome, Table
from weir.usage.counters import NOTHING, RESERVED, Count, Place, Reservation, Room, Told, count_of
from weir.usage.shapes import SHAPES
from weir.usage.table import SCHEMA, count_key
from weir.usage.windows import MEASURES, buckets, counter

KEPT_SECONDS = 40 * 86_400
"""How long a counter stays after the last call that it has counted: longer than any window."""

_MOST_IN_A_READ = 100
_SET_ASIDE = "SET #r = :r, #ttl = :ttl, #schema = :schema"


class TableCounters:
    """The counters of a table."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def reserve(self, place: Place, reservation: Reservation, rooms: Sequence[Room]) -> Told:
        """As ``Counters`` tells: one write, whether it is done or not."""
        amounts: dict[str, int] = {one: getattr(reservation.amount, one) for one in MEASURES}
        adds = [
            f"{counter(bucket, measure)} :{measure}"
            for bucket in buckets(reservation.moment).values()
            for measure in MEASURES
            if amounts[measure]
        ]
        most = {counter(room.bucket, room.measure): room.most for room in rooms}
        told = _told(
            self._table.update(
                count_key(place),
                _SET_ASIDE + (f" ADD {', '.join(adds)}" if adds else ""),
                when=" AND ".join(
                    [
                        "attribute_not_exists(#r)",
                        *(f"(attribute_not_exists({name}) OR {name} <= :m{name})" for name in most),
                    ]
                ),
                values={
                    **{measure: amount for measure, amount in amounts.items() if amount},
                    **{f"m{name}": count for name, count in most.items()},
                    "r": reservation.text,
                    "ttl": reservation.admitted_at // 1000 + KEPT_SECONDS,
                    "schema": SCHEMA,
                },
                names={"r": _name(reservation), "ttl": "ttl", "schema": "schema"},
            )
        )
        is_ours = told.done or told.count.reservations.get(reservation.reservation_id) == reservation
        return Told(is_ours, told.count)

    def exchange(
        self,
        place: Place,
        before: Reservation,
        after: Reservation | None,
        deltas: Mapping[str, int],
        stale: Sequence[str] = (),
    ) -> Told:
        """As ``Counters`` tells: one write, whether it is done or not."""
        gone = {f"g{number}": name for number, name in enumerate(stale) if name not in deltas}
        removed = [f"#{name}" for name in gone] + (["#r"] if after is None else [])
        parts = [
            f"ADD {', '.join(f'{name} :{name}' for name in deltas)}" if deltas else "",
            "SET #r = :after" if after is not None else "",
            f"REMOVE {', '.join(removed)}" if removed else "",
        ]
        return _told(
            self._table.update(
                count_key(place),
                " ".join(part for part in parts if part),
                when="#r = :before",
                values={"before": before.text, **({"after": after.text} if after is not None else {}), **deltas},
                names={"r": _name(before), **gone},
                returned=False,
            )
        )

    def read(self, places: Sequence[Place]) -> list[Count]:
        """As ``Counters`` tells; a hundred in a call."""
        found: dict[str, Count] = {}
        for first in range(0, len(places), _MOST_IN_A_READ):
            keys = list({str(key): key for key in map(count_key, places[first : first + _MOST_IN_A_READ])}.values())
            found |= {item["pk"]: count_of(SHAPES.current(item)) for item in self._table.get_many(keys)}
        return [found.get(count_key(place)["pk"], NOTHING) for place in places]


def _name(reservation: Reservation) -> str:
    return f"{RESERVED}{reservation.reservation_id}"


def _told(outcome: Outcome) -> Told:
    item: Item | None = outcome.item
    return Told(outcome.done, NOTHING if item is None else count_of(SHAPES.current(item)))
