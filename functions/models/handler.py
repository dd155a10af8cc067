"""HTTP: prices of models (``price_routes``), the providers that serve them, and the routes to them.

All for admins. Rules: ``weir.usage``, ``weir.llm``.
"""

from typing import TYPE_CHECKING, Annotated

import price_routes
from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response
from aws_lambda_powertools.event_handler.openapi.params import Body, Path
from model_answers import made, tagged

from weir.llm import contract as models
from weir.llm.contract import NewProvider, NewRoute, ProviderChange, ProviderView, RouteChange, RouteView
from weir.runtime import http, pagination
from weir.runtime.audit import asker
from weir.runtime.contract_audit import ChangePage, page_view
from weir.runtime.parameters import Cursor, IfMatch, Key, Limit

if TYPE_CHECKING:
    from weir.llm.providers import Deps

app = APIGatewayRestResolver(
    enable_validation=True, response_validation_error_http_code=500, json_body_deserializer=http.strict_json
)
http.wire(app)
app.include_router(price_routes.router)

NEEDS = dict.fromkeys(
    (
        *price_routes.ROUTES,
        *("GET /models/providers", "POST /models/providers"),
        *(f"{method} /models/providers/{{name}}" for method in ("GET", "PUT", "DELETE")),
        *("GET /models/routes", "POST /models/routes"),
        *(f"{method} /models/routes/{{model}}" for method in ("GET", "PUT", "DELETE")),
    ),
    "models:write",
) | {"GET /models/audit": "audit:read"}

ProviderName = Annotated[str, Path(pattern=models.PROVIDER, description="Name of the provider")]
RouteName = Annotated[
    str, Path(pattern=models.IN_A_PATH, description="Name of the model: / as ~1, then percent-encoded")
]


def _llm() -> "Deps":
    from weir.llm.wiring import deps

    return deps()


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
        new = providers.add(asked.provider(asked.name), asked.key, _llm(), asker(app.current_event.raw_event))
        return models.provider_view(new), new.revision, new.name

    return made(app, "add-provider", key, asked.model_dump(mode="json"), use_case, "/models/providers")


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
    return tagged(models.provider_view(found), found.revision)


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

    changed = providers.change(name, asked.provider(), asked.key, if_match, _llm(), asker(app.current_event.raw_event))
    return tagged(models.provider_view(changed), changed.revision)


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

    providers.remove(name, if_match, _llm(), asker(app.current_event.raw_event))
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
        new = routes.add(asked.route(asked.model), _llm().store, asker(app.current_event.raw_event))
        return models.route_view(new), new.revision, models.in_a_path(new.model)

    return made(app, "add-route", key, asked.model_dump(mode="json"), use_case, "/models/routes")


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
    return tagged(models.route_view(found), found.revision)


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
    changed = routes.change(name, asked.route(name), if_match, _llm().store, asker(app.current_event.raw_event))
    return tagged(models.route_view(changed), changed.revision)


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

    routes.remove(models.of_a_path(model), if_match, _llm().store, asker(app.current_event.raw_event))
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


handler = http.entry(app, NEEDS, takes={price_routes.IMPORT: "text/csv"})
