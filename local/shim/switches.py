"""What the local AWS can be told while it runs: ``POST /_ministack/config {"metrics": "off"}``, at its endpoint.

=================  ============  ============================================================================
switch             at the start  meaning
=================  ============  ============================================================================
``metrics``        ``on``        whether AWS/Kinesis metrics are published (``metrics.py``)
``phase_seconds``  ``0.5``       how long a stream is CREATING, UPDATING or DELETING (``phases.py``)
``shard_quota``    ``off``       whether a shard's quotas of writes and reads are enforced (``quotas.py``)
=================  ============  ============================================================================

The environment of ``make up`` sets what holds at the start: ``WEIR_LOCAL_METRICS=off make up``, and so on.
"""

import json
import os
from typing import Any

from ministack import app

from local.shim.patching import patch

PREFIX = "WEIR_LOCAL_"
_now = {
    name: os.environ.get(PREFIX + name.upper(), initially)
    for name, initially in (("metrics", "on"), ("phase_seconds", "0.5"), ("shard_quota", "off"))
}


def on(name: str) -> bool:
    """Whether a switch is on."""
    return _now[name] == "on"


def seconds(name: str) -> float:
    """A switch that is a duration."""
    return float(_now[name])


@patch(app, "_handle_admin_config_request")
async def configure(original: Any, path: str, method: str, body: bytes) -> Any:
    """Take our switches where the emulator takes its own changes."""
    answer = await original(path, method, body)
    wanted = json.loads(body or b"{}") if answer is not None else {}
    ours = {name: str(value) for name, value in wanted.items() if name in _now}
    if not ours:
        return answer
    _now.update(ours)
    return 200, {"Content-Type": "application/json"}, json.dumps({"applied": _now}).encode()
