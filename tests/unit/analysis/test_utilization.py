"""The formulas, each against numbers worked out by hand."""

import pytest

from tests.unit.analysis.measurements import arrivals, measured, series, shard
from weir.analysis.utilization import (
    Load,
    average_load,
    cloudwatch_peak,
    peak_load,
    read_utilization,
    utilization,
    write_utilization,
)


def test_write_utilization_is_the_scarcer_of_bytes_and_records() -> None:
    # 2 shards take 2,097,152 B/s and 2,000 records/s
    assert write_utilization(1_048_576, 500, 2) == 0.5  # bytes: 1/2, records: 1/4
    assert write_utilization(104_857.6, 1_500, 2) == 0.75  # bytes: 1/20, records: 3/4


def test_read_utilization_is_of_two_mebibytes_a_shard() -> None:
    assert read_utilization(3 * 2_097_152 / 4, 3) == 0.25


@pytest.mark.parametrize(
    ("load", "terms", "shards"),
    [
        # 2,500 records/s of 100 B: 244.14 KiB/s in, nothing known of reading; records need 2.5 shards
        (Load(2_500, 250_000), (250_000 / 1_048_576, None, 2.5), 3),
        # 3 MiB/s in 300 records: bytes in need exactly 3, bytes out 1.5
        (Load(300, 3 * 1_048_576, 3 * 1_048_576), (3.0, 1.5, 0.3), 3),
        # three readers of 2 MiB/s: 6 MiB/s out needs 3, in needs 2
        (Load(300, 2 * 1_048_576, 6 * 1_048_576), (2.0, 3.0, 0.3), 3),
        # an idle stream still has a shard
        (Load(0.1, 10), (10 / 1_048_576, None, 0.0001), 1),
    ],
)
def test_shards_needed_by_hand(load: Load, terms: tuple[float, float | None, float], shards: int) -> None:
    assert load.terms == pytest.approx(terms)
    assert load.shards == shards


def test_the_average_is_over_the_time_of_inserting() -> None:
    # Given 10,000 records of 256 B in 10 s, all read in 12.5 s
    load = average_load(measured())

    # Then 1,000 records/s, 256,000 B/s in, 204,800 B/s out
    assert load == Load(1000.0, 256_000.0, 204_800.0)


def test_what_is_not_known_gives_no_average() -> None:
    assert average_load(measured(insert_seconds=None)) is None
    assert average_load(measured(bytes=None)) is None
    unread = average_load(measured(shards=(shard(0), shard(1, read_bytes=None))))
    assert unread is not None
    assert unread.bytes_out is None


def test_the_peak_is_of_the_whole_stream_in_one_second() -> None:
    # Given two shards whose busiest seconds differ
    m = measured(shards=(shard(0, arrivals=arrivals(100, 900)), shard(1, arrivals=arrivals(800, 300))))

    # Then the stream's busiest second has 1,200 records, of 256 B as the mean is
    assert peak_load(m) == Load(1200.0, 1200 * 256.0, 1200 * 256.0)


def test_bytes_of_the_peak_are_counted_where_the_shards_counted_them() -> None:
    # Given a second of few but large records
    big = shard(0, arrivals=arrivals(10, 2), arrival_bytes=arrivals(100, 5_000_000))
    assert peak_load(measured(shards=(big,))) == Load(10.0, 5_000_000.0, 5_000_000.0)


def test_a_minute_hides_the_burst_that_a_second_shows() -> None:
    # Given 2,000 records in one second of a minute, over 2 shards
    m = measured(shards=(shard(0, arrivals=arrivals(1_000)), shard(1, arrivals=arrivals(1_000))), bytes=0)
    used = utilization(m)

    # Then the second is full and the minute nearly empty: 2,000 / 60 / 2,000
    assert used.write_peak_second == 1.0
    assert used.write_peak_minute == pytest.approx(1 / 60)


def test_utilization_of_the_healthy_run() -> None:
    used = utilization(measured())
    assert used.write_average == 0.5  # 1,000 of 2,000 records/s
    assert used.write_peak_second == 0.5
    assert used.read_average == pytest.approx(204_800 / 4_194_304)
    assert utilization(measured(open_shards=None)).write_average is None


def test_cloudwatch_utilization_needs_both_metrics_in_a_period() -> None:
    # Given a busy second minute whose IncomingRecords point is missing
    m = measured(
        cloudwatch=(
            series("IncomingBytes", 62_914_560.0, 120_000_000.0),  # 1 MiB/s in the first minute
            series("IncomingRecords", 30_000.0),  # 500/s
            series("GetRecords.Bytes", 125_829_120.0),  # 2 MiB/s
        )
    )

    # Then only the first counts: 1 of 2 MiB/s written, 2 of 4 read
    assert cloudwatch_peak(m) == (0.5, 0.5)
    assert cloudwatch_peak(measured(cloudwatch=None)) == (None, None)
