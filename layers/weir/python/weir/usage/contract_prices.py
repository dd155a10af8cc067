"""What the routes of prices take and answer. Money is told in US dollars, as decimal strings, for a million tokens."""

from datetime import UTC, datetime
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from weir.runtime.fields import wrong
from weir.usage import money
from weir.usage.models import Price, Rates
from weir.usage.price_csv import MODEL, REGION
from weir.usage.price_import import Imported

PRICE_ID = r"^[0-9a-f]{24}$"
PROVIDER = r"^[a-z0-9](?:[a-z0-9_-]{0,62}[a-z0-9])?$"
MOST_LONG = 100_000_000
MOST_EXAMPLES = 10
"""Names of models that were left out which are told, for each reason."""

Tier = Literal["standard", "batch", "priority", "fast", "optimized", "us"]
"""As `weir.llm.tiers` knows those that cost more."""

Dollars = Annotated[str, Field(pattern=money.PATTERN, max_length=22, examples=["3.00"])]
RATES = ("input", "output", "cache_read", "cache_write_5m", "cache_write_1h")


def _in_utc(moment: datetime) -> datetime:
    """In UTC and whole milliseconds, as it is read back."""
    try:
        moment = moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("must be within the years 1 to 9999 in UTC") from error
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


Moment = Annotated[AwareDatetime, AfterValidator(_in_utc)]


class _Body(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _View(BaseModel):
    model_config = ConfigDict(frozen=True)


class RatesBody(_Body):
    """What a million tokens cost in US dollars.

    Tokens of a cache whose rate is left out cost what input does; those kept for an hour twice that.
    """

    input: Dollars
    output: Dollars
    cache_read: Dollars | None = None
    cache_write_5m: Dollars | None = Field(default=None, description="Or as long as the provider keeps it")
    cache_write_1h: Dollars | None = None

    def rates(self) -> Rates:
        """In pico-dollars."""
        given = {name: getattr(self, name) for name in RATES}
        return Rates(**{name: None if text is None else money.pico(text) for name, text in given.items()})  # type: ignore[arg-type]


class PriceChange(_Body):
    """What may change of a price. From another day on there is another price: add that."""

    rates: RatesBody
    long: RatesBody | None = Field(default=None, description="For all of a call whose input passes long_above tokens")
    long_above: Annotated[int, Field(strict=True, ge=1, le=MOST_LONG, description="Tokens of input")] = 200_000


class NewPrice(PriceChange):
    """A price to be added."""

    provider: Annotated[str, Field(pattern=PROVIDER, description="Name of a provider, or the kind of one")]
    model: Annotated[str, Field(pattern=MODEL, description="The provider's own id of the model")]
    region: Annotated[str, Field(pattern=REGION, description="Empty for any")] = ""
    tier: Annotated[
        Tier, Field(description="A price of priority, fast, optimized or us lets calls through that ask for it")
    ] = "standard"
    since: Moment = Field(description="From when it holds, RFC 3339; until the next of the same")

    @model_validator(mode="after")
    def _is_listed(self) -> Self:
        if self.since.year < 2000:
            raise wrong("since", "must not be before the year 2000")
        return self


class PriceView(_View):
    """A price."""

    price_id: str
    provider: str
    model: str
    region: str
    tier: Tier
    since: datetime
    rates: RatesBody
    long: RatesBody | None
    long_above: int
    source: str = Field(description="api, csv, litellm, or where a shipped price was read")


class PricePage(_View):
    """Prices by provider, model, region, tier and day."""

    items: tuple[PriceView, ...]
    cursor: str | None = Field(description="Where the next page begins; null on the last")


class LeftOut(_View):
    """Models of a file that have no price for tokens."""

    why: str
    models: int
    examples: tuple[str, ...]


class PricesImported(_View):
    """What came of an import."""

    import_id: str = Field(description="Empty where everything was so already")
    created: int
    changed: int
    unchanged: int
    left_out: tuple[LeftOut, ...]


def price(asked: PriceChange) -> Price:
    """A price as the rules take it, without an id."""
    of = {"provider": "", "model": "", "since": datetime.min.replace(tzinfo=UTC)}
    if isinstance(asked, NewPrice):
        of = {name: getattr(asked, name) for name in ("provider", "model", "region", "tier", "since")}
    long = asked.long.rates() if asked.long else None
    return Price("", **of, rates=asked.rates.rates(), long=long, long_above=asked.long_above)  # type: ignore[arg-type]


def price_view(price: Price) -> PriceView:
    """A price as answered."""
    own = {name: getattr(price, name) for name in PriceView.model_fields if name not in {"rates", "long"}}
    return PriceView(**own, rates=_told(price.rates), long=_told(price.long) if price.long else None)


def import_view(done: Imported, left_out: dict[str, list[str]]) -> PricesImported:
    """An import as answered."""
    told = tuple(
        LeftOut(why=why, models=len(names), examples=tuple(sorted(names)[:MOST_EXAMPLES]))
        for why, names in sorted(left_out.items())
    )
    return PricesImported(
        import_id=done.import_id,
        created=done.created,
        changed=done.changed,
        unchanged=done.unchanged,
        left_out=told,
    )


def _told(rates: Rates) -> RatesBody:
    given = {name: getattr(rates, name) for name in RATES}
    return RatesBody(**{name: None if pico is None else money.usd(pico) for name, pico in given.items()})  # type: ignore[arg-type]
