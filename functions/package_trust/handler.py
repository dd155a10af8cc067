"""HTTP: validate, score and sign versions; register public keys; import from a hub. Rules: ``weir.packages``."""

from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import unquote

from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response
from aws_lambda_powertools.event_handler.openapi.params import Body, Path, Query

from weir.packages import names
from weir.packages.contract_trust import (
    IMPORT_ID,
    KEY_ID,
    MOST_BODY_BYTES,
    EnvelopeBody,
    ImportStarted,
    ImportView,
    KeyPage,
    KeyView,
    NewImport,
    NewPublicKey,
    ReportView,
    RulesAsked,
    ScoreView,
    SignatureView,
    import_view,
    key_view,
    report_view,
    score_view,
    signature_view,
)
from weir.runtime import http, idempotency, pagination
from weir.runtime.audit import Asker, asker
from weir.runtime.clock import SYSTEM
from weir.runtime.parameters import Key

if TYPE_CHECKING:
    from weir.packages.store import Store
    from weir.runtime.stepfunctions import Machine

app = APIGatewayRestResolver(
    enable_validation=True, response_validation_error_http_code=500, json_body_deserializer=http.strict_json
)
http.wire(app)

_VERSION = "/packages/{name}/{version}"
NEEDS = {
    f"POST {_VERSION}/validate": "packages:write",
    f"GET {_VERSION}/score": "packages:read",
    f"PUT {_VERSION}/signature": "packages:write",
    f"GET {_VERSION}/signature": "packages:read",
    "POST /packages/public-keys": "packages:write",
    "GET /packages/public-keys": "packages:read",
    "DELETE /packages/public-keys/{key_id}": "packages:write",
    "POST /packages/import": "packages:write",
    "GET /packages/imports/{import_id}": "packages:read",
}

Name = Annotated[str, Path(pattern=names.NAME, description="Name of the package, in any of its spellings")]
Version = Annotated[str, Path(min_length=1, max_length=400, description="Version, percent-encoded")]
Reference = Annotated[str, Path(min_length=1, max_length=400, description="Version or alias, percent-encoded")]


@lru_cache(maxsize=1)
def _store() -> "Store":
    from weir.packages.store import Store
    from weir.packages.table import table

    return Store(table(), SYSTEM)


def _machine() -> "Machine":
    from weir.runtime import aws
    from weir.runtime.settings import settings
    from weir.runtime.stepfunctions import Machine

    return Machine(aws.client("stepfunctions"), settings(needs=("import_machine_arn",)).import_machine_arn)


def _asker() -> Asker:
    return asker(app.current_event.raw_event)


@app.post(
    "/packages/<name>/<version>/validate",
    tags=["package trust"],
    operation_id="validateVersion",
    summary="Hold a version against rules",
    responses={
        200: {"description": "The report, which is kept with the version"},
        **http.problems(400, 403, 404, 422),
    },
)
def validate_version(
    name: Name,
    version: Version,
    asked: Annotated[RulesAsked, Body(description="Rules beside the default ones; {} for these alone")],
) -> ReportView:
    """Fails closed: a fact that is missing, or a rule that can't be judged, is a failure. Nothing in a rule is code."""
    from weir.packages.validating import validate

    return report_view(validate(name, unquote(version), asked.rules, _asker(), _store(), SYSTEM))


@app.get(
    "/packages/<name>/<version>/score",
    tags=["package trust"],
    operation_id="scoreVersion",
    summary="Score a version",
    responses={200: {"description": "Each measure with its evidence"}, **http.problems(404, 422)},
)
def score_version(name: Name, version: Reference) -> ScoreView:
    """License, size, formats, card, safe weights, freshness; what can't be measured has no value and counts nothing."""
    from weir.packages import browsing
    from weir.packages.scoring import score

    _, found = browsing.version(_store(), name, unquote(version), _asker().principal)
    manifest, files = _store().manifest(found), browsing.files(_store(), found)
    return score_view(found.name, found.version, score(found, manifest, files, SYSTEM.now()))


@app.put(
    "/packages/<name>/<version>/signature",
    tags=["package trust"],
    operation_id="signVersion",
    summary="Bring a signature of a version",
    responses={
        200: {"description": "It holds, and is of these very files"},
        **http.problems(400, 403, 404, 409, 422),
    },
)
def sign_version(
    name: Name, version: Version, asked: Annotated[EnvelopeBody, Body(description="A DSSE envelope")]
) -> SignatureView:
    """An in-toto statement of every file's path and SHA-256, signed with a registered key; in place of an older one."""
    from weir.packages.signing import sign

    return signature_view(sign(name, unquote(version), asked.envelope(), _asker(), _store(), SYSTEM))


@app.get(
    "/packages/<name>/<version>/signature",
    tags=["package trust"],
    operation_id="getSignature",
    summary="Read the signature of a version",
    responses={
        200: {"description": "The envelope, and which of its keys are trusted still"},
        **http.problems(404, 422),
    },
)
def show_signature(name: Name, version: Reference) -> SignatureView:
    """As it was brought, so that whoever pulls the files can verify it too."""
    from weir.packages.signing import signature

    return signature_view(signature(name, unquote(version), _asker().principal, _store()))


@app.post(
    "/packages/public-keys",
    tags=["package trust"],
    operation_id="registerPublicKey",
    summary="Register a public key",
    status_code=201,
    responses={
        200: {
            "description": "This key is registered already",
            "content": {"application/json": {"model": KeyView}},
        },
        201: {"description": "Registered", "content": {"application/json": {"model": KeyView}}},
        **http.problems(400, 403, 422),
    },
)
def register(asked: Annotated[NewPublicKey, Body(description="The key")]) -> Response[Any]:
    """Admins alone. Signatures by this key count from now on."""
    from weir.packages.signing import register_key

    key, is_new = register_key(asked.label, asked.public_key, _asker(), _store().table, SYSTEM)
    return http.answer(201 if is_new else 200, key_view(key).model_dump(mode="json"))


@app.get(
    "/packages/public-keys",
    tags=["package trust"],
    operation_id="listPublicKeys",
    summary="List public keys",
    responses={200: {"description": "A page of keys"}, **http.problems(400, 422)},
)
def list_keys(
    limit: Annotated[int, Query(ge=1, le=pagination.MAX_LIMIT, description="Items in a page, at most")] = 50,
    cursor: Annotated[str | None, Query(max_length=4096, description="The cursor of the page before")] = None,
) -> KeyPage:
    """All that are registered, by id."""
    from weir.packages.signing import keys_page

    kind = "public-keys"
    after = pagination.open_cursor(kind, cursor) if cursor else None
    keys, position = keys_page(_store().table, limit, after)
    return KeyPage(
        items=tuple(key_view(one) for one in keys), cursor=pagination.seal(kind, position) if position else None
    )


@app.delete(
    "/packages/public-keys/<key_id>",
    tags=["package trust"],
    operation_id="removePublicKey",
    summary="Take a public key back",
    status_code=204,
    responses={
        204: {"description": "Gone; what it has signed stays, and is trusted no more"},
        **http.problems(403, 404, 422),
    },
)
def remove(key_id: Annotated[str, Path(pattern=KEY_ID, description="Key id")]) -> Response[None]:
    """Admins alone."""
    from weir.packages.signing import remove_key

    remove_key(key_id, _asker(), _store().table, SYSTEM)
    return Response(204, headers={})


@app.post(
    "/packages/import",
    tags=["package imports"],
    operation_id="importPackage",
    summary="Import a repository of the Hub",
    status_code=202,
    responses={202: {"description": "Started; Location tells its progress"}, **http.problems(400, 403, 404, 409, 422)},
)
def start_import(
    asked: Annotated[NewImport, Body(description="What, and as what")], key: Key = None
) -> Response[ImportStarted]:
    """All files of a revision, weights included, as a version of yours. Follow ``Location`` until DONE or FAILED."""
    from weir.packages.importing import start

    event, asker, wanted = app.current_event.raw_event, _asker(), asked.wanted()

    def use_case() -> dict[str, Any]:
        made = start(wanted, asker, _store(), _machine(), SYSTEM, key)
        location = http.link(event, f"/packages/imports/{made.import_id}")
        started = ImportStarted(import_id=made.import_id, state=made.state, name=wanted.name, location=location)
        return started.model_dump(mode="json")

    started = idempotency.once(
        use_case,
        operation="import-package",
        principal=asker.principal.sub,
        key=key,
        request=asked.model_dump(mode="json"),
        context=app.lambda_context,
    )
    return http.answer(202, started, {"Location": started["location"]})


@app.get(
    "/packages/imports/<import_id>",
    tags=["package imports"],
    operation_id="getImport",
    summary="Watch an import",
    responses={200: {"description": "The import, as far as it has come"}, **http.problems(404, 422)},
)
def show_import(import_id: Annotated[str, Path(pattern=IMPORT_ID, description="Import id")]) -> ImportView:
    """The caller's own; for an admin, any. Kept for 90 days."""
    from weir.packages.importing import watch

    return import_view(*watch(import_id, _asker().principal, _store(), _machine()))


handler = http.entry(app, NEEDS, most_bytes=MOST_BODY_BYTES)
