"""Numbers in prose are those of facts, in their units and as far as they were rounded; any other is found."""

from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from weir.analysis.telling.numbers import unsupported


def fact(value: Any, unit: str = "", name: str = "it") -> dict[str, Any]:
    return {"name": name, "value": value, "unit": unit}


@pytest.mark.parametrize(
    ("sentence", "value", "unit"),
    [
        ("It reached 83 % of its capacity.", 83.2, "%"),
        ("It reached 83 percent.", 0.832, "ratio"),
        ("It reached 83.2% of it.", 83.24, "%"),
        ("The age was 1.5 s.", 1500, "ms"),
        ("The age was 1,500 ms.", 1500, "ms"),
        ("The age was 25 minutes.", 1500, "s"),
        ("It kept 24 hours.", 24, "hours"),
        ("It kept one day, 1 day.", 24, "h"),
        ("It took in 2 MiB/s.", 2 * 1024 * 1024, "bytes/s"),
        ("It took in 2 MiB per second.", 2048, "KiB/s"),
        ("It took in 1.2 million records.", 1_234_567, "records"),
        ("It has two shards.", 2, "shards"),
        ("It has 1 shard.", 1, "shards"),
        ("It costs $21.90 a month.", 21.9, "USD/month"),
        ("It costs $21.90.", 21.9, "USD"),
        ("About 1,200 records came.", 1234, "records"),
        ("It doubled.", 2.0, "times"),
        ("Load fell by half.", 0.5, "ratio"),
        ("There were 17 throttles.", 17, "records"),
        ("-3 degrees it was.", -3, ""),
        ("It costs US$21.90 a month, USD 21.90 a month.", 21.9, "USD/month"),
        ("Nothing came: zero records, 0 records.", 0, "records"),
        ("It lay in 5-5 ms, 5ms-5ms.", 5, "ms"),
        ("A missing point is not a load of zero.", 5, "ms"),
        ("It has twenty-five shards.", 25, "shards"),
        ("Two hundred thousand records came.", 200_000, "records"),
        ("It grew threefold.", 3.0, "times"),
        ("Hundreds of records came.", 640, "records"),
        ("1\u202f234 records came, and 1'234.", 1234, "records"),
        ("It was 12\u03bcs, \uff11\uff12 \u00b5s.", 12, "us"),
        ("It was highest at 14:05 on 2026-11-19.", "2026-11-19 14:05 UTC", ""),
        ("It was highest at 14:05 UTC.", "2026-11-19 14:05 UTC", ""),
    ],
)
def test_a_number_that_is_a_facts_is_supported(sentence: str, value: float | str, unit: str) -> None:
    assert unsupported(sentence, [fact(value, unit)]) == []


@pytest.mark.parametrize(
    ("sentence", "value", "unit", "found"),
    [
        ("It reached 84 % of its capacity.", 83.2, "%", ["84 %"]),
        ("The retention is 24 months.", 24, "hours", ["24 months"]),
        ("It has a 24-day retention.", 24, "hours", ["24-day"]),
        ("The latency is 250 ns.", 250, "ms", ["250 ns"]),
        ("The latency is 250 full days.", 250, "ms", ["250 full days"]),
        ("It costs €12.", 12, "USD/month", ["€"]),
        ("It costs 12 euros.", 12, "USD/month", ["euros"]),
        ("It rose by 3 terabits.", 3, "shards", ["3 terabits"]),
        ("The p5 latency is 12 ms.", 12, "ms", ["p5"]),
        ("It reached 83.5 %.", 83.2, "%", ["83.5 %"]),
        ("The age was 1,500 s.", 1500, "ms", ["1,500 s"]),
        ("It took in 2.00 MB/s.", 2 * 1024 * 1024, "bytes/s", ["2.00 MB/s"]),
        ("It took in 2 MiB.", 2 * 1024 * 1024, "bytes/s", ["2 MiB"]),
        ("It took in 1.3 million records.", 1_234_567, "records", ["1.3 million"]),
        ("1,200 records came.", 1234, "records", ["1,200"]),
        ("About 1,300 records came.", 1234, "records", ["1,300"]),
        ("It has three shards.", 2, "shards", ["three"]),
        ("It costs $219.", 21.9, "USD", ["$219"]),
        ("It costs 83 dollars.", 83, "%", ["83 dollars"]),
        ("It tripled.", 2.0, "times", ["tripled"]),
        ("It fell by a quarter and 99 % of it.", None, "", ["quarter", "99 %"]),
        ("It began on 2026-11-20.", 5, "", ["2026-11-20"]),
        ("It costs US$500.", 21.9, "USD", ["US$500"]),
        ("It costs USD500, USD 83.", 83, "shards", ["USD500", "USD 83"]),
        ("It took 10ms-999ms.", 10, "ms", ["999ms"]),
        ("It is x500 of it.", 3, "times", ["500"]),
        ("Zero records came, 0 of them.", 0.4, "records", ["Zero", "0"]),
        ("0 % of it.", 0.4, "%", ["0 %"]),
        ("Nothing is wrong. It had zero throttles.", 5, "records", ["zero"]),
        ("It has thirteen shards, a thousand, a couple.", 5, "shards", ["thirteen", "thousand", "couple"]),
        ("It has twenty-five shards.", 20, "shards", ["twenty-five"]),
        ("It grew tenfold.", 3.0, "times", ["tenfold"]),
        ("Hundreds of records came.", 64, "records", ["Hundreds"]),
        ("5 streams and 5 records.", 5, "shards", ["5", "5"]),
        ("\u00bd of it.", 3, "%", ["1", "2"]),
        ("5 percentage points more.", 5, "shards", ["5 percentage"]),
        ("1e9999999999 records came.", 1, "records", ["9999999999"]),
        ("It was highest at 14:06.", "2026-11-19 14:05 UTC", "", ["14", "06"]),
    ],
)
def test_a_number_that_is_no_facts_is_found(
    sentence: str, value: float | str | None, unit: str, found: list[str]
) -> None:
    assert unsupported(sentence, [fact(value, unit)]) == found


def test_a_count_is_of_what_the_fact_counts() -> None:
    facts = [fact(4, "shards"), fact(7, "records")]

    assert unsupported("It has 4 shards and 7 records.", facts) == []
    assert unsupported("It has 7 shards.", facts) == ["7"]


def test_names_may_hold_digits_and_dates_may_be_those_of_the_range() -> None:
    sentence = "orders-2024 and p99 of shardId-000000000001 since 2026-11-20T00:00:00Z."

    assert unsupported(sentence, [], names=("orders-2024", "2026-11-20T00:00:00Z")) == []
    assert unsupported("orders-20245 it is.", [], names=("orders-2024",)) == []  # a word, no number
    assert unsupported("2024 it is.", [], names=("orders-2024",)) == ["2024"]


@pytest.mark.parametrize("name", ["42", "50ms", "100%", "twelve", "3-times", "5_GB", "ms"])
def test_a_stream_named_like_a_quantity_lets_no_number_pass(name: str) -> None:
    facts = [fact(7, "s")]

    assert unsupported("It costs $42, at 100%, twelve times, 3 times of 5 GB, in 50ms or 7 ms.", facts, [name]) == [
        "$42",
        "100%",
        "twelve times",
        "3 times",
        "5 GB",
        "50ms",
        "7 ms",
    ]
    assert unsupported(f"The stream {name} is idle, and so is `{name}`.", facts, [name]) == []


def test_a_quantile_is_that_of_a_fact() -> None:
    facts = [fact(3.0, "ms", "PutRecords latency, p99")]

    assert unsupported("It took 3 ms at p99, the 99th percentile.", facts) == []
    assert unsupported("It took 3 ms at p95, the 50th percentile.", facts) == ["p95", "p50"]


def test_values_that_are_no_numbers_support_none() -> None:
    facts = [fact(None, "%"), fact(float("nan"), "%"), fact(float("inf"), "%"), fact(True, "%"), fact("83", "%")]

    assert unsupported("It reached 82 %.", facts) == ["82 %"]


@given(st.floats(min_value=0.001, max_value=1e12), st.integers(0, 4))
def test_a_value_rounded_to_any_decimals_is_supported(value: float, decimals: int) -> None:
    assume(decimals or round(value))  # what is none is not rounded to none

    assert unsupported(f"It was {value:,.{decimals}f} ms.", [fact(value, "ms")]) == []


@given(st.integers(1000, 10**9), st.integers(1, 999))
def test_another_integer_is_not(value: int, off: int) -> None:
    assert unsupported(f"There were {value + off} records.", [fact(value, "records")]) == [f"{value + off}"]


@given(st.text(max_size=200))
def test_any_text_can_be_read(text: str) -> None:
    unsupported(text, [fact(1.5, "ms")])
