"""Prices as CSV, all or nothing: US dollars for 1,000 tokens, a line for a model of a region.

``region_id,model_id,model_name,provider,input_price,output_price,batch_input_price,batch_output_price,
cache_write_price,cache_read_price,timestamp``, in any order, found by the header; the last five may be empty or left
out. ``model_name`` and ``provider`` (who made the model) are for people. ``timestamp`` is the moment from which the
price holds: RFC 3339, without a zone in UTC, or seconds since 1970.

Batch prices make a price of the tier ``batch``. Amazon Bedrock and others sell batches at half the price of a call
(https://aws.amazon.com/bedrock/pricing/), so batch prices that are far from that are cache prices that stand two
columns too far to the left: taken as they stand, tokens of a cache would cost what input does, and batches next to
nothing.
"""

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Literal

from weir.runtime.clock import parse_rfc3339
from weir.runtime.errors import FieldError
from weir.usage.models import Price, Rates
from weir.usage.money import PICO, pico
from weir.usage.price_errors import PricesRefused

Shifted = Literal["refuse", "move"]

NEEDED = ("region_id", "model_id", "model_name", "provider", "input_price", "output_price")
BATCH = ("batch_input_price", "batch_output_price")
CACHE = ("cache_write_price", "cache_read_price")
COLUMNS = (*NEEDED, *BATCH, *CACHE, "timestamp")

MODEL = r"^[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,255}$"
"""Ids of models: those of the providers, inference profiles and ARNs included."""

REGION = r"^[a-z0-9-]{0,32}$"

MOST = 10**9 * PICO
"""Pico-dollars for a million tokens: what is told back has nine digits of dollars."""

MOST_ERRORS = 100
"""That are told of; the rest are counted."""

_THOUSANDS_IN_A_MILLION = 1_000
_FAR_BELOW_HALF = 3


def read(text: str, provider: str, since: datetime, shifted: Shifted = "refuse") -> list[Price]:
    """The prices of a CSV, for a provider, or a kind of them, of Weir's.

    Parameters
    ----------
    since
        From when prices without a ``timestamp`` hold.
    shifted
        What becomes of lines whose cache prices stand in the columns of batches: ``refuse`` them, or ``move`` them.

    Raises
    ------
    PricesRefused
        Something is wrong with it; ``errors`` name each line, as ``line 7``, counted from 1 at the header.
    """
    lines = csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline=""), strict=True)
    errors: list[FieldError] = []
    prices: list[Price] = []
    seen: dict[tuple[str, str, datetime], int] = {}
    try:
        columns = _columns(next(lines, []))
        for row in lines:
            number = lines.line_num
            if not any(cell.strip() for cell in row):
                continue
            try:
                found = list(_prices(_named(columns, row), provider, since, shifted))
                _check_new(found[0], number, seen)
                prices += found
            except ValueError as error:
                errors.append(FieldError(f"line {number}", str(error)))
    except csv.Error as error:
        errors.append(FieldError(f"line {lines.line_num}", f"is no CSV: {error}"))
    if errors:
        raise refused(errors, f"{len(errors)} of its lines can't be taken")
    if not prices:
        raise refused([FieldError("line 1", "no prices follow")], "it holds none")
    return prices


def refused(errors: Sequence[FieldError], why: str) -> PricesRefused:
    """The refusal of a file for some of its lines or entries."""
    first = errors[0]
    return PricesRefused(
        f"Nothing was taken: {why}. First: {first.field}: {first.message}.",
        errors=errors[:MOST_ERRORS],
        wrong=len(errors),
    )


def _check_new(price: Price, number: int, seen: dict[tuple[str, str, datetime], int]) -> None:
    """ValueError where an earlier line is of the same."""
    first = seen.setdefault((price.region, price.model, price.since), number)
    if first != number:
        raise ValueError(f"is of the same model, region and moment as line {first}")


def _columns(header: Sequence[str]) -> list[str]:
    names = [name.strip() for name in header]
    missing = [name for name in NEEDED if name not in names]
    unknown = [name[:64] for name in names if name not in COLUMNS]
    twice = sorted({name for name in names if names.count(name) > 1} & set(COLUMNS))
    for told, wrong in (("lacks", missing), ("has unknown columns", unknown), ("names twice", twice)):
        if wrong:
            raise refused([FieldError("line 1", f"{told} {', '.join(wrong)}")], "its header can't be read")
    return names


def _named(columns: Sequence[str], row: Sequence[str]) -> dict[str, str]:
    if len(row) != len(columns):
        raise ValueError(f"has {len(row)} fields, and the header {len(columns)}")
    return dict(zip(columns, (cell.strip() for cell in row), strict=True))


def _prices(row: Mapping[str, str], provider: str, since: datetime, shifted: Shifted) -> Iterator[Price]:
    """The price of a line, and that of its batches where it has one."""
    for name in NEEDED:
        if not row[name]:
            raise ValueError(f"{name} is empty")
    if not re.fullmatch(MODEL, row["model_id"]) or not re.fullmatch(REGION, row["region_id"]):
        raise ValueError("model_id or region_id holds what such ids do not")
    amounts = {name: _amount(row, name) for name in (*NEEDED[4:], *BATCH, *CACHE)}
    if found := _shifted(amounts):
        if shifted == "refuse":
            raise ValueError(f"{found}: move them to {' and '.join(CACHE)}, or ask for shifted=move")
        amounts |= dict(zip(CACHE, (amounts[name] for name in BATCH), strict=True)) | dict.fromkeys(BATCH)
    if (amounts[BATCH[0]] is None) != (amounts[BATCH[1]] is None):
        raise ValueError(f"has one of {' and '.join(BATCH)}: give both or neither")
    common = {
        "price_id": "",
        "provider": provider,
        "model": row["model_id"],
        "region": row["region_id"],
        "since": _since(row, since),
        "source": "csv",
    }
    written, taken = amounts[CACHE[0]], amounts[CACHE[1]]
    rates = Rates(_given(amounts, "input_price"), _given(amounts, "output_price"), taken, written)
    if rates.input == rates.output == 0:
        raise ValueError("costs nothing: add a price of 0 by POST, where that is meant")
    yield Price(**common, rates=rates)  # type: ignore[arg-type]
    if amounts[BATCH[0]] is not None:
        halves = Rates(_given(amounts, BATCH[0]), _given(amounts, BATCH[1]))
        yield Price(**common, rates=halves, tier="batch")  # type: ignore[arg-type]


def _shifted(amounts: Mapping[str, int | None]) -> str:
    """What shows that cache prices stand in the columns of batches; empty where nothing does."""
    if any(amounts[name] is not None for name in CACHE):
        return ""
    batch_in, batch_out = (amounts[name] for name in BATCH)
    if batch_in is not None and batch_in > _given(amounts, "input_price"):
        return "batch_input_price is above input_price, and no cache price is given: these look like cache prices"
    if batch_out is not None and batch_out * _FAR_BELOW_HALF < _given(amounts, "output_price"):
        return "batch_output_price is below a third of output_price: these look like cache prices"
    return ""


def _amount(row: Mapping[str, str], name: str) -> int | None:
    """A price of 1,000 tokens in dollars, as one of a million in pico-dollars; None where it is empty."""
    text = row.get(name, "")
    try:
        amount = pico(text, _THOUSANDS_IN_A_MILLION) if text else None
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error
    if amount is not None and amount >= MOST:
        raise ValueError(f"{name}: {text[:32]} is no price of tokens")
    return amount


def _given(amounts: Mapping[str, int | None], name: str) -> int:
    found = amounts[name]
    assert found is not None, name
    return found


def _since(row: Mapping[str, str], since: datetime) -> datetime:
    text = row.get("timestamp", "")
    if not text:
        return since
    try:
        if re.fullmatch(r"[0-9]{1,11}(\.[0-9]+)?", text):
            moment = datetime.fromtimestamp(float(text), UTC)
        else:
            zoned = re.search(r"(Z|[+-][0-9]{2}:?[0-9]{2})$", text, re.IGNORECASE)
            moment = parse_rfc3339(text if zoned else f"{text}Z")
    except (ValueError, OverflowError, OSError) as error:
        raise ValueError(f"timestamp: {text[:40]!r} is no moment such as 2026-01-15T10:30:00Z") from error
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)  # as it is read back
