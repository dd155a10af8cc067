"""Logs, metrics and traces. Powertools is loaded here, and each part of it only when it is used.

The Tracer costs about 150 ms of every cold start even when disabled, so it is imported only where tracing is on.
"""

import json
import sys
import time
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from weir.runtime.settings import settings

if TYPE_CHECKING:
    from aws_lambda_powertools import Logger

Handler = Callable[[dict[str, Any], Any], Any]
_JSON = json.JSONEncoder(separators=(",", ":"))


@lru_cache(maxsize=1)
def logger() -> "Logger":
    """The process's structured logger (JSON lines; service, stage, and the request's id where there is one)."""
    from aws_lambda_powertools import Logger

    conf = settings()
    return Logger(service=conf.service, level=conf.log_level, stage=conf.stage)


def emit(values: Mapping[str, tuple[str, float]], dimensions: Mapping[str, str]) -> None:
    """Publish metrics in the embedded metric format: name to (CloudWatch unit, value).

    One EMF line with one set of dimensions, flushed at once: a function that dies later has published what it knew.
    Written here, for it is on the way of every call of a model, and Powertools takes ten times as long for it.
    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
    """
    conf = settings()
    labels = {**{name: label for name, label in dimensions.items() if label}, "service": conf.service}
    told = {
        "Namespace": conf.metrics_namespace,
        "Dimensions": [list(labels)],
        "Metrics": [{"Name": name, "Unit": unit} for name, (unit, _) in values.items()],
    }
    line = {
        "_aws": {"Timestamp": int(time.time() * 1000), "CloudWatchMetrics": [told]},
        **labels,
        **{name: [value] for name, (_, value) in values.items()},
    }
    sys.stdout.write(_JSON.encode(line) + "\n")
    sys.stdout.flush()


def traced(handler: Handler) -> Handler:
    """The handler, with X-Ray segments where tracing is on; itself where it is off.

    A trace tells that it ran, how long and whether it failed, and nothing of what it answered: answers hold tokens.
    """
    if not settings().tracing:
        return handler
    from aws_lambda_powertools import Tracer

    tracer = Tracer(service=settings().service)
    wrapped: Handler = tracer.capture_lambda_handler(handler, capture_response=False, capture_error=False)
    return wrapped
