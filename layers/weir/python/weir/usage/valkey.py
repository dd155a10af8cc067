"""Counters in Valkey, or Redis: the same as in DynamoDB, in a hash a counter, each change one script.

For subjects hotter than a partition of DynamoDB, and where half a millisecond matters. What is counted is lost with the
server, unless it writes to disk (``appendfsync always``); records, caps and summaries stay in DynamoDB. A count is 64
bits wide: a subject may use up to nine million dollars a month. Numbers are compared as texts, for Lua's are exact only
up to 2^53, which is nine thousand dollars. https://valkey.io/topics/eval-intro/
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from weir.runtime.errors import Unavailable
from weir.usage.counters import RESERVED, Count, Place, Reservation, Room, Told, count_of
from weir.usage.windows import MEASURES, buckets, counter

if TYPE_CHECKING:
    import redis

KEPT = timedelta(days=40)
"""How long a counter stays after the last call that it has counted: longer than any window."""

_SECONDS = 2.0
"""How long an answer is waited for."""

_RESERVE = """
local function above(one, other)
  if string.sub(one, 1, 1) == '-' then return false end
  if #one ~= #other then return #one > #other end
  return one > other
end
local key, name, text, kept = KEYS[1], ARGV[1], ARGV[2], ARGV[3]
if redis.call('HEXISTS', key, name) == 1 then return {0, redis.call('HGETALL', key)} end
local at = 5
for _ = 1, tonumber(ARGV[4]) do
  if above(redis.call('HGET', key, ARGV[at]) or '0', ARGV[at + 1]) then return {0, redis.call('HGETALL', key)} end
  at = at + 2
end
for one = at, #ARGV, 2 do redis.call('HINCRBY', key, ARGV[one], ARGV[one + 1]) end
redis.call('HSET', key, name, text)
redis.call('EXPIRE', key, kept)
return {1, redis.call('HGETALL', key)}
"""

_EXCHANGE = """
local key, name, before, after = KEYS[1], ARGV[1], ARGV[2], ARGV[3]
if redis.call('HGET', key, name) ~= before then return {0, redis.call('HGETALL', key)} end
local at = 5
for _ = 1, tonumber(ARGV[4]) do
  redis.call('HINCRBY', key, ARGV[at], ARGV[at + 1])
  at = at + 2
end
for one = at, #ARGV do redis.call('HDEL', key, ARGV[one]) end
if after == '' then redis.call('HDEL', key, name) else redis.call('HSET', key, name, after) end
return {1, redis.call('HGETALL', key)}
"""


class ValkeyCounters:
    """The counters of a server. Unavailable where it does not answer."""

    def __init__(self, client: "redis.Redis") -> None:
        self._client = client
        self._reserve, self._exchange = client.register_script(_RESERVE), client.register_script(_EXCHANGE)

    def reserve(self, place: Place, reservation: Reservation, rooms: Sequence[Room]) -> Told:
        """As ``Counters`` tells."""
        amounts = {one: getattr(reservation.amount, one) for one in MEASURES}
        limits = [part for room in rooms for part in (counter(room.bucket, room.measure), room.most)]
        adds = [
            part
            for bucket in buckets(reservation.moment).values()
            for measure, amount in amounts.items()
            if amount
            for part in (counter(bucket, measure), amount)
        ]
        kept = int(KEPT.total_seconds())
        args = [f"{RESERVED}{reservation.reservation_id}", reservation.text, kept, len(rooms), *limits, *adds]
        with _answered():
            told = _told(self._reserve(keys=[_key(place)], args=args))
        return Told(told.done or told.count.reservations.get(reservation.reservation_id) == reservation, told.count)

    def exchange(
        self,
        place: Place,
        before: Reservation,
        after: Reservation | None,
        deltas: Mapping[str, int],
        stale: Sequence[str] = (),
    ) -> Told:
        """As ``Counters`` tells."""
        changes = [part for name, change in deltas.items() for part in (name, change)]
        gone = [name for name in stale if name not in deltas]
        texts = [before.text, after.text if after is not None else ""]
        args = [f"{RESERVED}{before.reservation_id}", *texts, len(deltas), *changes, *gone]
        with _answered():
            return _told(self._exchange(keys=[_key(place)], args=args))

    def read(self, places: Sequence[Place]) -> list[Count]:
        """As ``Counters`` tells; all in one round trip."""
        with _answered():
            pipeline = self._client.pipeline(transaction=False)
            for place in places:
                pipeline.hgetall(_key(place))
            return [count_of(found) for found in pipeline.execute()]


def connected(address: str) -> "redis.Redis":
    """A client of a server such as ``rediss://user:password@host:6379/0``. What fails is sent again: it is harmless."""
    import redis
    from redis.backoff import ExponentialWithJitterBackoff
    from redis.retry import Retry

    return redis.Redis.from_url(
        address,
        decode_responses=True,
        socket_timeout=_SECONDS,
        socket_connect_timeout=_SECONDS,
        retry=Retry(ExponentialWithJitterBackoff(cap=0.2, base=0.02), 2),
        health_check_interval=30,
    )


def _key(place: Place) -> str:
    return f"weir:count:{place.subject.kind}:{place.subject.id}:{place.shard}"


def _told(answer: Any) -> Told:
    done, flat = answer
    return Told(bool(done), count_of(dict(zip(flat[::2], flat[1::2], strict=True))))


@contextmanager
def _answered() -> Iterator[None]:
    import redis

    try:
        yield
    except redis.RedisError as error:
        raise Unavailable("The store of counters does not answer; try again shortly.", retry_after=1) from error
