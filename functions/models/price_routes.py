"""HTTP: prices of models. Rules: ``weir.usage``."""

import hashlib
from typing import TYPE_CHECKING, Annotated, Any, Literal

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.api_gateway import Router
from aws_lambda_powertools.event_handler.openapi.params import Body, Path, Query
from model_answers import made, tagged

from weir.llm import contract as models
from weir.runtime import http, idempotency, pagination
from weir.runtime.audit import asker
from weir.runtime.clock import SYSTEM
from weir.runtime.errors import BadRequest
from weir.runtime.parameters import Cursor, IfMatch, Key, Limit
from weir.usage import contract_prices as prices
from weir.usage.contract_prices import NewPrice, PriceChange, PricesImported, PriceView

if TYPE_CHECKING:
    from weir.usage.price_files import Form
    from weir.usage.price_store import PriceStore

router = Router()  # type: ignore[no-untyped-call]

IMPORT = "POST /models/prices/import"
ROUTES = (
    *("GET /models/prices", "POST /models/prices", IMPORT),
    *(f"{method} /models/prices/{{price_id}}" for method in ("GET", "PUT", "DELETE")),
)
PriceId = Annotated[str, Path(pattern=prices.PRICE_ID, description="Price id")]


def _prices() -> "PriceStore":
    from weir.usage.price_store import PriceStore
    from weir.usage.table import table

    return PriceStore(table(), SYSTEM)


@router.get(
    "/models/prices",
    tags=["model prices"],
    operation_id="listModelPrices",
    summary="List prices of models",
    responses={200: {"description": "A page of prices"}, **http.problems(400, 422)},
)
def list_prices(
    provider: Annotated[
        str, Query(pattern=prices.PROVIDER + "|^$", description="Only of this provider, or kind of one")
    ] = "",
    model: Annotated[
        str, Query(pattern=models.MODEL + "|^$", description="Only of this model; with provider alone")
    ] = "",
    limit: Limit = pagination.DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> prices.PricePage:
    """By provider, model, region, tier and day. What was changed within the last second may be told as it was."""
    kind = f"prices:{provider}:{model}"
    after = pagination.open_cursor(kind, cursor) if cursor else None
    found, position = _prices().page(limit, after, provider, model)
    return prices.PricePage(
        items=tuple(prices.price_view(one) for one in found),
        cursor=pagination.seal(kind, position) if position else None,
    )


@router.post(
    "/models/prices",
    tags=["model prices"],
    operation_id="addModelPrice",
    summary="Add a price of a model",
    status_code=201,
    responses={201: {"description": "Added; it counts within 30 seconds"}, **http.problems(400, 403, 409, 422)},
)
def add_price(asked: Annotated[NewPrice, Body(description="The price")], key: Key = None) -> Response[PriceView]:
    """From ``since`` on, until the next of the same provider, model, region and tier. What was charged stays so."""

    def use_case() -> tuple[PriceView, int, str]:
        new = _prices().add(prices.price(asked), asker(router.current_event.raw_event))
        return prices.price_view(new), new.revision, new.price_id

    return made(router, "add-price", key, asked.model_dump(mode="json"), use_case, "/models/prices")


@router.get(
    "/models/prices/<price_id>",
    tags=["model prices"],
    operation_id="getModelPrice",
    summary="Read a price of a model",
    responses={200: {"description": "The price; ETag is its version"}, **http.problems(403, 404, 422)},
)
def show_price(price_id: PriceId) -> Response[PriceView]:
    """A price, with the entity tag that a change may name."""
    found = _prices().get(price_id)
    return tagged(prices.price_view(found), found.revision)


@router.put(
    "/models/prices/<price_id>",
    tags=["model prices"],
    operation_id="changeModelPrice",
    summary="Change a price of a model",
    responses={200: {"description": "The price as changed"}, **http.problems(400, 403, 404, 409, 412, 422)},
)
def change_price(
    price_id: PriceId, asked: Annotated[PriceChange, Body(description="All that may change")], if_match: IfMatch = None
) -> Response[PriceView]:
    """A mistake in a price, put right for calls to come. A price that changes one day is another: add that."""
    changed = _prices().change(price_id, prices.price(asked), if_match, asker(router.current_event.raw_event))
    return tagged(prices.price_view(changed), changed.revision)


@router.delete(
    "/models/prices/<price_id>",
    tags=["model prices"],
    operation_id="removeModelPrice",
    summary="Remove a price of a model",
    status_code=204,
    responses={204: {"description": "Gone"}, **http.problems(403, 404, 409, 412, 422)},
)
def remove_price(price_id: PriceId, if_match: IfMatch = None) -> Response[None]:
    """Calls to come are charged by an older price. Where there is none, caps on cost refuse them."""
    _prices().remove(price_id, if_match, asker(router.current_event.raw_event))
    return Response(204, headers={})


@router.post(
    "/models/prices/import",
    tags=["model prices"],
    operation_id="importModelPrices",
    summary="Import prices of models",
    responses={200: {"description": "Taken, as a whole"}, **http.problems(400, 403, 409, 422)},
    openapi_extensions={
        "requestBody": {
            "description": "CSV as documented in the guide, or LiteLLM's model_prices_and_context_window.json",
            "content": {"text/csv": {"schema": {"type": "string"}}, "application/json": {"schema": {"type": "object"}}},
        }
    },
)
def import_prices(
    provider: Annotated[
        str, Query(pattern=prices.PROVIDER + "|^$", description="Whose prices a CSV tells (bedrock); else: only those")
    ] = "",
    since: Annotated[
        prices.Moment | None, Query(description="From when prices hold that tell no moment; today, 0:00 UTC")
    ] = None,
    shifted: Annotated[
        Literal["refuse", "move"], Query(description="CSV lines with cache prices in the columns of batches")
    ] = "refuse",
    shipped: Annotated[bool, Query(description="Take the list that Weir brings along, and no body")] = False,
    key: Key = None,
) -> PricesImported:
    """All of it or nothing; ``errors`` name each line that is wrong. The same again changes nothing."""
    from weir.usage import price_files, price_import

    text, event = router.current_event.decoded_body or "", router.current_event.raw_event
    form = _form(text, shipped)
    moment = since or price_files.today(SYSTEM.now())
    asked = price_files.Asked(moment, provider, shifted)

    def use_case() -> dict[str, Any]:
        told = price_files.read(form, text, asked)
        done = price_import.take(told.prices, _prices(), asker(router.current_event.raw_event))
        return prices.import_view(done, told.left_out).model_dump(mode="json")

    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    done = idempotency.once(
        use_case,
        operation="import-prices",
        principal=http.principal(event).sub,
        key=key,
        request={"form": form, "body": digest, "provider": provider, "since": str(since), "shifted": shifted},
        context=router.lambda_context,
    )
    return PricesImported.model_validate(done)


def _form(text: str, shipped: bool) -> "Form":
    """What a body is. BadRequest where it is none, or one too many."""
    if shipped == bool(text.strip()):
        raise BadRequest("Send a file of prices, or ask for shipped=true and send none.")
    kind = http.media_type(http.header(router.current_event.raw_event, "content-type") or "")
    return "shipped" if shipped else "csv" if kind == "text/csv" else "litellm"
