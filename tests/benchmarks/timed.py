"""Run a command and tell what it took: ``python -m tests.benchmarks.timed COMMAND ...`` prints one JSON line.

A process of its own that loads nothing, for a child's peak memory begins at that of the process which started it
(Linux keeps ``ru_maxrss`` over exec).
"""

import json
import os
import subprocess
import sys
import tempfile
import time


def main(command: list[str]) -> None:
    """Wall seconds, CPU seconds, peak MiB; or what the command said, if it failed."""
    with tempfile.TemporaryFile() as said:
        began = time.perf_counter()
        process = subprocess.Popen(command, stdout=said, stderr=said)
        _, status, used = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        said.seek(0)
        words = said.read().decode(errors="replace").strip()
    # ru_maxrss is in KiB, on macOS in bytes.
    peak = used.ru_maxrss / (1024 * 1024 if sys.platform == "darwin" else 1024)
    took = {"seconds": seconds, "cpu_seconds": used.ru_utime + used.ru_stime, "peak_mib": peak}
    print(json.dumps({"failed": words[-500:] or "no message"} if process.returncode else took))


if __name__ == "__main__":
    main(sys.argv[1:])
