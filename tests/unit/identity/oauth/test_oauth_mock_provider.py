"""Log-in by a provider that others have written, over HTTP: what we say and understand is not our own alone."""

import json
import time
from collections.abc import Iterator

import pytest

from tests.unit.identity.accounts import ANN, NOON, user
from tests.unit.identity.oauth.mock_provider import mock_provider, say_no, say_yes
from tests.unit.identity.oauth.world import CONSOLE, Browser, World, exchange, header, problem, query_of
from weir.identity.providers import Providers

ANNS = {"sub": "ann-at-mock", "email": "Ann@Corp.example", "email_verified": True}
MALLORYS = {"sub": "mallory-at-mock", "email": "ann@corp.example", "email_verified": False}


@pytest.fixture(scope="module")
def issuer() -> Iterator[str]:
    with mock_provider(ANNS, MALLORYS) as url:
        yield url


@pytest.fixture(autouse=True)
def _known(world: World, issuer: str) -> None:
    """The stack knows the provider, and ann; its clock is the provider's."""
    world.users.create(user(ANN, "ann", email="ann@corp.example"))
    world.time.passed = time.time() - NOON.timestamp()
    secret = json.dumps({"mock": {"issuer": issuer, "client_id": "weir", "client_secret": "s"}})
    object.__setattr__(world.oauth, "providers", Providers(lambda: secret, world.time.clock.monotonic))


def test_a_person_logs_in(world: World, browser: Browser) -> None:
    # Given a log-in that is begun, and a person who says yes at the provider
    back = say_yes(header(browser.begin("mock"), "Location"), "ann-at-mock")

    # When the browser is back, Then the application's code is good for tokens of that person
    done = browser.come_back("mock", **query_of(back))
    assert header(done, "Location").startswith(f"{CONSOLE}?code=")
    assert world.owner(exchange(query_of(header(done, "Location"))["code"])).user_id == ANN


def test_a_person_says_no(world: World, browser: Browser) -> None:
    begun = header(browser.begin("mock"), "Location")
    said = query_of(say_no(begun))
    done = browser.come_back("mock", **{"state": query_of(begun)["state"], **said})
    assert query_of(header(done, "Location"))["error"] == "access_denied"


def test_a_person_with_an_address_that_is_not_verified_is_nobody(world: World, browser: Browser) -> None:
    back = say_yes(header(browser.begin("mock"), "Location"), "mallory-at-mock")
    assert problem(browser.come_back("mock", **query_of(back))) == (403, "not-a-user")


def test_a_code_is_not_good_a_second_time(world: World, browser: Browser) -> None:
    # Given a code of the provider's that was used, put into another log-in of the same browser
    used = query_of(say_yes(header(browser.begin("mock"), "Location"), "ann-at-mock"))
    browser.come_back("mock", **used)
    state = query_of(header(browser.begin("mock"), "Location"))["state"]
    assert problem(browser.come_back("mock", code=used["code"], state=state)) == (401, "provider-refused")
