"""No fault test reaches the network: a socket that is opened fails the test. The count of cases ends the session."""

from collections.abc import Iterator

import pytest
import pytest_socket

_MARK = "fault matrix"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--one-of", type=int, default=1, help="try one of so many cases of the fault matrix; 1: all")


def pytest_runtest_setup(item: pytest.Item) -> None:
    pytest_socket.disable_socket(allow_unix_socket=True)


@pytest.fixture(scope="session", autouse=True)
def _no_client_stays() -> Iterator[None]:
    """Clients that were made with this AWS' credentials serve no later test."""
    from tests.faults.account import forget_clients

    yield
    forget_clients()


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
