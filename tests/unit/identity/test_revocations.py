"""Revocations: seen by every process within a minute, at one query in half a minute, and kept while they matter."""

from datetime import timedelta

import pytest
from botocore.exceptions import EndpointConnectionError

from tests.unit.identity.accounts import ANN, BOB, NOON, Recorded, Time
from weir.identity.models import Claims
from weir.identity.revocations import (
    LOOKS_SECONDS,
    TRIES_SECONDS,
    WITHIN_SECONDS,
    Revocations,
    session_write,
    user_write,
)
from weir.identity.wiring import Deps
from weir.runtime.errors import Unavailable

EPOCH = int(NOON.timestamp())


def claims(sub: str = ANN, session_id: str = "session2session3", issued_at: int = EPOCH) -> Claims:
    return Claims(sub, "jti", session_id, issued_at, issued_at + 900, (), (), ())


@pytest.fixture
def revocations(deps: Deps) -> Revocations:
    return Revocations(deps.table, deps.clock)


def queries(client: Recorded) -> int:
    return client.called.count("query")


def test_the_end_of_a_session_ends_its_tokens_and_no_others(deps: Deps, revocations: Revocations) -> None:
    deps.table.transact([session_write("session2session3", NOON)])
    assert revocations.holds(claims())
    assert not revocations.holds(claims(session_id="another2another3"))


def test_a_change_of_a_user_ends_the_tokens_from_before(deps: Deps, revocations: Revocations) -> None:
    # Given two changes, of which the earlier was written later
    deps.table.transact([user_write(ANN, EPOCH + 1, NOON)])
    deps.table.transact([user_write(ANN, EPOCH - 10, NOON + timedelta(milliseconds=1))])

    # Then what was issued before the last is dead, and what came after it lives
    assert revocations.holds(claims(issued_at=EPOCH))
    assert not revocations.holds(claims(issued_at=EPOCH + 1))
    assert not revocations.holds(claims(sub=BOB))


def test_any_number_of_decisions_asks_once_in_half_a_minute(
    deps: Deps, revocations: Revocations, client: Recorded, time: Time
) -> None:
    for _ in range(29):
        revocations.holds(claims())
        time.pass_by(1)
    assert queries(client) == 1
    time.pass_by(1)
    revocations.holds(claims())
    assert queries(client) == 2


def test_a_revocation_holds_within_a_minute(deps: Deps, revocations: Revocations, time: Time) -> None:
    # Given a process that has just looked
    assert not revocations.holds(claims())

    # When a session ends right after / Then a minute later at most its tokens are refused
    deps.table.transact([session_write("session2session3", time.clock.now())])
    time.pass_by(WITHIN_SECONDS)
    assert revocations.holds(claims())


def test_an_entry_whose_write_took_long_is_not_missed(deps: Deps, revocations: Revocations, time: Time) -> None:
    # Given a change that began before a look, and was written after it
    began = time.clock.now()
    time.pass_by(29)
    assert not revocations.holds(claims())
    deps.table.transact([session_write("session2session3", began)])

    # Then the next look sees it, though it bears an earlier time
    time.pass_by(LOOKS_SECONDS)
    assert revocations.holds(claims())


def test_what_no_living_token_can_meet_is_forgotten(deps: Deps, revocations: Revocations, time: Time) -> None:
    deps.table.transact([session_write("session2session3", NOON), user_write(ANN, EPOCH, NOON)])
    assert revocations.holds(claims(issued_at=EPOCH - 1))
    for _ in range(3):
        time.pass_by(1_500)
        revocations.holds(claims())
    assert revocations._sessions == {}
    assert revocations._users == {}


def test_more_than_a_page_is_read_whole(deps: Deps, revocations: Revocations) -> None:
    for number in range(1_050):
        deps.table.put(session_write(f"session{number}", NOON).put or {})
    assert revocations.holds(claims(session_id="session1049"))
    assert revocations.holds(claims(session_id="session0"))


def test_a_table_that_does_not_answer_is_borne_for_a_minute(
    deps: Deps, revocations: Revocations, client: Recorded, time: Time
) -> None:
    # Given a process that knows of revocations, and a table that no longer answers
    revocations.holds(claims())
    asked = 0

    def fail(operation: str, request: dict[str, object]) -> None:
        nonlocal asked
        asked += 1
        raise EndpointConnectionError(endpoint_url="https://dynamodb")

    client.before = fail

    # Then it decides on with what it knows, asking now and then
    time.pass_by(LOOKS_SECONDS)
    for _ in range(29):
        assert not revocations.holds(claims())
        time.pass_by(1)
    assert asked == 29 // TRIES_SECONDS + 1

    # But not beyond what is promised
    time.pass_by(1)
    with pytest.raises(Unavailable):
        revocations.holds(claims())


def test_a_new_process_decides_nothing_before_it_has_looked(revocations: Revocations, client: Recorded) -> None:
    def fail(operation: str, request: dict[str, object]) -> None:
        raise EndpointConnectionError(endpoint_url="https://dynamodb")

    client.before = fail
    for _ in range(2):
        with pytest.raises(Unavailable):
            revocations.holds(claims())
