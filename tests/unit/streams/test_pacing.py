"""The schedule of a rate, and the token bucket of a shard."""

from dataclasses import replace
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weir.streams.pacing import AsFastAsPossible, Burst, Rate, Schedule, ShardPace

RATES = st.builds(
    Rate,
    st.floats(0.5, 50_000),
    st.none() | st.builds(lambda every, part, factor: Burst(every, every * part, factor),
                          st.floats(0.1, 600), st.floats(0.01, 1.0), st.floats(0.1, 50)),
)  # fmt: skip


@pytest.mark.parametrize(
    ("elapsed", "due"),
    [(-1.0, 0), (0.0, 0), (0.009, 0), (0.01, 1), (1.0, 100), (8.0, 800), (9.0, 1_300), (10.0, 1_800), (28.0, 4_400)],
)
def test_records_due_with_a_burst_at_the_end_of_each_period(elapsed: float, due: int) -> None:
    # Given 100 a second, five times that in the last two of every ten seconds
    schedule = Schedule(Rate(100, Burst(every_s=10, length_s=2, factor=5)))
    # When, then
    assert schedule.due(elapsed) == due


@given(RATES, st.integers(1, 100_000))
def test_a_record_is_due_at_its_time_and_not_before(rate: Rate, n: int) -> None:
    schedule = Schedule(rate)
    at = schedule.time_of(n)
    slack = 1e-6 * max(1.0, at, rate.burst.every_s if rate.burst else 0.0)
    assert schedule.due(at + slack) >= n
    assert schedule.due(at - slack) <= n
    assert schedule.time_of(n + 1) >= at
    assert at >= 0


@given(RATES, st.floats(0.0, 5_000.0), st.floats(0.0, 5_000.0))
def test_a_schedule_goes_on_where_another_ended(rate: Rate, first: float, second: float) -> None:
    # Given a schedule, and another one that begins when it has run for a while, and all that was due was drawn
    drawn = Schedule(rate).due(first)
    later = Schedule(replace(rate, into_s=first, drawn=drawn))
    # Then both have as many records due as the first one alone, but for rounding
    whole = Schedule(rate).due(first + second)
    assert abs(drawn + later.due(second) - whole) <= 1e-9 * whole + 1
    # and the next one is due when the first schedule says so
    assert first + later.time_of(1) == pytest.approx(Schedule(rate).time_of(drawn + 1), rel=1e-6, abs=1e-6)


def test_what_was_due_while_nobody_sent_is_made_up_at_twice_the_speed() -> None:
    # Given ten a second, of which 100 were drawn in the first 10 s, and nobody drew for 20 s more
    schedule = Schedule(Rate(10, into_s=30.0, drawn=100))
    # Then one record is due at once, then twenty a second for 20 s, and from there on ten
    assert [schedule.due(at) for at in (0.0, 1.0, 10.0, 20.0, 21.0)] == [1, 21, 201, 400, 410]
    assert [schedule.time_of(n) for n in (1, 21, 201, 410)] == pytest.approx([0.0, 1.0, 10.0, 21.0])


def test_a_record_in_an_hour_is_due_however_often_producers_change() -> None:
    # Given one record an hour / When a new producer comes every 20 s / Then it is due in the hour's last
    due = [Schedule(Rate(1 / 3_600, into_s=into)).due(20.0) for into in range(0, 3_600, 20)]
    assert due == [0] * 179 + [1]
    # and at once, where it is overdue
    assert Schedule(Rate(1 / 3_600, into_s=9_000.0)).due(0.0) == 1


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Rate(0),
        lambda: Rate(float("nan")),
        lambda: Burst(every_s=10, length_s=0, factor=2),
        lambda: Burst(every_s=10, length_s=11, factor=2),
        lambda: Burst(every_s=10, length_s=5, factor=0),
        lambda: Rate(1, into_s=-1),
        lambda: Rate(1, drawn=-1),
        lambda: AsFastAsPossible(records_per_second=0),
        lambda: AsFastAsPossible(burst_seconds=0),
    ],
)
def test_paces_that_make_no_sense_are_refused(wrong: object) -> None:
    with pytest.raises(ValueError):
        wrong()  # type: ignore[operator]


def drain(shard: ShardPace, now: float, *, size: float = 1.0) -> int:
    """Take every token that there is; how many puts that was."""
    taken = 0
    while shard.refill(now):
        shard.records -= 1
        shard.bytes -= size
        taken += 1
    return taken


def test_a_shard_takes_its_quota_and_no_more_saved_up_than_the_burst() -> None:
    # Given a shard whose rate is kept from growing by a throttle that lies just above it
    shard = ShardPace(AsFastAsPossible(burst_seconds=0.1), 0.0)
    # When nothing is sent for a minute
    first = drain(shard, 0.0)
    saved = drain(shard, 60.0)
    # Then a tenth of a second's worth was saved, give or take the growth of that tenth
    assert first == 100
    assert 100 <= saved <= 110


def test_the_rate_grows_by_half_a_second_while_it_is_what_limits() -> None:
    # Given
    shard = ShardPace(AsFastAsPossible(), 0.0)
    # When all tokens are taken, a hundred times a second, for two seconds
    taken = [drain(shard, n / 100) for n in range(1, 201)]
    # Then the second second took 1.5 times the first
    assert sum(taken[100:]) / sum(taken[:100]) == pytest.approx(1.5, rel=0.15)
    assert shard.scale == pytest.approx(2.25, rel=0.05)


def test_bytes_limit_as_records_do_and_a_debt_is_paid() -> None:
    # Given a record of a whole second's bytes
    shard = ShardPace(AsFastAsPossible(), 0.0)
    shard.records -= 1
    shard.bytes -= 1_048_576
    # When, then: nothing until the debt beyond the saved tenth is paid
    assert not shard.refill(0.5)
    assert shard.refill(1.0)


def test_a_throttle_cuts_once_for_all_requests_sent_before_it() -> None:
    # Given
    shard = ShardPace(AsFastAsPossible(), 0.0)
    # When a request sent at 1.0 is throttled in many records, and one sent before the cut comes back later
    for _ in range(300):
        shard.throttled(1.0, 1.1)
    shard.throttled(1.05, 1.2)
    # Then
    assert shard.scale == pytest.approx(0.7)
    assert not shard.refill(1.1)
    # And a request sent after it cuts again, down to a quarter of the quota and no further
    for n in range(2, 20):
        shard.throttled(n, n + 0.1)
    assert shard.scale == 0.25


def test_growth_is_slow_near_the_rate_that_was_throttled() -> None:
    # Given a shard that throttled at its quota
    shard = ShardPace(AsFastAsPossible(), 0.0)
    shard.throttled(0.0, 0.0)
    # When it is kept busy for six seconds more
    scales = []
    for n in range(1, 601):
        drain(shard, n / 100)
        scales.append(shard.scale)
    # Then it is back near the quota within a second, and goes on by 2 % a second
    assert scales[99] == pytest.approx(0.9, abs=0.02)
    assert scales[-1] == pytest.approx(0.9 * 1.02**5.3, abs=0.02)


def test_an_open_loop_never_waits_for_tokens() -> None:
    # Given
    shard = ShardPace(None, 0.0)
    # When
    shard.records -= 1_000
    shard.throttled(1.0, 2.0)
    # Then
    assert shard.records == inf
    assert shard.refill(0.0)
