"""A rush of callers starts a few processes at a time, and those that are there serve the rest.

AWS gives each of a thousand callers at once an environment of its own, on machines of its own. The emulator starts a
process for each of them too, on this machine: they then take each other's processor, and calls end in time-outs that
AWS knows nothing of. Here no more processes start at once than this machine has processors for; whoever finds no free
process waits for the first one that is free or may start. Nobody waits for a process that works, so a function that
calls itself goes on.
"""

import os
import threading
import time
from typing import Any

from ministack.core import lambda_runtime
from ministack.services import lambda_svc

from local.shim.patching import patch

STARTING_AT_ONCE = max(2, os.cpu_count() or 1)
_one_at_a_time = threading.Lock()


@patch(lambda_runtime.Worker, "_spawn")
def spawn(original: Any, worker: Any) -> None:
    """Start a process, and note that it is there."""
    original(worker)
    worker.has_started = True


@patch(lambda_svc, "acquire_worker")
def acquire(
    original: Any, function: str, config: Any, code: Any, qualifier: str = "$LATEST", max_concurrency: Any = None
) -> Any:
    """A process of a function: a free one, or a new one once its turn to start has come."""
    key = lambda_runtime._worker_key(function, config, qualifier)
    while True:
        with _one_at_a_time:
            if _is_free(key) or _starting() < STARTING_AT_ONCE:
                return original(function, config, code, qualifier=qualifier, max_concurrency=max_concurrency)
        time.sleep(0.005)


def _is_free(key: str) -> bool:
    with lambda_runtime._lock:
        return any(not worker.in_use for worker in lambda_runtime._workers.get(key, []))


def _starting() -> int:
    with lambda_runtime._lock:
        every = [worker for workers in lambda_runtime._workers.values() for worker in workers]
        return sum(worker.in_use and not getattr(worker, "has_started", False) for worker in every)
