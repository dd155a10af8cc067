"""Hot shards and hot keys, and what looks like them without being any."""

import random

from tests.unit.analysis.measurements import arrivals, evidence, found, measured, shard


def test_a_shard_well_above_the_mean_near_its_quota_is_a_warning() -> None:
    # Given 3 shards, one of which took 900 records in a second, three times the mean's load
    shards = (shard(0, 900, arrivals=arrivals(900)), shard(1, 100), shard(2, 200))
    finding = found(measured(shards=shards, open_shards=3))["hot-shard"]

    # Then it is named, with its multiple of the mean of 400
    assert finding.severity == "warning"
    assert "shardId-000000000000" in finding.title
    assert evidence(finding)["shardId-000000000000, times the mean"] == 2.25
    assert evidence(finding)["mean of a shard"] == 400.0
    assert evidence(finding)["shardId-000000000000, busiest second"] == 900.0


def test_a_hot_shard_far_from_its_quota_is_information() -> None:
    shards = (shard(0, 9000, arrivals=arrivals(*[90] * 100)), shard(1, 1000), shard(2, 2000))
    assert found(measured(shards=shards, open_shards=3))["hot-shard"].severity == "info"


def test_throttles_on_one_shard_of_a_stream_with_room_are_heat() -> None:
    # Given an even split at a quarter of capacity, and throttles on one shard only
    shards = (shard(0, 2500, throttled=80), shard(1, 2500))
    finding = found(measured(shards=shards, accepted=5000, seen=5000, planned=5000, throttled=80))["hot-shard"]

    # Then that shard is hot within its seconds
    assert finding.severity == "warning"
    assert evidence(finding)["shardId-000000000000, throttled"] == 80


def test_throttles_everywhere_or_in_a_full_stream_are_not_heat() -> None:
    everywhere = (shard(0, 2500, throttled=80), shard(1, 2500, throttled=90))
    assert "hot-shard" not in found(measured(shards=everywhere, accepted=5000, throttled=170))
    full = (shard(0, 9900, throttled=80), shard(1, 9900))
    assert "hot-shard" not in found(measured(shards=full, accepted=19_800, throttled=80))


def test_the_noise_of_small_numbers_is_not_heat() -> None:
    # Given 200 records routed at random over 64 shards: some get thrice the mean by chance
    chance = random.Random(7)
    counts = [0] * 64
    for _ in range(200):
        counts[chance.randrange(64)] += 1
    assert max(counts) > 1.5 * 200 / 64

    # Then no shard is called hot
    shards = tuple(shard(i, n) for i, n in enumerate(counts))
    assert "hot-shard" not in found(measured(shards=shards, open_shards=64))


def test_an_unknown_or_lone_shard_is_not_compared() -> None:
    unknown = (shard(0, 90_000), shard(1, accepted_records=None, read_records=None))
    assert "hot-shard" not in found(measured(shards=unknown))
    assert "hot-shard" not in found(measured(shards=(shard(0, 90_000),), open_shards=1))


def test_only_the_hottest_are_told_one_by_one() -> None:
    # Given 8 hot shards among 64
    shards = tuple(shard(i, 9000 if i < 8 else 100) for i in range(64))
    finding = found(measured(shards=shards, open_shards=64))["hot-shard"]
    assert finding.title.startswith("8 shards were hot")
    assert sum(name.endswith(", records") for name in evidence(finding)) == 5


def test_a_key_bigger_than_a_shards_fair_share_is_hot() -> None:
    # Given 10,000 records over 4 shards, 4,000 of them with one key
    m = measured(open_shards=4, top_keys=(("tenant-1", 4000), ("tenant-2", 2000)))
    finding = found(m)["hot-key"]

    # Then 40 % are told, against a fair share of 2,500
    assert '"tenant-1"' in finding.title
    assert evidence(finding)["its share of the records"] == 40.0
    assert evidence(finding)["fair share of a shard"] == 2500.0
    assert evidence(finding)["hot keys"] == 1


def test_even_keys_or_one_shard_have_no_hot_key() -> None:
    assert "hot-key" not in found(measured(open_shards=2, top_keys=(("a", 5000), ("b", 5000))))
    assert "hot-key" not in found(measured(open_shards=1, top_keys=(("a", 10_000),)))
    assert "hot-key" not in found(measured(top_keys=()))


def test_a_long_key_is_shortened() -> None:
    finding = found(measured(open_shards=4, top_keys=(("k" * 256, 9000),)))["hot-key"]
    assert len(finding.title) < 120


def test_a_hot_shard_hurts_from_four_fifths_of_its_quota() -> None:
    # Given a hot shard whose busiest second has 800, or 799, of 1,000 records
    def severity(peak: int) -> str:
        shards = (shard(0, 8000, arrivals=arrivals(peak)), shard(1, 1000), shard(2, 1000))
        return found(measured(shards=shards, open_shards=3))["hot-shard"].severity

    # Then only the first hurts
    assert (severity(800), severity(799)) == ("warning", "info")


def test_large_records_heat_a_shard_by_their_bytes() -> None:
    # Given 100 records a second of 10,000 B: 1,000,000 of 1,048,576 B/s
    shards = (shard(0, 8000, arrivals=arrivals(*[100] * 80)), shard(1, 1000), shard(2, 1000))
    finding = found(measured(shards=shards, open_shards=3, bytes=10_000 * 10_000))["hot-shard"]
    assert finding.severity == "warning"
    assert finding.advice.startswith("Spread the partition keys")


def test_the_hottest_is_told_first_and_the_streams_use_beside_it() -> None:
    shards = (shard(0, 5000), shard(1, 9000), *(shard(i, 100) for i in range(2, 10)))
    finding = found(measured(shards=shards, open_shards=10))["hot-shard"]
    assert "shardId-000000000001 carried" in finding.title
    assert evidence(finding)["write utilization, average"] == 10.0
