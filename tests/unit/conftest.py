"""No unit test reaches the network: a socket that is opened fails the test."""

import pytest
import pytest_socket


def pytest_runtest_setup(item: pytest.Item) -> None:
    pytest_socket.disable_socket(allow_unix_socket=True)  # asyncio's own wake-up pipe is a Unix socket
