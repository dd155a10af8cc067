"""No fault test reaches the network: a socket that is opened fails the test. The count of cases ends the session."""

import pytest
import pytest_socket

_MARK = "fault matrix"


def pytest_runtest_setup(item: pytest.Item) -> None:
    pytest_socket.disable_socket(allow_unix_socket=True)


def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> None:
    """Mark the matrix's own cases, so that the summary can count them over all workers."""
    if call.when == "call" and item.name.startswith("test_a_fault["):
        item.user_properties.append((_MARK, True))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    ran = [
        report
        for outcome in ("passed", "failed")
        for report in terminalreporter.stats.get(outcome, [])
        if (_MARK, True) in getattr(report, "user_properties", ())
    ]
    if ran:
        terminalreporter.write_line(f"fault matrix: {len(ran)} cases")
