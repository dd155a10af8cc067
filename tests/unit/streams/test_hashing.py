"""Which shard a record goes to."""

from hashlib import md5

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.streams.fakes import even_shards
from weir.streams.hashing import HASH_KEYS, ShardMap, hash_of, shard_for
from weir.streams.models import Shard


def test_the_hash_is_the_md5_of_the_key_in_utf_8() -> None:
    assert hash_of("naïve") == int(md5("naïve".encode()).hexdigest(), 16)


@given(key=st.text(min_size=1, max_size=256), count=st.integers(1, 64))
def test_the_shard_is_the_one_whose_range_holds_the_hash(key: str, count: int) -> None:
    # Given an even split, When a key is routed, by any of the ways
    shards = even_shards(count)
    found = ShardMap(shards).shard_for(key)

    # Then the shard's range holds its hash
    shard = next(shard for shard in shards if shard.shard_id == found)
    assert int(shard.starting_hash_key) <= hash_of(key) <= int(shard.ending_hash_key)
    assert shard_for(key, None, shards) == found


@given(count=st.integers(1, 64), hash_key=st.integers(0, HASH_KEYS - 1))
def test_an_explicit_hash_key_wins(count: int, hash_key: int) -> None:
    shards = even_shards(count)
    routes = ShardMap(shards)
    start, end = routes.range_of(routes.shard_for("whatever", str(hash_key)))
    assert start <= hash_key <= end


def test_closed_shards_take_nothing() -> None:
    # Given a shard that was split in two
    parent = even_shards(1)[0].model_copy(update={"shard_id": "parent", "open": False})
    children = even_shards(2)

    # When routes are made, Then only the children have one
    routes = ShardMap([parent, *children])
    assert routes.shard_ids == tuple(child.shard_id for child in children)
    assert len(routes) == 2


def test_a_stream_without_an_open_shard_is_refused() -> None:
    closed: list[Shard] = [even_shards(1)[0].model_copy(update={"open": False})]
    with pytest.raises(ValueError, match="without an open shard"):
        ShardMap(closed)


def test_the_cache_is_bounded_and_does_not_change_answers() -> None:
    # Given more keys than the cache holds
    routes = ShardMap(even_shards(7))
    first = [routes.shard_for(f"key-{number}") for number in range(70_000)]

    # When the first of them are asked again, Then the answer is the same
    assert [routes.shard_for(f"key-{number}") for number in range(100)] == first[:100]
