"""AWS in this process: moto behind botocore's last step, the sending of a request, where faults are put in, too.

Everything above it is real: clients, retries, time-outs as exceptions, parsing (but not signatures: ``shortcuts``).
Where moto differs from AWS:

- Kinesis: a stream is CREATING at first, keeps the tags given at create, can't be deleted or written to while CREATING,
  is DELETING for a while, and a second DeleteStream is then refused; records arrive in virtual time.
- CloudWatch: Kinesis' metrics come late (seconds here, minutes on AWS).
- Step Functions: a few calls, on the simulated machines (moto knows no JSONata).
"""

import json
from base64 import b64decode
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch
from urllib.parse import parse_qs, urlsplit

from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.exceptions import BotoCoreError, ConnectionClosedError, EndpointConnectionError, ReadTimeoutError
from botocore.httpsession import URLLib3Session
from moto.cloudwatch.models import cloudwatch_backends
from moto.core.botocore_stubber import MockRawResponse
from moto.dynamodb.models import dynamodb_backends
from moto.kinesis.models import KinesisBackend, kinesis_backends
from moto.s3.models import s3_backends

from tests.faults import shortcuts
from tests.faults.fault import Fault, Kind
from tests.faults.kernel import Kernel
from tests.faults.machine import Place
from tests.faults.refusals import json_answer, refusal

ACCOUNT = "123456789012"
REGION = "us-east-1"
CALL_SECONDS = 0.004
CREATING_SECONDS = 3.0
DELETING_SECONDS = 4.0
METRICS_LATE_SECONDS = 8.0
STUCK_SECONDS = 250.0
READ_TIMEOUT_SECONDS = 1.0

_WRITES_TO_A_STREAM = {"PutRecords", "GetShardIterator", "ListShards"}
_TARGETS = {
    "Kinesis_20131202": "kinesis",
    "DynamoDB_20120810": "dynamodb",
    "GraniteServiceVersion20100801": "cloudwatch",
    "AWSStepFunctions": "stepfunctions",
}


Stop = Callable[[str, str, str | None, str | None], None]
"""Ends the executions of a machine: machine, status, error, cause."""


class FunctionDied(BaseException):
    """The process of a function is gone: not an Exception, because no code of the function's may see it."""

    def __init__(self, error: str) -> None:
        super().__init__(error)
        self.error = error


@dataclass
class Invocation:
    """A function's invocation: where it was called from, and when it is cut off (virtual epoch seconds)."""

    place: Place
    until: float


@dataclass(frozen=True)
class Call:
    """An AWS call that was made: ``service.Operation`` and where."""

    place: Place
    operation: str


class Cloud:
    """One AWS account in virtual time. ``calls`` are all calls, in order; ``born`` every stream ever made, by name."""

    def __init__(self, kernel: Kernel, fault: Fault | None) -> None:
        self.kernel = kernel
        self.fault = fault
        self.calls: list[Call] = []
        self.born: dict[str, list[Any]] = {}
        self.delivered: set[tuple[str, str, str]] = set()
        self.struck = 0
        self.unknown_seconds = 0.0  # how long Kinesis knows nothing of a stream that it has made
        self.tamper: Callable[[Any], None] = lambda _stream: None
        self.on_stop: Stop = lambda _machine, _status, _error, _cause: None
        self.states: Callable[[str, dict[str, Any]], tuple[int, dict[str, Any]]] = _no_states
        self._occurrences: Counter[tuple[Place, str]] = Counter()
        self._active_at: dict[str, float] = {}
        self._gone_at: dict[str, float] = {}
        self._known_at: dict[str, float] = {}
        self._deleting: dict[str, Any] = {}
        self._metrics: list[tuple[float, str, int, int]] = []
        for backend in (self.kinesis, dynamodb_backends[ACCOUNT][REGION], cloudwatch_backends[ACCOUNT][REGION]):
            backend.reset()
        s3_backends[ACCOUNT]["aws"].reset()

    @property
    def kinesis(self) -> KinesisBackend:
        """moto's Kinesis itself, past all faults."""
        return kinesis_backends[ACCOUNT][REGION]

    def heal(self) -> None:
        """No more faults."""
        self.fault = None

    # Time

    def sleep(self, seconds: float) -> None:
        """Sleep in virtual time; a function is cut off at its time-out."""
        invocation = self.kernel.current.invocation if self.kernel.current else None
        if invocation is not None and self.kernel.now + seconds >= invocation.until:
            self.kernel.sleep(invocation.until - self.kernel.now)
            raise FunctionDied("Sandbox.Timedout")
        self.kernel.sleep(seconds)

    # Sending

    def send(self, request: AWSPreparedRequest) -> AWSResponse:
        """What botocore's HTTP session does: send one request, give its response, or raise."""
        operation = _operation(request)
        process = self.kernel.current
        invocation = process.invocation if process else None
        if invocation is None:
            return self._answer(request, operation)
        kind = self.called(invocation.place, operation)
        self.sleep(CALL_SECONDS)
        return self._failing(kind, request, operation)

    def called(self, place: Place, operation: str) -> Kind | None:
        """Take down a call; how it is to fail, if it is."""
        self.calls.append(Call(place, operation))
        self._occurrences[place, operation] += 1
        kind = self._kind(place, operation)
        if kind is not None:
            self.struck += 1
        return kind

    def _kind(self, place: Place, operation: str) -> Kind | None:
        fault = self.fault
        if fault is None or (fault.place, fault.operation) != (place, operation):
            return None
        number = self._occurrences[place, operation]
        struck = fault.occurrence <= number and (fault.lasting or number < fault.occurrence + fault.calls)
        return fault.kind if struck else None

    def _failing(self, kind: Kind | None, request: AWSPreparedRequest, operation: str) -> AWSResponse:
        match kind:
            case None:
                return self._answer(request, operation)
            case Kind.PARTLY_THROTTLED:
                return self._partly(request, operation)
            case Kind.THROTTLED | Kind.ERROR_500 | Kind.DENIED | Kind.NOT_KNOWN_YET:
                return refusal(request, operation, kind)
            case Kind.UNREACHABLE:
                raise EndpointConnectionError(endpoint_url=request.url)
            case Kind.LOST_BEFORE:
                raise ConnectionClosedError(endpoint_url=request.url)
            case Kind.DIES_BEFORE:
                raise FunctionDied("Runtime.ExitError")
            case Kind.STOPPED | Kind.STOPPED_STUCK | Kind.RUN_TIMED_OUT:
                self._stop(self._place(), kind)
                return self._answer(request, operation)
        return self._after(kind, request, operation)

    def _after(self, kind: Kind, request: AWSPreparedRequest, operation: str) -> AWSResponse:
        answer = self._answer(request, operation, reaches=kind is Kind.CUT)
        match kind:
            case Kind.LOST_AFTER:
                raise ConnectionClosedError(endpoint_url=request.url)
            case Kind.TIMED_OUT:
                self.sleep(READ_TIMEOUT_SECONDS)
                raise ReadTimeoutError(endpoint_url=request.url)
            case Kind.CUT:
                body = answer.raw.getvalue()
                headers = {**answer.headers, "content-length": str(len(body))}
                return AWSResponse(request.url, answer.status_code, headers, MockRawResponse(body[: len(body) // 2]))
        raise FunctionDied("Runtime.ExitError")

    def _stop(self, place: Place, kind: Kind) -> None:
        if kind is Kind.RUN_TIMED_OUT:
            self.on_stop(place.machine, "TIMED_OUT", None, None)
            return
        self.on_stop(place.machine, "ABORTED", "Stopped", "stopped by a test")
        if kind is Kind.STOPPED_STUCK:
            process = self.kernel.current
            assert process is not None
            # Whoever stops an execution does not stop its function: that lives on as long as Lambda lets it.
            process.invocation = replace(process.invocation, until=self.kernel.now + STUCK_SECONDS + 1)
            self.sleep(STUCK_SECONDS)

    def _place(self) -> Place:
        assert self.kernel.current is not None
        place: Place = self.kernel.current.invocation.place
        return place

    def _partly(self, request: AWSPreparedRequest, operation: str) -> AWSResponse:
        """Every second record is taken, the others are throttled, in one answer."""
        asked = json.loads(request.body)
        records = asked["Records"]
        kept = AWSPreparedRequest(
            request.method,
            request.url,
            request.headers,
            json.dumps({**asked, "Records": records[1::2]}),
            request.stream_output,
        )
        taken = iter(json.loads(self._answer(kept, operation).content)["Records"] if records[1::2] else [])
        refused = {"ErrorCode": "ProvisionedThroughputExceededException", "ErrorMessage": "Rate exceeded for shard."}
        results = [next(taken) if index % 2 else refused for index in range(len(records))]
        return json_answer(request, 200, {"FailedRecordCount": (len(records) + 1) // 2, "Records": results})

    # Answers

    def _answer(self, request: AWSPreparedRequest, operation: str, *, reaches: bool = True) -> AWSResponse:
        service, name = operation.split(".")
        if service == "stepfunctions":
            status, document = self.states(name, json.loads(request.body))
            return json_answer(request, status, document)
        if service == "cloudwatch":
            self._publish_metrics()
        asked: dict[str, Any] = json.loads(request.body) if service == "kinesis" else {}
        if service == "kinesis":
            refused = self._before_kinesis(name, asked.get("StreamName"))
            if refused is not None:
                return json_answer(request, 400, {"__type": refused, "message": "The stream's state forbids it."})
        status, headers, body = shortcuts.answer(operation, request)
        answer = AWSResponse(request.url, status, headers, MockRawResponse(body))
        if service == "kinesis" and status == 200:
            self._after_kinesis(name, asked, answer, reaches=reaches)
        return answer

    def _before_kinesis(self, name: str, stream: str | None) -> str | None:
        """Move streams on to the present; the error code where AWS would refuse and moto does not."""
        for one, at in list(self._active_at.items()):
            if at <= self.kernel.now:
                self.kinesis.streams[one].status = "ACTIVE"
                del self._active_at[one]
        for one, at in list(self._gone_at.items()):
            if at <= self.kernel.now:
                del self.kinesis.streams[one], self._gone_at[one]
        if name != "CreateStream" and self._known_at.get(stream or "", 0.0) > self.kernel.now:
            return "ResourceNotFoundException"
        if stream in self._active_at and name in _WRITES_TO_A_STREAM:
            return "ResourceNotFoundException"
        if name == "DeleteStream" and (stream in self._active_at or stream in self._gone_at):
            return "ResourceInUseException"
        if name == "DeleteStream" and stream in self.kinesis.streams:
            self._gone_at[stream] = self.kernel.now + DELETING_SECONDS
            self._deleting[stream] = self.kinesis.streams[stream]
            self._deleting[stream].status = "DELETING"
        return None

    def _after_kinesis(self, name: str, asked: dict[str, Any], answer: AWSResponse, *, reaches: bool) -> None:
        stream = asked.get("StreamName", "")
        if name == "CreateStream":
            made = self.kinesis.streams[stream]
            made.tags.update(asked.get("Tags", {}))
            made.status = "CREATING"
            self._active_at[stream] = self.kernel.now + CREATING_SECONDS
            self._known_at[stream] = self.kernel.now + self.unknown_seconds
            self.born.setdefault(stream, []).append(made)
        elif name == "PutRecords":
            self.tamper(self.kinesis.streams[stream])
        elif name == "DeleteStream":
            self.kinesis.streams[stream] = self._deleting[stream]  # moto forgets it at once, AWS does not
        elif name == "GetRecords" and reaches:
            name_, shard_id = _iterator_parts(asked["ShardIterator"])
            for record in json.loads(answer.content)["Records"]:
                self.delivered.add((name_, shard_id, record["SequenceNumber"]))

    def is_gone(self, name: str) -> bool:
        """Whether AWS knows no stream of this name, or is deleting it."""
        return name not in self.kinesis.streams or name in self._gone_at

    def keep_metrics(self, stream: str, incoming_bytes: int, incoming_records: int) -> None:
        """What moto would publish at once."""
        self._metrics.append((self.kernel.now, stream, incoming_bytes, incoming_records))

    def _publish_metrics(self) -> None:
        due = [one for one in self._metrics if one[0] + METRICS_LATE_SECONDS <= self.kernel.now]
        self._metrics = [one for one in self._metrics if one[0] + METRICS_LATE_SECONDS > self.kernel.now]
        for at, stream, size, records in due:
            told = {"Timestamp": datetime.fromtimestamp(at), "Dimensions": [{"Name": "StreamName", "Value": stream}]}  # noqa: DTZ006
            cloudwatch_backends[ACCOUNT][REGION].put_metric_data(
                "AWS/Kinesis",
                [
                    {**told, "MetricName": "IncomingBytes", "Value": size, "Unit": "Bytes"},
                    {**told, "MetricName": "IncomingRecords", "Value": records, "Unit": "Count"},
                ],
            )

    @contextmanager
    def connected(self) -> Iterator[None]:
        """While this lasts, botocore sends its requests here, and its back-off passes in virtual time."""

        def send(_session: URLLib3Session, request: AWSPreparedRequest) -> AWSResponse:
            try:
                return self.send(request)
            except BotoCoreError:
                raise
            except Exception as error:  # a fault of this simulation must not pass for one of AWS
                self.kernel.fail(error)

        def metrics(_backend: Any, stream_name: str, incoming_bytes: int, incoming_records: int) -> None:
            self.keep_metrics(stream_name, incoming_bytes, incoming_records)

        with (
            shortcuts.taken(),
            patch.object(URLLib3Session, "send", send),
            patch("botocore.endpoint.time", SimpleNamespace(sleep=self.sleep)),
            patch.object(KinesisBackend, "_send_stream_metrics", metrics),
            patch("moto.kinesis.models.utcnow", lambda: self.kernel.datetime().replace(tzinfo=None)),
        ):
            yield


def _no_states(name: str, _asked: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    raise AssertionError(f"no Step Functions here, and {name} was called")


def _operation(request: AWSPreparedRequest) -> str:
    """``service.Operation``, from what goes over the wire."""
    target = request.headers.get("X-Amz-Target")
    if target is not None:
        prefix, name = (target.decode() if isinstance(target, bytes) else target).split(".")
        return f"{_TARGETS[prefix]}.{name}"
    host = urlsplit(request.url).netloc
    if host.startswith("sts."):
        body = request.body.decode() if isinstance(request.body, bytes) else str(request.body)
        return f"sts.{parse_qs(body)['Action'][0]}"
    return f"s3.{request.method.title()}Object"


def _iterator_parts(iterator: str) -> tuple[str, str]:
    """Stream and shard of one of moto's iterators."""
    stream, shard_id, _ = b64decode(iterator).decode().split(":")
    return stream, shard_id
