"""HTTP: what models were used for, and the caps that hold it back: records, summaries, caps. Rules: ``weir.usage``."""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response
from aws_lambda_powertools.event_handler.openapi.params import Body, Header, Path, Query

from weir.runtime import http, idempotency, pagination
from weir.runtime.audit import Asker, asker
from weir.runtime.clock import SYSTEM
from weir.runtime.contract_audit import ChangePage, page_view
from weir.runtime.errors import FieldError, Forbidden, Invalid
from weir.runtime.etags import etag
from weir.runtime.parameters import Cursor, IfMatch, Key, Limit
from weir.usage import contract
from weir.usage.contract import CapChange, CapView, Moment, NewCap
from weir.usage.models import SubjectKind
from weir.usage.windows import Period, end

if TYPE_CHECKING:
    from weir.usage.cap_store import KnownCaps
    from weir.usage.models import Caller, Cap
    from weir.usage.wiring import Deps

app = APIGatewayRestResolver(
    enable_validation=True, response_validation_error_http_code=500, json_body_deserializer=http.strict_json
)
http.wire(app)

NEEDS = {
    "GET /usage/records": "usage:read",
    "GET /usage/summaries": "usage:read",
    "GET /usage/caps": "usage:read",
    "POST /usage/caps": "usage:write",
    "GET /usage/caps/status": "usage:read",
    "GET /usage/caps/{cap_id}": "usage:write",
    "PUT /usage/caps/{cap_id}": "usage:write",
    "DELETE /usage/caps/{cap_id}": "usage:write",
    "GET /usage/audit": "audit:read",
}
ALL = "all"
CSV = "text/csv"
MOST_CSV = 5_000
"""Lines in a page of CSV: 2 MB."""

CapId = Annotated[str, Path(pattern=contract.CAP_ID, description="Cap id")]
From = Annotated[Moment | None, Query(alias="from", description="Admitted then or later, RFC 3339")]
To = Annotated[Moment | None, Query(alias="to", description="Admitted before then, RFC 3339; now where left out")]
User = Annotated[
    str | None,
    Query(
        pattern=contract.SUBJECT_ID, description="Of this user, by id, or of all; for admins. Your own where left out"
    ),
]


def _deps() -> "Deps":
    from weir.usage.wiring import deps

    return deps()


def _caps() -> "KnownCaps":
    """The caps as they are now: remembered for this request alone."""
    from weir.usage.cap_store import KnownCaps

    deps = _deps()
    return KnownCaps(deps.caps, deps.defaults, 0.0, deps.clock)


def _principal() -> http.Principal:
    return http.principal(app.current_event.raw_event)


def _asker() -> Asker:
    return asker(app.current_event.raw_event)


def _caller() -> "Caller":
    from weir.usage.cap_setting import caller_of

    return caller_of(_principal())


def _whose(user: str | None) -> str | None:
    """The user whose usage is asked for, None for that of all. Forbidden where it is not the caller's to see."""
    who = _principal()
    if user is None or user == who.sub:
        return who.sub
    if not who.is_admin:
        raise Forbidden("Only an admin may see what others have used.")
    return None if user == ALL else user


def _between(since: datetime | None, until: datetime | None, span: timedelta) -> tuple[datetime, datetime]:
    """From when until when; Invalid where that is no time."""
    ends = until or SYSTEM.now()
    begins = since or ends - span
    if begins >= ends:
        told = "must be before to"
        raise Invalid(f"The request can't be accepted: from: {told}", errors=[FieldError("from", told)])
    return begins, ends


@app.get(
    "/usage/records",
    tags=["usage"],
    operation_id="listUsageRecords",
    summary="List calls",
    responses={
        200: {
            "description": "A page of calls; with Accept: text/csv as CSV, the next page in Link",
            "content": {
                "application/json": {"model": contract.RecordPage},
                CSV: {"schema": {"type": "string"}},
            },
        },
        **http.problems(400, 403, 422),
    },
)
def list_records(
    since: From = None,
    until: To = None,
    model: Annotated[str | None, Query(min_length=1, max_length=256, description="As it was asked for")] = None,
    status: Annotated[int | None, Query(ge=100, le=599, description="HTTP status that the caller got")] = None,
    user: User = None,
    limit: Annotated[int | None, Query(ge=1, le=MOST_CSV, description="In a page: 200 at most, 5,000 of CSV")] = None,
    cursor: Cursor = None,
    accept: Annotated[str, Header(alias="Accept", max_length=1024, description="text/csv for CSV")] = "",
) -> Response[Any]:
    """The newest day first; of all users, one after the other within a day. Within 30 days where from is left out."""
    from weir.usage.browsing import Wanted, as_csv, page

    is_csv = CSV in accept
    most = MOST_CSV if is_csv else pagination.MAX_LIMIT
    if limit is not None and limit > most:
        told = f"must be {most:,} at most"
        raise Invalid(f"The request can't be accepted: limit: {told}", errors=[FieldError("limit", told)])
    asked = f"records:{_whose(user)}:{since}:{until}:{model}:{status}"
    after = pagination.open_cursor(asked, cursor) if cursor else None
    # the first page tells until when, so that those after it are of the same time
    now = datetime.fromisoformat(after["until"]) if after else SYSTEM.now().astimezone(UTC)
    begins, ends = _between(since, until or now, timedelta(days=30))
    oldest, newest = now - timedelta(days=_deps().settings.usage_kept_days + 1), now + timedelta(hours=1)
    wanted = Wanted(max(begins, oldest), min(ends, newest), _whose(user), model, status)  # there are none beyond
    found, position = page(_deps().table, wanted, limit or (most if is_csv else pagination.DEFAULT_LIMIT), after)
    following = pagination.seal(asked, {**position, "until": now.isoformat()}) if position else None
    if is_csv:
        return _as_csv(as_csv(found), following)
    view = contract.RecordPage(items=tuple(map(contract.record_view, found)), cursor=following)
    return http.answer(200, view.model_dump(mode="json"))


def _as_csv(text: str, following: str | None) -> Response[str]:
    headers: dict[str, str | list[str]] = {"Content-Disposition": 'attachment; filename="usage.csv"'}
    if following is not None:
        from urllib.parse import urlencode

        event = app.current_event.raw_event
        asked = {**(event.get("queryStringParameters") or {}), "cursor": following}
        headers["Link"] = f'<{http.link(event, "/usage/records")}?{urlencode(asked)}>; rel="next"'
    return Response(200, CSV, text, headers)


@app.get(
    "/usage/summaries",
    tags=["usage"],
    operation_id="listUsageSummaries",
    summary="Sum up calls",
    responses={200: {"description": "A page of sums"}, **http.problems(400, 403, 422)},
)
def list_summaries(
    period: Annotated[Period, Query(description="UTC; weeks begin on Monday")] = "day",
    by: Annotated[
        str | None, Query(pattern=contract.BY, description="Any of model, user, key, group, with commas between")
    ] = None,
    since: From = None,
    until: To = None,
    user: User = None,
    limit: Limit = pagination.MAX_LIMIT,
    cursor: Cursor = None,
) -> contract.SummaryPage:
    """Exact, the running period included; what comes late counts in the period in which it was admitted."""
    from weir.usage.summaries import BY
    from weir.usage.summing import page, periods_in
    from weir.usage.wiring import summaries

    of = _whose(user)
    names = [one for one in BY if one in (by or "").split(",")]
    asked = f"summaries:{period}:{by}:{since}:{until}:{of}"
    after = pagination.open_cursor(asked, cursor) if cursor else None
    now = datetime.fromisoformat(after["until"]) if after else SYSTEM.now().astimezone(UTC)
    begins, ends = _between(since, until or now, contract.DEFAULT_SPAN[period])
    periods = periods_in(period, begins, ends, contract.MOST_PERIODS)
    if len(periods) > contract.MOST_PERIODS:
        told = f"must leave {contract.MOST_PERIODS} periods at most"
        raise Invalid(f"The request can't be accepted: from: {told}", errors=[FieldError("from", told)])
    found, position = page(summaries(), period, periods, names, of, limit, after)
    items = (
        contract.summary_view(
            period,
            one.began,
            end(period, one.began),
            dict(zip(names, one.values, strict=True)),
            one.totals,
            SYSTEM.now(),
        )
        for one in found
    )
    following = pagination.seal(asked, {**position, "until": now.isoformat()}) if position else None
    return contract.SummaryPage(items=tuple(items), cursor=following)


@app.get(
    "/usage/caps",
    tags=["caps"],
    operation_id="listCaps",
    summary="List caps",
    responses={200: {"description": "A page of caps"}, **http.problems(400, 422)},
)
def list_caps(limit: Limit = pagination.DEFAULT_LIMIT, cursor: Cursor = None) -> contract.CapPage:
    """For admins all that are set, by subject; for others those that hold for them. A second old at most."""
    if not _principal().is_admin:
        holding = [cap for held in _caps().of(_caller()) for cap in held.caps]
        return contract.CapPage(items=tuple(map(contract.cap_view, holding)), cursor=None)
    after = pagination.open_cursor("caps", cursor) if cursor else None
    found, position = _deps().caps.page(limit, after)
    following = pagination.seal("caps", position) if position else None
    return contract.CapPage(items=tuple(map(contract.cap_view, found)), cursor=following)


@app.post(
    "/usage/caps",
    tags=["caps"],
    operation_id="createCap",
    summary="Set a cap",
    status_code=201,
    responses={201: {"description": "Set; it holds within 30 seconds"}, **http.problems(400, 403, 409, 422)},
)
def create_cap(asked: Annotated[NewCap, Body(description="The cap")], key: Key = None) -> Response[CapView]:
    """One for each subject, window and measure; for a user it takes the place of the stack's default.

    Counted are calls from then on where nothing of the subject was counted before: that is so with keys, groups and
    everyone. Nobody loosens a cap of their own.
    """
    from weir.usage import cap_setting

    who, event = _principal(), app.current_event.raw_event

    def use_case() -> dict[str, Any]:
        made = cap_setting.add(contract.new_cap(asked, who.sub), _asker(), _deps().caps, _deps().defaults)
        return {"view": contract.cap_view(made).model_dump(mode="json"), "revision": made.revision}

    told = idempotency.once(
        use_case,
        operation="create-cap",
        principal=who.sub,
        key=key,
        request=asked.model_dump(mode="json"),
        context=app.lambda_context,
    )
    location = http.link(event, f"/usage/caps/{told['view']['cap_id']}")
    return http.answer(201, told["view"], {"ETag": etag(told["revision"]), "Location": location})


@app.get(
    "/usage/caps/status",
    tags=["caps"],
    operation_id="getCapStatus",
    summary="See how far caps are used up",
    responses={200: {"description": "Each cap that holds, the narrowest first"}, **http.problems(403, 422)},
)
def cap_status(
    kind: Annotated[SubjectKind | None, Query(description="Of a subject of this kind alone; for admins")] = None,
    id: Annotated[  # noqa: A002
        str | None, Query(pattern=contract.SUBJECT_ID, description="The subject's id or name; none for everyone")
    ] = None,
) -> contract.CapStatuses:
    """What is used and set aside, the limit, and when the count is reset; your own where no subject is named."""
    from weir.usage.caps import status
    from weir.usage.counters import Place

    caps = _holding(kind, id)
    deps = _deps()
    places = [Place(cap.subject, shard) for cap in caps for shard in range(cap.shards)]
    counts = iter(deps.counters.read(places))
    now = deps.clock.now()
    items = [contract.status_view(cap, status(cap, [next(counts) for _ in range(cap.shards)], now)) for cap in caps]
    return contract.CapStatuses(items=tuple(items))


def _holding(kind: SubjectKind | None, known_as: str | None) -> "list[Cap]":
    """The caps of a subject, or those that hold for the caller."""
    from weir.usage.caps import of_user

    if kind is None and known_as is None:
        return [cap for held in _caps().of(_caller()) for cap in held.caps]
    http.require_admin(_principal(), "see the caps of others")
    subject = contract.subject(kind, known_as)
    deps = _deps()
    own = deps.caps.of_subject(subject)
    return list(of_user(subject.id, own, deps.defaults) if subject.kind == "user" else own)


@app.get(
    "/usage/caps/<cap_id>",
    tags=["caps"],
    operation_id="getCap",
    summary="Read a cap",
    responses={200: {"description": "The cap; ETag is its version"}, **http.problems(403, 404, 422)},
)
def show_cap(cap_id: CapId) -> Response[CapView]:
    """A cap that is set, with the entity tag that a change may name. Which hold for whom, all see in the list."""
    found = _deps().caps.get(cap_id)
    return http.answer(200, contract.cap_view(found).model_dump(mode="json"), {"ETag": etag(found.revision)})


@app.put(
    "/usage/caps/<cap_id>",
    tags=["caps"],
    operation_id="changeCap",
    summary="Change a cap",
    responses={200: {"description": "Changed; it holds within 30 seconds"}, **http.problems(400, 403, 404, 412, 422)},
)
def change_cap(
    cap_id: CapId, asked: Annotated[CapChange, Body(description="The cap")], if_match: IfMatch = None
) -> Response[CapView]:
    """Its limit, mode, enforcement and grace. What is counted stays. Nobody loosens a cap of their own."""
    from dataclasses import replace

    from weir.usage import cap_setting

    store = _deps().caps
    before = store.get(cap_id)
    changed = replace(
        before,
        limit=contract.limit_in(before.measure, asked.limit),
        mode=asked.mode,
        enforced=asked.enforced,
        enforced_from=asked.enforced_from,
    )
    after = cap_setting.change(cap_id, changed, _asker(), store, if_match)
    return http.answer(200, contract.cap_view(after).model_dump(mode="json"), {"ETag": etag(after.revision)})


@app.delete(
    "/usage/caps/<cap_id>",
    tags=["caps"],
    operation_id="deleteCap",
    summary="Delete a cap",
    status_code=204,
    responses={204: {"description": "Gone within 30 seconds"}, **http.problems(403, 404, 412, 422)},
)
def delete_cap(cap_id: CapId, if_match: IfMatch = None) -> Response[None]:
    """A user then has the stack's default for it, where there is one. Nobody deletes a cap of their own."""
    from weir.usage import cap_setting

    cap_setting.remove(cap_id, _asker(), _deps().caps, if_match)
    return Response(204, headers={})


@app.get(
    "/usage/audit",
    tags=["caps"],
    operation_id="listUsageAudit",
    summary="Read who changed caps and prices",
    responses={200: {"description": "A page of entries"}, **http.problems(400, 422)},
)
def list_audit(limit: Limit = pagination.DEFAULT_LIMIT, cursor: Cursor = None) -> ChangePage:
    """What admins changed of caps and prices within 400 days, newest first."""
    after = pagination.open_cursor("usage-audit", cursor) if cursor else None
    found, position = _deps().caps.audit.page(limit, after)
    return page_view(found, pagination.seal("usage-audit", position) if position else None)


handler = http.entry(app, NEEDS)
