"""HTTP: prices of models, the providers that serve them, and the routes to them. Rules: ``weir.usage``, ``weir.llm``.

All for admins.
"""

import hashlib
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any, Literal

from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response
from aws_lambda_powertools.event_handler.openapi.params import Body, Header, Path, Query

from weir.llm import contract as models
from weir.llm.contract import NewProvider, NewRoute, ProviderChange, ProviderView, RouteChange, RouteView
from weir.runtime import http, idempotency, pagination
from weir.runtime.audit import Asker
from weir.runtime.clock import SYSTEM
from weir.runtime.contract_audit import ChangePage, page_view
from weir.runtime.errors import BadRequest
from weir.runtime.etags import etag
from weir.usage import contract_prices as prices
from weir.usage.contract_prices import NewPrice, PriceChange, PricesImported, PriceView

if TYPE_CHECKING:
    from weir.llm.providers import Deps
    from weir.usage.price_files import Form
    from weir.usage.price_store import PriceStore

app = APIGatewayRestResolver(
    enable_validation=True, response_validation_error_http_code=500, json_body_deserializer=http.strict_json
)
http.wire(app)

IMPORT = "POST /models/prices/import"
NEEDS = dict.fromkeys(
    (
        *("GET /models/prices", "POST /models/prices", IMPORT),
        *(f"{method} /models/prices/{{price_id}}" for method in ("GET", "PUT", "DELETE")),
        *("GET /models/providers", "POST /models/providers"),
        *(f"{method} /models/providers/{{name}}" for method in ("GET", "PUT", "DELETE")),
        *("GET /models/routes", "POST /models/routes"),
        *(f"{method} /models/routes/{{model}}" for method in ("GET", "PUT", "DELETE")),
    ),
    "models:write",
) | {"GET /models/audit": "audit:read"}

PriceId = Annotated[str, Path(pattern=prices.PRICE_ID, description="Price id")]
ProviderName = Annotated[str, Path(pattern=models.PROVIDER, description="Name of the provider")]
RouteName = Annotated[
    str, Path(pattern=models.IN_A_PATH, description="Name of the model: / as ~1, then percent-encoded")
]
Limit = Annotated[int, Query(ge=1, le=pagination.MAX_LIMIT, description="Items in a page, at most")]
Cursor = Annotated[str | None, Query(max_length=4096, description="The cursor of the page before")]
IfMatch = Annotated[
    str | None, Header(alias="If-Match", max_length=256, description="The ETag as read; 412 where it is another now")
]
Key = Annotated[
    str | None,
    Header(alias="Idempotency-Key", description="The same key and body within 24 hours replays the first answer"),
]


@lru_cache(maxsize=1)
def _prices() -> "PriceStore":
    from weir.usage.price_store import PriceStore
    from weir.usage.table import table

    return PriceStore(table(), SYSTEM)


def _llm() -> "Deps":
    from weir.llm.wiring import deps

    return deps()


def _asker() -> Asker:
    event = app.current_event.raw_event
    return Asker(http.principal(event), http.origin(event))


def _made(operation: str, key: str | None, request: dict[str, Any], use_case: Any, path: str) -> Response[Any]:
    """What a POST has made, with its ETag and where it is: made once for a key."""
    event = app.current_event.raw_event

    def stored() -> dict[str, Any]:
        view, revision, name = use_case()
        return {"view": view.model_dump(mode="json"), "revision": revision, "name": name}

    told = idempotency.once(
        stored,
        operation=operation,
        principal=http.principal(event).sub,
        key=key,
        request=request,
        context=app.lambda_context,
    )
    headers = {"ETag": etag(told["revision"]), "Location": http.link(event, f"{path}/{told['name']}")}
    return http.answer(201, told["view"], headers)


def _tagged(view: Any, revision: int) -> Response[Any]:
    return http.answer(200, view.model_dump(mode="json"), {"ETag": etag(revision)})


# Prices


@app.get(
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


@app.post(
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
        made = _prices().add(prices.price(asked), _asker())
        return prices.price_view(made), made.revision, made.price_id

    return _made("add-price", key, asked.model_dump(mode="json"), use_case, "/models/prices")


@app.get(
    "/models/prices/<price_id>",
    tags=["model prices"],
    operation_id="getModelPrice",
    summary="Read a price of a model",
    responses={200: {"description": "The price; ETag is its version"}, **http.problems(403, 404, 422)},
)
def show_price(price_id: PriceId) -> Response[PriceView]:
    """A price, with the entity tag that a change may name."""
    found = _prices().get(price_id)
    return _tagged(prices.price_view(found), found.revision)


@app.put(
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
    changed = _prices().change(price_id, prices.price(asked), if_match, _asker())
    return _tagged(prices.price_view(changed), changed.revision)


@app.delete(
    "/models/prices/<price_id>",
    tags=["model prices"],
    operation_id="removeModelPrice",
    summary="Remove a price of a model",
    status_code=204,
    responses={204: {"description": "Gone"}, **http.problems(403, 404, 409, 412, 422)},
)
def remove_price(price_id: PriceId, if_match: IfMatch = None) -> Response[None]:
    """Calls to come are charged by an older price. Where there is none, caps on cost refuse them."""
    _prices().remove(price_id, if_match, _asker())
    return Response(204, headers={})


@app.post(
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

    text, event = app.current_event.decoded_body or "", app.current_event.raw_event
    form = _form(text, shipped)
    moment = since or price_files.today(SYSTEM.now())
    asked = price_files.Asked(moment, provider, shifted)

    def use_case() -> dict[str, Any]:
        told = price_files.read(form, text, asked)
        done = price_import.take(told.prices, _prices(), _asker())
        return prices.import_view(done, told.left_out).model_dump(mode="json")

    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    done = idempotency.once(
        use_case,
        operation="import-prices",
        principal=http.principal(event).sub,
        key=key,
        request={"form": form, "body": digest, "provider": provider, "since": str(since), "shifted": shifted},
        context=app.lambda_context,
    )
    return PricesImported.model_validate(done)


def _form(text: str, shipped: bool) -> "Form":
    """What a body is. BadRequest where it is none, or one too many."""
    if shipped == bool(text.strip()):
        raise BadRequest("Send a file of prices, or ask for shipped=true and send none.")
    kind = http.media_type(http.header(app.current_event.raw_event, "content-type") or "")
    return "shipped" if shipped else "csv" if kind == "text/csv" else "litellm"


# Providers


@app.get(
    "/models/providers",
    tags=["model providers"],
    operation_id="listModelProviders",
    summary="List providers of models",
    responses={200: {"description": "A page of providers"}, **http.problems(400, 422)},
)
def list_providers(limit: Limit = pagination.DEFAULT_LIMIT, cursor: Cursor = None) -> models.ProviderPage:
    """By name. Of keys, whether there is one."""
    after = pagination.open_cursor("model-providers", cursor) if cursor else None
    found, position = _llm().store.providers_page(limit, after)
    return models.ProviderPage(
        items=tuple(models.provider_view(one) for one in found),
        cursor=pagination.seal("model-providers", position) if position else None,
    )


@app.post(
    "/models/providers",
    tags=["model providers"],
    operation_id="addModelProvider",
    summary="Add a provider of models",
    status_code=201,
    responses={201: {"description": "Added; add a route to it"}, **http.problems(400, 403, 409, 422)},
)
def add_provider(
    asked: Annotated[NewProvider, Body(description="The provider")], key: Key = None
) -> Response[ProviderView]:
    """Its key goes to Secrets Manager, and is told to nobody. Its address must be public, but for private_networks."""
    from weir.llm import providers

    def use_case() -> tuple[ProviderView, int, str]:
        made = providers.add(asked.provider(asked.name), asked.key, _llm(), _asker())
        return models.provider_view(made), made.revision, made.name

    return _made("add-provider", key, asked.model_dump(mode="json"), use_case, "/models/providers")


@app.get(
    "/models/providers/<name>",
    tags=["model providers"],
    operation_id="getModelProvider",
    summary="Read a provider of models",
    responses={200: {"description": "The provider; ETag is its version"}, **http.problems(403, 404, 422)},
)
def show_provider(name: ProviderName) -> Response[ProviderView]:
    """A provider, with the entity tag that a change may name."""
    found = _llm().store.provider(name)
    return _tagged(models.provider_view(found), found.revision)


@app.put(
    "/models/providers/<name>",
    tags=["model providers"],
    operation_id="changeModelProvider",
    summary="Change a provider of models",
    responses={200: {"description": "The provider as changed"}, **http.problems(400, 403, 404, 412, 422)},
)
def change_provider(
    name: ProviderName,
    asked: Annotated[ProviderChange, Body(description="All of it; without key, the stored one stays")],
    if_match: IfMatch = None,
) -> Response[ProviderView]:
    """Calls that begin more than 30 seconds later know it. With another address the key must be given anew."""
    from weir.llm import providers

    changed = providers.change(name, asked.provider(), asked.key, if_match, _llm(), _asker())
    return _tagged(models.provider_view(changed), changed.revision)


@app.delete(
    "/models/providers/<name>",
    tags=["model providers"],
    operation_id="removeModelProvider",
    summary="Remove a provider of models",
    status_code=204,
    responses={204: {"description": "Gone, and its key with it"}, **http.problems(403, 404, 409, 412, 422)},
)
def remove_provider(name: ProviderName, if_match: IfMatch = None) -> Response[None]:
    """Refused while routes lead to it."""
    from weir.llm import providers

    providers.remove(name, if_match, _llm(), _asker())
    return Response(204, headers={})


# Routes


@app.get(
    "/models/routes",
    tags=["model routes"],
    operation_id="listModelRoutes",
    summary="List routes to models",
    responses={200: {"description": "A page of routes"}, **http.problems(400, 422)},
)
def list_routes(limit: Limit = pagination.DEFAULT_LIMIT, cursor: Cursor = None) -> models.RoutePage:
    """By the name that callers use."""
    after = pagination.open_cursor("model-routes", cursor) if cursor else None
    found, position = _llm().store.routes_page(limit, after)
    return models.RoutePage(
        items=tuple(models.route_view(one) for one in found),
        cursor=pagination.seal("model-routes", position) if position else None,
    )


@app.post(
    "/models/routes",
    tags=["model routes"],
    operation_id="addModelRoute",
    summary="Add a route to a model",
    status_code=201,
    responses={201: {"description": "Added; it counts within 30 seconds"}, **http.problems(400, 403, 409, 422)},
)
def add_route(asked: Annotated[NewRoute, Body(description="The route")], key: Key = None) -> Response[RouteView]:
    """From a name to models of providers, tried in their order; for everybody, or for some groups, roles and keys."""
    from weir.llm import routes

    def use_case() -> tuple[RouteView, int, str]:
        made = routes.add(asked.route(asked.model), _llm().store, _asker())
        return models.route_view(made), made.revision, models.in_a_path(made.model)

    return _made("add-route", key, asked.model_dump(mode="json"), use_case, "/models/routes")


@app.get(
    "/models/routes/<model>",
    tags=["model routes"],
    operation_id="getModelRoute",
    summary="Read a route to a model",
    responses={200: {"description": "The route; ETag is its version"}, **http.problems(403, 404, 422)},
)
def show_route(model: RouteName) -> Response[RouteView]:
    """A route, with the entity tag that a change may name."""
    found = _llm().store.route(models.of_a_path(model))
    return _tagged(models.route_view(found), found.revision)


@app.put(
    "/models/routes/<model>",
    tags=["model routes"],
    operation_id="changeModelRoute",
    summary="Change a route to a model",
    responses={200: {"description": "The route as changed"}, **http.problems(400, 403, 404, 409, 412, 422)},
)
def change_route(
    model: RouteName, asked: Annotated[RouteChange, Body(description="All but its name")], if_match: IfMatch = None
) -> Response[RouteView]:
    """Calls that begin more than 30 seconds later follow it."""
    from weir.llm import routes

    name = models.of_a_path(model)
    changed = routes.change(name, asked.route(name), if_match, _llm().store, _asker())
    return _tagged(models.route_view(changed), changed.revision)


@app.delete(
    "/models/routes/<model>",
    tags=["model routes"],
    operation_id="removeModelRoute",
    summary="Remove a route to a model",
    status_code=204,
    responses={204: {"description": "Gone"}, **http.problems(403, 404, 412, 422)},
)
def remove_route(model: RouteName, if_match: IfMatch = None) -> Response[None]:
    """A wider route, if there is one, leads from its name then."""
    from weir.llm import routes

    routes.remove(models.of_a_path(model), if_match, _llm().store, _asker())
    return Response(204, headers={})


# Audit


@app.get(
    "/models/audit",
    tags=["model providers"],
    operation_id="listModelAudit",
    summary="Read who changed providers and routes",
    responses={200: {"description": "A page of entries"}, **http.problems(400, 422)},
)
def list_audit(limit: Limit = pagination.DEFAULT_LIMIT, cursor: Cursor = None) -> ChangePage:
    """What admins changed of providers and routes within 400 days, newest first; of prices: GET /usage/audit."""
    after = pagination.open_cursor("model-audit", cursor) if cursor else None
    found, position = _llm().store.audit.page(limit, after)
    return page_view(found, pagination.seal("model-audit", position) if position else None)


handler = http.entry(app, NEEDS, takes={IMPORT: "text/csv"})
