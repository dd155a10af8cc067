"""Reading back and verifying: the reader's GetRecords adapter and the verifier, on one thread.

``python -m tests.benchmarks.verify_case ENDPOINT RECORDS SIZE KEYS`` prints one JSON line. The pages come from the
stub; the shard's five reads a second are not kept, because the benchmark is of the client and not of that quota.
"""

import json
import os
import sys
import time
from pathlib import Path

PAGE = 2_000


def peak_kib() -> int:
    """Most resident memory of this process so far, in KiB (Linux).

    Not ``ru_maxrss``, which begins with what the process had that started this one.
    """
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))


def main(endpoint: str, count: int, size: int, keys: int) -> None:
    """Read ``count`` records of ``size`` bytes over ``keys`` partition keys, and account for each."""
    bare_kib = peak_kib()
    os.environ["AWS_ENDPOINT_URL"] = endpoint
    from weir.runs.envelope import run_tag
    from weir.runs.verifier import ReaderState, ShardState
    from weir.runtime import aws, garbage
    from weir.streams.kinesis_get import GetAdapter

    garbage.rarely()  # as the function that verifies does when it is loaded
    tag = run_tag("bench")
    get = GetAdapter(aws.client("kinesis", attempts=1, validate=False))
    get(f"0:{size}:{keys}", 1)  # the connection and what botocore loads on its first call
    loaded_kib = peak_kib()
    state = ReaderState()
    shard = ShardState()
    iterator: str | None = f"0:{size}:{keys}"
    wall, cpu, verify_cpu = time.perf_counter(), time.process_time(), 0.0
    for _ in range(0, count, PAGE):
        answer = get(iterator or "", PAGE)
        began = time.process_time()
        # As at a shard's tip: the time now would be hours or years from when the stub says that they were produced.
        state.enter(shard, tag, answer.records, answer.records[-1].arrived_at + 0.2)
        verify_cpu += time.process_time() - began
        iterator = answer.next_iterator
    result = {
        "records": shard.records,
        "verified": state.ledger.unique,
        "damaged": state.corrupted + state.foreign + state.ledger.duplicates + state.ledger.reordered,
        "wall_seconds": time.perf_counter() - wall,
        "cpu_seconds": time.process_time() - cpu,
        "verify_cpu_seconds": verify_cpu,
        "mib_above_bare_process": (peak_kib() - bare_kib) / 1024,
        "mib_above_loaded_process": (peak_kib() - loaded_kib) / 1024,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
