"""Exit codes of the command line, for scripts and CI."""

PASSED = 0
FAILED = 1
"""The verdict is FAILED or ABORTED, or the command could not be done."""

USAGE = 2
"""The command was not understood (the code of shells, and of argparse)."""

DEGRADED = 3
"""Nothing failed, and something could not be measured."""

INTERRUPTED = 130
"""Stopped by Ctrl-C: 128 + SIGINT, as shells have it."""

_OF_VERDICT = {"PASSED": PASSED, "DEGRADED": DEGRADED}


def of_verdict(verdict: str | None) -> int:
    """The exit code of a closed run."""
    return _OF_VERDICT.get(verdict or "", FAILED)
