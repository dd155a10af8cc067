"""No contract test reaches the network: a socket that is opened fails the test. AWS is an account in this process."""

from collections.abc import Iterator

import pytest
import pytest_socket

from tests.contract.account import Account, account


def pytest_runtest_setup(item: pytest.Item) -> None:
    pytest_socket.disable_socket(allow_unix_socket=True)  # asyncio's own wake-up pipe is a Unix socket


@pytest.fixture(scope="module")
def aws() -> Iterator[Account]:
    """An account that holds what the template says, and nothing else; one for each module of tests."""
    with account() as made:
        yield made
