"""Metrics that functions write into their logs become metrics of CloudWatch.

AWS: a log line that is a JSON object in the embedded metric format (EMF) publishes its metrics, once for each of its
sets of dimensions
(https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html).
The emulator keeps the line as text. Alarms on such metrics are evaluated when they arrive.
"""

import json
from collections.abc import Iterator
from typing import Any

from ministack.services import cloudwatch, lambda_svc

from local.shim.patching import patch

MARK = '"_aws"'


@patch(lambda_svc, "_emit_lambda_logs")
def emit_logs(original: Any, function: Any, request_id: str, text: str, *rest: Any, **options: Any) -> None:
    """Write the log as before, and publish what its lines measure."""
    original(function, request_id, text, *rest, **options)
    documents = [document for line in text.splitlines() for document in _documents(line)]
    for document in documents:
        _publish(document)
    if documents:
        cloudwatch._evaluate_all_alarms()


def _documents(line: str) -> Iterator[dict[str, Any]]:
    if MARK not in line or not line.startswith("{"):
        return
    try:
        document = json.loads(line)
    except ValueError:
        return  # an ordinary line that mentions it
    if isinstance(document.get("_aws"), dict):
        yield document


def _publish(document: dict[str, Any]) -> None:
    seconds = document["_aws"]["Timestamp"] / 1000
    for directive in document["_aws"].get("CloudWatchMetrics", []):
        for names in directive.get("Dimensions") or [[]]:
            dimensions = {name: str(document[name]) for name in names}
            for metric in directive["Metrics"]:
                value = document[metric["Name"]]
                values = value if isinstance(value, list) else [value]
                unit = metric.get("Unit", "None")
                key = (directive["Namespace"], metric["Name"], dimensions)
                cloudwatch._store_datum(*key, seconds, unit, None, values, None, None)
