"""What a run's state machine carries, planned without running: it must grow with workers and not with records.

What it does not show is what breaks first. Nothing is run, so memory, item sizes and AWS's own limits are not measured;
known bounds are in the planner: ``ledger_keys`` (one entry for each key of each writer) is refused above 4,000,000,
because the measurement holds them in one function's memory, and writers and readers above 1,000 together are warned of,
because that is an account's default Lambda concurrency.

``python -m tests.benchmarks.planned`` prints one JSON line.
"""

import json
from typing import Any

from weir.runs.models import RunSpec
from weir.runs.planner import ledger_keys, make_plan
from weir.runtime.settings import Settings

SHARDS = 64
RECORDS = (10**6, 10**7, 10**8, 10**9)
WORKERS = (2, 10, 100, 1_000)


def plan_of(records: int, workers: int) -> dict[str, Any]:
    """One row of the table: 256-byte records over 64 shards."""
    spec = RunSpec.model_validate(
        {
            "stream": {"shards": SHARDS},
            "load": {"records": records, "workers": workers, "keys": {"count": 1_000}},
            "max_cost": "10000",
            "expires_in": 86_400,
        }
    )
    plan = make_plan(spec, None, Settings(max_run_cost_usd="10000"))
    return {
        "records": records,
        "workers": plan.workers,
        "readers": plan.readers,
        "seconds": round(plan.seconds),
        "ledger_keys": ledger_keys(spec, records, plan.workers),
        "state_transitions": plan.state_transitions,
        "largest_state_payload_bytes": plan.largest_state_payload_bytes,
        "cost_usd": plan.cost_usd,
    }


def rows() -> list[dict[str, Any]]:
    """More records with the same workers, then more workers with the same records."""
    return [plan_of(records, 10) for records in RECORDS] + [plan_of(10**9, workers) for workers in WORKERS]


if __name__ == "__main__":
    print(json.dumps({"shards": SHARDS, "rows": rows()}))
