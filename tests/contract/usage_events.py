"""Samples about usage, sent one after the other, with calls there that were settled, and one that was not."""

import json
from datetime import timedelta
from typing import Any

from tests.contract import stack
from tests.contract.account import Account, client
from tests.contract.samples import send
from weir.llm.models import Bound, Tokens
from weir.runtime.clock import SYSTEM, rfc3339
from weir.runtime.dynamodb import Table
from weir.usage.cap_store import CapStore, KnownCaps
from weir.usage.counter_table import TableCounters
from weir.usage.metering import Call, Meter, Outcome, Served
from weir.usage.models import Caller
from weir.usage.prices import Prices
from weir.usage.records import Recorder
from weir.usage.table import ROLLED_KEY, SCHEMA
from weir.usage.windows import begin

STATUSES = {
    "usage-cap-create": 201,
    "usage-cap-list": 200,
    "usage-cap-status": 200,
    "usage-cap-show": 200,
    "usage-cap-change": 200,
    "usage-records": 200,
    "usage-records-csv": 200,
    "usage-summaries": 200,
    "usage-cap-remove": 204,
    "usage-audit": 200,
}
TASKS = ("usage-rollup-upkeep", "usage-rollup-hourly", "usage-rollup-rebuild")


def lived(aws: Account) -> dict[str, Any]:
    """What the functions answer to each."""
    called()
    told: dict[str, Any] = {"usage-cap-create": send(aws, "usage-cap-create")}
    now = SYSTEM.now()
    times = {"2026-11-20T00:00:00Z": (now - timedelta(hours=30)).isoformat(), "2026-11-21T00:00:00Z": now.isoformat()}
    told |= {name: send(aws, name, times) for name in TASKS}
    return told | {name: send(aws, name) for name in STATUSES if name not in told}


def called() -> None:
    """Ann has made nine calls, of which one never ended."""
    table = Table(client("dynamodb"), stack.physical("UsageTable"))
    caps = KnownCaps(CapStore(table, SYSTEM), (), 30.0, SYSTEM)
    hours_ago = rfc3339(begin("hour", SYSTEM.now() - timedelta(hours=3)))
    table.put({**ROLLED_KEY, "schema": SCHEMA, "next": hours_ago})  # the first time sums up a month, hour by hour
    prices = Prices(lambda provider, model: (), SYSTEM.monotonic)
    meter = Meter(TableCounters(table), caps, prices, Recorder(table, SYSTEM, timedelta(days=400)), SYSTEM)
    served = Served("anthropic", "anthropic", "", "claude")
    for number in range(9):
        call = Call(
            request_id=f"r-{number}",
            caller=Caller("ann2ann3ann4ann5", "ann", groups=("red",)),
            model="claude",
            dialect="anthropic",
            bound=Bound(100, 50, 25, 20),
            deadline=SYSTEM.now() - timedelta(minutes=5 if number == 8 else -5),
            targets=(served,),
        )
        admission = meter.admit(call)
        if number < 8:
            meter.settle(admission, Outcome(200, Tokens(100, 50)))


def body(told: dict[str, Any], name: str) -> dict[str, Any]:
    """What was answered to a sample."""
    read: dict[str, Any] = json.loads(told[name]["body"])
    return read
