"""Providers are real servers here: sockets are open to the loopback, and to nothing else."""

from collections.abc import Iterator

import pytest
import pytest_socket

from tests.unit.identity.accounts import ANN, user
from tests.unit.identity.oauth.world import Browser, World, world


@pytest.fixture(autouse=True)
def _loopback() -> None:
    pytest_socket.enable_socket()
    pytest_socket.socket_allow_hosts(["127.0.0.1"])


@pytest.fixture(name="world")
def _world() -> Iterator[World]:
    with world() as made:
        yield made


@pytest.fixture
def browser() -> Browser:
    return Browser()


@pytest.fixture
def ann(world: World) -> None:
    """A user who could log in by the provider."""
    world.users.create(user(ANN, "ann", email="ann@corp.example"))
