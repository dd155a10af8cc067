"""The CSV of prices: all or nothing, errors by line, shifted columns found."""

from datetime import UTC, datetime
from typing import Any

import pytest

from tests.unit.usage.priced import DOLLAR, NOON
from weir.usage import price_csv
from weir.usage.models import Price, Rates
from weir.usage.price_errors import PricesRefused

HEADER = ",".join(price_csv.COLUMNS)
HAIKU = "us-east-1,anthropic.claude-3-haiku-20240307-v1:0,Claude 3 Haiku,Anthropic,0.00025,0.00125,,,0.0003,0.00003,"
SONNET = "us-west-2,anthropic.claude-sonnet-v1:0,Claude Sonnet,Anthropic,0.003,0.015,0.0015,0.0075,0.00375,0.0003,"
CENT = DOLLAR // 100


def read(*lines: str, header: str = HEADER, shifted: Any = "refuse") -> list[Price]:
    return price_csv.read("\n".join((header, *lines)) + "\n", "bedrock", NOON, shifted)


def refused(*lines: str, header: str = HEADER, shifted: Any = "refuse") -> list[tuple[str, str]]:
    with pytest.raises(PricesRefused) as told:
        read(*lines, header=header, shifted=shifted)
    return [(one.field, one.message) for one in told.value.errors]


def test_prices_of_a_thousand_tokens_become_prices_of_a_million() -> None:
    # Given a line with every price / When it is read / Then calls and batches have their prices
    standard, batch = read(SONNET)
    expected = Rates(3 * DOLLAR, 15 * DOLLAR, cache_read=30 * CENT, cache_write_5m=375 * CENT)
    assert standard == Price("", "bedrock", "anthropic.claude-sonnet-v1:0", NOON, expected, "us-west-2", source="csv")
    assert (batch.tier, batch.rates) == ("batch", Rates(150 * CENT, 750 * CENT))
    assert (batch.model, batch.region, batch.since) == (standard.model, standard.region, standard.since)


def test_what_is_empty_is_no_price() -> None:
    (found,) = read("us-east-1,m,M,A,0.001,0.002,,,,,")
    assert found.rates == Rates(DOLLAR, 2 * DOLLAR)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2024-01-15T10:30:00Z", datetime(2024, 1, 15, 10, 30, tzinfo=UTC)),
        ("2024-01-15T10:30:00", datetime(2024, 1, 15, 10, 30, tzinfo=UTC)),
        ("2024-01-15T10:30:00.123456", datetime(2024, 1, 15, 10, 30, 0, 123_000, tzinfo=UTC)),
        ("2024-01-15T12:30:00+02:00", datetime(2024, 1, 15, 10, 30, tzinfo=UTC)),
        ("1705314600", datetime(2024, 1, 15, 10, 30, tzinfo=UTC)),
        ("1705314600.5", datetime(2024, 1, 15, 10, 30, 0, 500_000, tzinfo=UTC)),
        ("", NOON),
    ],
)
def test_a_price_holds_from_its_moment_on(text: str, moment: datetime) -> None:
    (found,) = read(f"us-east-1,m,M,A,0.001,0.002,,,,,{text}")
    assert found.since == moment


def test_columns_are_found_by_their_names() -> None:
    # Given other columns first, the last five left out, a byte order mark, quotes and empty lines
    header = "\ufeffmodel_id,region_id,output_price,input_price,provider,model_name"
    (found,) = read('m,eu-west-1,0.002,0.001,"A, B","M ""2"""', "", " ,,", header=header)
    assert (found.model, found.region, found.rates) == ("m", "eu-west-1", Rates(DOLLAR, 2 * DOLLAR))


def test_every_wrong_line_is_told_and_nothing_is_taken() -> None:
    # Given good lines between wrong ones
    told = refused(
        HAIKU,
        "us-east-1,m,M,A,x,0.002,,,,,",
        "us-east-1,,M,A,0.001,0.002,,,,,",
        "us-east-1,m3,M,A,0.001",
        SONNET,
        "us-east-1,m4,M,A,-1,0.002,,,,,",
        "us-east-1,m5,M,A,0.001,0.002,,,,,yesterday",
        "us east,m6,M,A,0.001,0.002,,,,,",
        "us-east-1,m 7,M,A,0.001,0.002,,,,,",
        "us-east-1,m8,M,A,0.001,0.002,0.0005,,,,",
        "us-east-1,m9,M,A,0,0,,,,,",
        "us-east-1,m10,M,A,999999999,0.002,,,,,",
    )
    # Then each is told by its number, and none of the others
    assert [line for line, _ in told] == [f"line {number}" for number in (3, 4, 5, 7, 8, 9, 10, 11, 12, 13)]
    words = ("input_price", "model_id is empty", "5 fields", "input_price", "timestamp")
    words = (*words, "region_id", "model_id", "both", "costs nothing", "no price")
    for (_, message), word in zip(told, words, strict=True):
        assert word in message


def test_lines_are_those_of_the_file() -> None:
    # Given a quoted field over two lines / Then the line after it has the number that an editor shows
    assert refused('us-east-1,m,"M\nM",A,0.001,0.002,,,,,', "x")[0][0] == "line 4"


def test_many_errors_are_counted() -> None:
    with pytest.raises(PricesRefused) as told:
        read(*["x"] * 150)
    assert len(told.value.errors) == price_csv.MOST_ERRORS
    assert told.value.members == {"wrong": 150}


@pytest.mark.parametrize(
    "line",
    [
        "us-east-1,anthropic.claude,Claude,Anthropic,0.003,0.015,0.00375,0.0003,,,",  # a write costs more than input
        "us-east-1,amazon.nova,Nova,Amazon,0.0008,0.0032,0.0008,0.0002,,,",  # a read costs far less than half of output
        "us-east-1,amazon.nova,Nova,Amazon,0.0008,0.0032,,0.0002,,,",
    ],
)
def test_cache_prices_in_the_columns_of_batches_are_found(line: str) -> None:
    # Given a line that is shifted / When it is read as it is / Then it is refused, with what to do
    ((where, message),) = refused(line)
    assert where == "line 2"
    assert "cache_write_price" in message
    # When it shall be moved / Then the cache has its prices, and there is none of batches
    (moved,) = read(line, shifted="move")
    assert moved.tier == "standard"
    assert moved.rates.cache_read in {30 * CENT, 20 * CENT}


@pytest.mark.parametrize("line", [SONNET, "us-east-1,m,M,A,0.001,0.001,0.0005,0.0005,,,"])
def test_true_prices_of_batches_are_not_moved(line: str) -> None:
    for shifted in ("refuse", "move"):
        assert [one.tier for one in read(line, shifted=shifted)] == ["standard", "batch"]


def test_the_same_model_twice_is_refused() -> None:
    assert refused(HAIKU, HAIKU) == [("line 3", "is of the same model, region and moment as line 2")]
    assert len(read(HAIKU, HAIKU.replace("us-east-1", "us-east-2"), f"{HAIKU}2025-01-01T00:00:00Z")) == 3


@pytest.mark.parametrize(
    ("header", "word"),
    [
        ("", "lacks"),
        ("region_id,model_id", "lacks model_name"),
        (HEADER + ",colour", "unknown columns colour"),
        (HEADER + ",timestamp", "names twice timestamp"),
        ('"region_id', "no CSV"),
    ],
)
def test_a_header_that_can_not_be_read_is_told(header: str, word: str) -> None:
    ((where, message),) = refused(header=header)
    assert where == "line 1"
    assert word in message


def test_a_file_without_prices_is_refused() -> None:
    assert refused("", "") == [("line 1", "no prices follow")]
