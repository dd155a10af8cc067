"""What stands for AWS in the tests of analyses: streams, a CloudWatch that pages and fails, a machine, a topic."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from botocore.exceptions import ClientError

from tests.unit.streams.fakes import NOON, FakeKinesis, FakeTime
from weir.analysis.analyses import working
from weir.analysis.analyses.bucket import AnalysesBucket, Measurements, NotKept
from weir.analysis.analyses.contract import AnalysisSpec
from weir.analysis.analyses.starting import start
from weir.analysis.analyses.table import Analyses
from weir.analysis.analyses.wiring import Deps
from weir.analysis.telling.prompts import Prompts
from weir.runtime.dynamodb import Table
from weir.runtime.errors import WeirError
from weir.runtime.http import Principal
from weir.runtime.sns import Topic
from weir.runtime.stepfunctions import Machine
from weir.streams.cloudwatch import MAX_POINTS, Metrics

ANN = Principal("u-ann", frozenset({"operator"}), credential="token")
BOB = Principal("u-bob", frozenset({"operator"}), credential="token")
ADMIN = Principal("u-admin", frozenset({"admin"}), credential="token")
NEVER = 1e9

Value = Callable[[str, str, datetime], float | None]
"""The value of a stream's metric at a moment; None for no point."""


def quiet(_stream: str, metric: str, _at: datetime) -> float | None:
    """A stream with little load, and nothing wrong."""
    if "Exceeded" in metric or "Failed" in metric:
        return 0.0
    return 5.0 if "Latency" in metric or "Age" in metric else 600.0


@dataclass
class FakeCloudWatch:
    """GetMetricData of a botocore client: 100,800 points a page, series cut where a page ends.

    ``failing`` are the calls, from 1, that raise; ``broken`` names series by (stream, metric) that end in an error.
    """

    value: Value = quiet
    failing: set[int] = field(default_factory=set)
    broken: set[tuple[str, str]] = field(default_factory=set)
    asked: list[dict[str, Any]] = field(default_factory=list)
    page_points: int = MAX_POINTS

    def get_metric_data(self, **request: Any) -> dict[str, Any]:
        self.asked.append(request)
        queries = request["MetricDataQueries"]
        assert 0 < len(queries) <= 500
        if len(self.asked) in self.failing:
            failed = {"Code": "InternalServiceFault", "Message": ""}
            raise ClientError({"Error": failed, "ResponseMetadata": {"HTTPStatusCode": 500}}, "GetMetricData")
        first, budget = int(request.get("NextToken", "0")), self.page_points
        results: list[dict[str, Any]] = []
        position = 0
        for query in queries:
            moments, values, status = self._points(query, request["StartTime"], request["EndTime"])
            begin, end = max(0, first - position), max(0, first + budget - position)
            position += len(moments)
            if moments[begin:end] or (not moments and first == 0):
                told = status if end >= len(moments) else "PartialData"
                results.append(
                    {
                        "Id": query["Id"],
                        "Timestamps": moments[begin:end],
                        "Values": values[begin:end],
                        "StatusCode": told,
                    }
                )
        more = position > first + budget
        return {"MetricDataResults": results} | ({"NextToken": str(first + budget)} if more else {})

    def _points(self, query: dict[str, Any], start: datetime, end: datetime) -> tuple[list[Any], list[float], str]:
        stat = query["MetricStat"]
        metric = stat["Metric"]["MetricName"]
        stream = stat["Metric"]["Dimensions"][0]["Value"]
        if (stream, metric) in self.broken:
            return [], [], "InternalError"
        step = timedelta(seconds=stat["Period"])
        moments = [start + step * i for i in range(int((end - start) / step))]
        found = [(at, value) for at in moments if (value := self.value(stream, metric, at)) is not None]
        return [at for at, _ in found], [value for _, value in found], "Complete"

    @property
    def pages(self) -> int:
        """Calls so far."""
        return len(self.asked)


class OldStreams(FakeKinesis):
    """A Kinesis whose streams are a year old and more, so that none of their metrics is another stream's."""

    def summary(self, name: str) -> dict[str, Any]:
        return {**super().summary(name), "StreamCreationTimestamp": NOON - timedelta(days=400)}


class FakeMachine(Machine):
    """A state machine that remembers."""

    def __init__(self) -> None:
        super().__init__(None, "arn:aws:states:us-east-1:123456789012:stateMachine:analysis")
        self.started: dict[str, dict[str, Any]] = {}
        self.stopped: list[str] = []
        self.statuses: dict[str, str] = {}
        self.failures: list[WeirError] = []

    def start(self, name: str, document: dict[str, Any]) -> str:
        if self.failures:
            raise self.failures.pop(0)
        self.started[name] = document
        self.statuses.setdefault(name, "RUNNING")
        return self.execution_arn(name)

    def stop(self, name: str, cause: str) -> None:
        self.stopped.append(name)

    def status(self, name: str) -> str | None:
        return self.statuses.get(name)


class FakeTopic(Topic):
    """A topic that keeps what it is told."""

    def __init__(self) -> None:
        super().__init__(None, "arn:aws:sns:us-east-1:123456789012:alerts")
        self.told: list[tuple[str, str, Mapping[str, str]]] = []
        self.failures: list[WeirError] = []

    def publish(self, subject: str, message: str, attributes: Mapping[str, str]) -> None:
        if self.failures:
            raise self.failures.pop(0)
        self.told.append((subject, message, attributes))


class FakeMeasurements(Measurements):
    """What runs measured, by run; of a run in ``failures``, that."""

    def __init__(self) -> None:
        super().__init__(None, "runs")
        self.of: dict[str, Any] = {}
        self.failures: dict[str, Exception] = {}

    def load(self, run_id: str) -> Any:
        if run_id in self.failures:
            raise self.failures[run_id]
        if run_id not in self.of:
            raise NotKept("It is not kept.")
        return self.of[run_id]


class World(Deps):
    """The composition root of a test: table and bucket on moto, the rest made up."""

    time: FakeTime
    streams: FakeKinesis
    cloudwatch: FakeCloudWatch
    executions: FakeMachine
    alerts: FakeTopic
    runs: FakeMeasurements

    def __init__(self, table: Any, bucket: AnalysesBucket) -> None:
        time = FakeTime()
        clock = time.clock()
        items = Table(table, "analyses", clock)
        super().__init__(clock, Analyses(items, clock), Prompts(items, clock), bucket)
        made = {"time": time, "streams": OldStreams(), "cloudwatch": FakeCloudWatch()}
        made |= {"executions": FakeMachine(), "alerts": FakeTopic(), "runs": FakeMeasurements()}
        for name, value in made.items():
            object.__setattr__(self, name, value)  # frozen, as the real one is

    @property
    def kinesis(self) -> FakeKinesis:
        return self.streams

    @property
    def metrics(self) -> Metrics:
        return Metrics(self.cloudwatch)

    @property
    def measurements(self) -> FakeMeasurements:
        return self.runs

    @property
    def machine(self) -> FakeMachine:
        return self.executions

    @property
    def topic(self) -> FakeTopic:
        return self.alerts

    def run(self, analysis_id: str, given: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """All steps of an analysis, as the state machine calls them; what the last answered."""
        working.collect(analysis_id, given or {}, self, NEVER)
        while not working.analyze(analysis_id, self, NEVER)["done"]:
            pass
        working.tell(analysis_id, self, lambda _: None)
        return working.close(analysis_id, self)

    def analyzed(self, spec: Mapping[str, Any], who: Principal = ANN) -> str:
        """The id of an analysis that was asked for over HTTP and is done."""
        made = start(AnalysisSpec.model_validate(spec), who, self)
        self.run(made.analysis_id)
        return made.analysis_id

    def document(self, analysis_id: str) -> dict[str, Any]:
        """What is answered as JSON."""
        found: dict[str, Any] = json.loads(self.bucket.read(f"analyses/{analysis_id}/document.json") or b"")
        return found
