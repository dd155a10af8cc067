"""HTTP: streams, their shards, records and metrics, and the account's limits. The rules are in ``weir.streams``."""

import random
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Annotated, Any, Literal

from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response
from aws_lambda_powertools.event_handler.openapi.params import Body, Path, Query

from weir.runtime import aws, http, idempotency, pagination
from weir.runtime.clock import SYSTEM
from weir.runtime.errors import FieldError, Invalid, WeirError
from weir.runtime.observability import logger
from weir.runtime.parameters import Cursor, Key, Limit
from weir.runtime.settings import settings
from weir.streams import browsing, changes, lifecycle, listing, metrics, writing
from weir.streams.alarming import Alarming
from weir.streams.cloudwatch import Alarms, Metrics
from weir.streams.kinesis import Kinesis
from weir.streams.kinesis_put import PutAdapter
from weir.streams.kms import check_key
from weir.streams.models import (
    Deleting,
    Encoding,
    Encryption,
    Limits,
    PatchAnswer,
    PutAnswer,
    PutRequest,
    RecordPage,
    ShardList,
    Stream,
    StreamList,
    StreamPatch,
    StreamSpec,
)
from weir.streams.reader import LATEST, TRIM_HORIZON, Position
from weir.streams.request import request_tag
from weir.streams.sqs import SettleQueue
from weir.streams.sts import Account, account

app = APIGatewayRestResolver(
    enable_validation=True, response_validation_error_http_code=500, json_body_deserializer=http.strict_json
)
http.wire(app)

NEEDS = {
    "POST /streams": "streams:write",
    "GET /streams": "streams:read",
    "GET /streams/{name}": "streams:read",
    "PATCH /streams/{name}": "streams:write",
    "DELETE /streams/{name}": "streams:write",
    "GET /streams/{name}/shards": "streams:read",
    "POST /streams/{name}/records": "streams:write",
    "GET /streams/{name}/records": "streams:read",
    "GET /streams/{name}/metrics": "streams:read",
    "GET /limits": "streams:read",
}

IDENTIFIER = r"^[a-zA-Z0-9_.-]+$"
KINESIS_BEGAN = 2013
Name = Annotated[str, Path(min_length=1, max_length=128, pattern=IDENTIFIER, description="Name of the stream")]
Dimension = Annotated[
    str | None,
    Query(min_length=1, max_length=128, pattern=IDENTIFIER, description="Shard-level metrics of this shard"),
]
Consumer = Annotated[
    str | None,
    Query(min_length=1, max_length=128, pattern=IDENTIFIER, description="Fan-out metrics of this consumer"),
]
ShardId = Annotated[str, Query(min_length=1, max_length=128, pattern=IDENTIFIER, description="Shard id")]


@lru_cache(maxsize=1)
def _kinesis() -> Kinesis:
    return Kinesis(aws.client("kinesis"))


@lru_cache(maxsize=1)
def _targets() -> writing.Targets:
    return writing.Targets(_kinesis(), SYSTEM)


def _account() -> Account:
    return account(aws.client("sts"), function_arn=app.lambda_context.invoked_function_arn)


def _caller() -> http.Principal:
    return http.principal(app.current_event.raw_event)


def _check_key(encryption: Encryption | None) -> None:
    if encryption is not None and encryption.key_id is not None:
        check_key(aws.client("kms"), encryption.key_id)


def _delete_alarms(name: str) -> None:
    conf = settings()
    if not conf.alerts_topic_arn:
        return
    try:
        Alarming(Alarms(aws.client("cloudwatch")), conf.stack, conf.alerts_topic_arn).delete(name)
    except WeirError as error:  # the stream is being deleted all the same; the sweep deletes alarms without a stream
        logger().warning("the alarms of stream %s are left to the sweep: %s", name, error.detail)


def _located(name: str) -> dict[str, str]:
    return {"Location": http.link(app.current_event.raw_event, f"/streams/{name}")}


@app.post(
    "/streams",
    operation_id="createStream",
    summary="Create a stream",
    description="Answers while the stream is CREATING. Retention, and encryption by KMS, are set once it is ACTIVE; "
    "until then they stand under `pending`.",
    tags=["streams"],
    responses={202: {"description": "Being created; Location tells its state"}, **http.problems(400, 409, 422, 429)},
)
def create(spec: Annotated[StreamSpec, Body(description="The stream")], key: Key = None) -> Response[Stream]:
    event = app.current_event.raw_event
    caller = _caller()
    wanted = spec.model_dump(mode="json")

    def made() -> dict[str, Any]:
        _check_key(spec.encryption)
        queue = SettleQueue(aws.client("sqs"), settings(needs=("settle_queue_url",)).settle_queue_url)
        return lifecycle.create_stream(
            _kinesis(),
            spec,
            owner=caller.sub,
            run_id=request_tag(caller.sub, key or http.request_id(event), wanted),
            clock=SYSTEM,
            account=_account,
            settle=queue.send,
        ).model_dump(mode="json")

    body = idempotency.once(
        made, operation="create-stream", principal=caller.sub, key=key, request=wanted, context=app.lambda_context
    )
    return http.answer(202, body, _located(spec.name))


@app.get(
    "/streams",
    operation_id="listStreams",
    summary="List streams",
    description="Every stream of the account and region by name, with `managed` for those that Weir made.",
    tags=["streams"],
    responses={200: {"description": "A page of streams"}, **http.problems(400, 422, 429)},
)
def list_streams(limit: Limit = pagination.DEFAULT_LIMIT, cursor: Cursor = None) -> StreamList:
    after = pagination.open_cursor("streams", cursor)["after"] if cursor else None
    page = listing.list_streams(_kinesis(), after=after, limit=limit, clock=SYSTEM)
    return StreamList(items=page.items, cursor=pagination.seal("streams", {"after": page.next}) if page.next else None)


@app.get(
    "/streams/<name>",
    operation_id="getStream",
    summary="Describe a stream",
    tags=["streams"],
    responses={200: {"description": "The stream"}, **http.problems(404, 422, 429)},
)
def describe(name: Name) -> Stream:
    return lifecycle.describe_stream(_kinesis(), name)


@app.patch(
    "/streams/<name>",
    operation_id="changeStream",
    summary="Change a stream",
    description="Begins the first of the steps that make the stream what the patch says, and tells those that remain: "
    "Kinesis takes one at a time, and a shard count at most doubles or halves in one. Send the same patch again, once "
    "the stream is ACTIVE, for the next. Only streams that the caller has made with Weir, but for admins.",
    tags=["streams"],
    responses={
        200: {"description": "It is so already; nothing was begun"},
        202: {"description": "The first step was begun"},
        **http.problems(400, 403, 404, 409, 422, 429),
    },
)
def change(name: Name, patch: Annotated[StreamPatch, Body(description="What it shall be")]) -> Response[PatchAnswer]:
    _check_key(patch.encryption)
    done = changes.patch_stream(_kinesis(), name, patch, owns=_caller().owns)
    return http.answer(202 if done.begun else 200, done, _located(name))


@app.delete(
    "/streams/<name>",
    operation_id="deleteStream",
    summary="Delete a stream",
    description="Deletes it with its consumers. Only streams that the caller has made with Weir; an admin may delete "
    "any that Weir made, and with `force` others.",
    tags=["streams"],
    responses={
        202: {"description": "Being deleted; gone when Location answers 404"},
        **http.problems(403, 404, 409, 422, 429),
    },
)
def delete(
    name: Name, force: Annotated[bool, Query(description="For admins: also a stream that Weir did not make")] = False
) -> Response[Deleting]:
    caller = _caller()
    lifecycle.delete_stream(_kinesis(), name, force=force, is_admin=caller.is_admin, owns=caller.owns)
    _delete_alarms(name)
    return http.answer(202, Deleting(name=name), _located(name))


@app.get(
    "/streams/<name>/shards",
    operation_id="listShards",
    summary="List the shards of a stream",
    tags=["streams"],
    responses={200: {"description": "A page of shards, open and closed"}, **http.problems(400, 404, 422, 429)},
)
def shards(name: Name, limit: Limit = pagination.DEFAULT_LIMIT, cursor: Cursor = None) -> ShardList:
    kind = f"shards:{name}"
    after = pagination.open_cursor(kind, cursor)["after"] if cursor else None
    page = listing.list_shards(_kinesis(), name, after=after, limit=limit)
    return ShardList(items=page.items, cursor=pagination.seal(kind, {"after": page.next}) if page.next else None)


@app.get(
    "/limits",
    operation_id="getLimits",
    summary="The account's Kinesis quotas",
    description="AWS answers this once a second for the whole account.",
    tags=["streams"],
    responses={200: {"description": "Quotas and how much of them is used"}, **http.problems(429)},
)
def limits() -> Limits:
    return listing.read_limits(_kinesis(), _account())


@app.post(
    "/streams/<name>/records",
    operation_id="putRecords",
    summary="Put records on a stream",
    description="Up to 500 records and 10 MiB (Lambda takes 6 MB). Those that fail are sent again, alone, for "
    "up to 20 s. 200: all are on the stream. 207: some are not, see `outcomes`. An answer that is replayed for its "
    "`Idempotency-Key` is the first one, failures included. Only streams that the caller has made with Weir, but for "
    "admins.",
    tags=["records"],
    responses={
        200: {"description": "Every record is on the stream"},
        207: {"description": "At least one record is not on the stream; outcomes[] tells which"},
        **http.problems(400, 403, 404, 409, 422, 429),
    },
)
def put_records(
    name: Name, request: Annotated[PutRequest, Body(description="The records")], key: Key = None
) -> Response[PutAnswer]:
    caller = _caller()

    def written() -> dict[str, Any]:
        target = _targets().get(name, caller.owns)
        put = PutAdapter(aws.client("kinesis", attempts=1, validate=False), name)
        answer = writing.write_records(
            put, target, request, clock=SYSTEM, rng=random.Random(), seconds=writing.PUT_SECONDS
        )
        if answer.failed:
            _targets().forget(name)  # it may have been deleted, or resharded
        return answer.model_dump(mode="json")

    body = idempotency.once(
        written,
        operation="put-records",
        principal=caller.sub,
        key=key,
        request={"stream": name, **request.model_dump(mode="json")},
        context=app.lambda_context,
    )
    return http.answer(207 if body["failed"] else 200, body)


@app.get(
    "/streams/<name>/records",
    operation_id="readRecords",
    summary="Read records of a shard",
    description="From a position, or on from a `cursor`, which then says everything. `data` is text where it is valid "
    "UTF-8 and base64 where it is not, or base64 for all with `encoding=base64`; each record says which. A closed "
    "shard ends with its `child_shard_ids`: go on with those. Only streams that the caller has made with Weir, but for "
    "admins.",
    tags=["records"],
    responses={200: {"description": "A page of records; it may be empty"}, **http.problems(400, 403, 404, 422, 429)},
)
def read_records(
    name: Name,
    shard: ShardId,
    position: Annotated[
        Literal["trim_horizon", "latest", "sequence", "timestamp"],
        Query(description="The oldest record, behind the newest, at `sequence`, or from `timestamp` on"),
    ] = "trim_horizon",
    sequence: Annotated[str | None, Query(pattern=r"^[0-9]{1,129}$", description="Sequence number")] = None,
    timestamp: Annotated[datetime | None, Query(description="RFC 3339, with an offset")] = None,
    limit: Limit = pagination.DEFAULT_LIMIT,
    cursor: Cursor = None,
    encoding: Annotated[Encoding, Query(description="text: base64 only where data is not UTF-8")] = "text",
) -> RecordPage:
    kind = f"records:{name}:{shard}"
    if cursor:
        place = browsing.Place.from_dict(pagination.open_cursor(kind, cursor))
    else:
        place = browsing.Place(_position(position, sequence, timestamp))
    caller = _caller()
    if not caller.is_admin:
        _targets().get(name, caller.owns)  # refuses what is not theirs: Weir's role may read more than its callers may
    page = browsing.read_page(_kinesis(), name, shard, place, limit=limit, encoding=encoding, clock=SYSTEM)
    return RecordPage(
        items=page.records,
        cursor=None if page.next is None else pagination.seal(kind, page.next.to_dict()),
        millis_behind_latest=page.millis_behind,
        closed=page.next is None,
        child_shard_ids=page.child_shard_ids,
    )


def _position(position: str, sequence: str | None, timestamp: datetime | None) -> Position:
    match position:
        case "latest":
            return LATEST
        case "sequence":
            if sequence is None:
                raise _needs("sequence", "needed with position=sequence")
            return Position("AT_SEQUENCE_NUMBER", sequence=sequence)
        case "timestamp":
            return Position("AT_TIMESTAMP", timestamp=_aware("timestamp", timestamp))
        case _:
            return TRIM_HORIZON


def _aware(field: str, moment: datetime | None) -> datetime:
    if moment is None or moment.tzinfo is None:
        raise _needs(field, "an RFC 3339 time with an offset is needed, such as 2026-11-21T14:05:00Z")
    if not KINESIS_BEGAN <= moment.year <= KINESIS_BEGAN + 200:
        raise _needs(field, "Kinesis tells nothing of that time")
    return moment


def _needs(field: str, why: str) -> Invalid:
    return Invalid(f"The request can't be accepted: {field}: {why}", errors=[FieldError(field, why)])


@app.get(
    "/streams/<name>/metrics",
    operation_id="getStreamMetrics",
    summary="CloudWatch metrics of a stream",
    description="Series with the statistic that makes each metric true, on a regular grid; null is a period without a "
    "value, which is not zero. The last 3 hours by the minute unless asked otherwise.",
    tags=["metrics"],
    responses={200: {"description": "One series a metric"}, **http.problems(404, 422, 429)},
)
def series(
    name: Name,
    names: Annotated[list[str] | None, Query(max_length=40, description="Metric names, repeated or by commas")] = None,
    period: Annotated[int, Query(ge=60, le=86_400, description="Seconds, a multiple of 60")] = 60,
    start: Annotated[datetime | None, Query(alias="from", description="RFC 3339, with an offset")] = None,
    end: Annotated[datetime | None, Query(alias="to", description="RFC 3339, with an offset; exclusive")] = None,
    shard: Dimension = None,
    consumer: Consumer = None,
) -> metrics.MetricsAnswer:
    now = SYSTEM.now()
    until = _aware("to", end) if end else now
    since = _aware("from", start) if start else until - timedelta(hours=3)
    wanted = [part for text in names or () for part in text.split(",") if part]
    queries = metrics.queries_for(name, wanted, shard=shard, consumer=consumer)
    span = metrics.aligned_range(since, until, period, series=len(queries), now=now)
    _kinesis().summary(name)  # CloudWatch tells nothing of a stream that is not there; Kinesis says so
    found = Metrics(aws.client("cloudwatch")).series(queries, span.start, span.end, period)
    return metrics.MetricsAnswer(
        stream=name,
        start=span.start,
        end=span.end,
        period=period,
        series=tuple(metrics.on_grid(item, span, now) for item in found),
    )


handler = http.entry(app, NEEDS)
