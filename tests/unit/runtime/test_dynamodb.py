"""DynamoDB in plain values: what goes in comes out, and a condition that does not hold is an answer."""

from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from botocore.stub import Stubber
from hypothesis import given
from hypothesis import strategies as st
from moto import mock_aws

from tests.unit.runtime.conftest import Configure
from weir.runtime import aws, dynamodb
from weir.runtime.clock import Clock
from weir.runtime.dynamodb import Contended, Outcome, Table, Write
from weir.runtime.errors import TooManyRequests, Unavailable, UpstreamFailed

values = st.recursive(
    st.none() | st.booleans() | st.text() | st.binary() | st.integers(-(10**30), 10**30),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), values, max_size=4))
def test_what_is_stored_is_what_is_read(item: dict[str, Any]) -> None:
    assert dynamodb.plain(dynamodb.wire(item)) == item


def test_a_float_is_refused() -> None:
    # Given a number that binary fractions can't tell / Then it is no value of an item
    with pytest.raises(TypeError, match="float"):
        dynamodb.wire({"cost": 0.1})


@pytest.fixture
def table(configure: Configure) -> Iterator[Table]:
    """A table of pk and sk, and an index of everything by ``list`` and ``at``."""
    configure()
    with mock_aws():
        aws.client.cache_clear()
        client = aws.client("dynamodb")
        names = ("pk", "sk", "list", "at")
        client.create_table(
            TableName="t",
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in names],
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
            GlobalSecondaryIndexes=[
                {
                    "IndexName": "listing",
                    "KeySchema": [
                        {"AttributeName": "list", "KeyType": "HASH"},
                        {"AttributeName": "at", "KeyType": "RANGE"},
                    ],
                    "Projection": {"ProjectionType": "ALL"},
                }
            ],
        )
        yield Table(client, "t")
        aws.client.cache_clear()


A, B = {"pk": "p", "sk": "a"}, {"pk": "p", "sk": "b"}


def test_an_item_is_new_once(table: Table) -> None:
    assert table.put_new({**A, "n": 1})
    assert not table.put_new({**A, "n": 2})
    assert table.get(A) == {**A, "n": 1}
    assert table.get(B) is None


def test_a_change_on_a_condition_tells_the_item_that_it_made_or_met(table: Table) -> None:
    # Given an item used twice of three times
    table.put({**A, "uses": 2})
    use = ("ADD uses :one", "uses < :most", {"one": 1, "most": 3})

    # When it is used again, and again / Then the third is told, and the fourth is refused by what stands there
    assert table.update(A, *use) == Outcome(True, {**A, "uses": 3})
    assert table.update(A, *use) == Outcome(False, {**A, "uses": 3})
    assert table.update(B, *use) == Outcome(False, None)


def test_a_change_that_nobody_wants_back_tells_only_the_item_that_forbade_it(table: Table) -> None:
    table.put({**A, "uses": 2})
    use = ("ADD uses :one", "uses < :most", {"one": 1, "most": 3})
    assert table.update(A, *use, returned=False) == Outcome(True, None)
    assert table.update(A, *use, returned=False) == Outcome(False, {**A, "uses": 3})


def test_what_is_deleted_is_told_once(table: Table) -> None:
    table.put({**A, "code": "x"})
    assert not table.delete(A, "code = :code", {"code": "y"}).done
    assert table.delete(A, "#c = :code", {"code": "x"}, {"c": "code"}) == Outcome(True, {**A, "code": "x"})
    assert table.delete(A) == Outcome(True, None)


def test_all_writes_of_a_transaction_or_none(table: Table) -> None:
    # Given one item that is there
    table.put({**A, "n": 1})
    writes = [
        Write(put={**B, "n": 1}),
        Write(key=A, changes="SET n = :two", when="n = :seen", values={"two": 2, "seen": 7}),
    ]

    # When a condition does not hold / Then nothing is written, and it is told which
    assert table.transact(writes) == (True, False)
    assert table.get(B) is None

    # When all hold / Then all is
    assert table.transact([writes[0], Write(key=A)]) == ()
    assert (table.get(A), table.get(B)) == (None, {**B, "n": 1})


def test_a_check_is_a_condition_on_an_item_that_stays_as_it_is(table: Table) -> None:
    # Given an item that a write of another one depends on
    table.put({**A, "n": 1})

    def depending(seen: int) -> list[Write]:
        return [Write(put={**B, "n": 1}), Write(key=A, when="n = :seen", values={"seen": seen}, check=True)]

    # When it is otherwise / Then nothing is written
    assert table.transact(depending(7)) == (True, False)
    assert table.get(B) is None

    # When it is so / Then the other is written, and it is still there
    assert table.transact(depending(1)) == ()
    assert (table.get(A), table.get(B)) == ({**A, "n": 1}, {**B, "n": 1})


def test_a_list_goes_on_where_it_ended(table: Table) -> None:
    for number in range(5):
        table.put({"pk": f"p{number}", "sk": "a", "list": "L", "at": str(number)})
    where, of = "#l = :l", {"l": "L"}
    first, after = table.page(where, of, limit=3, index="listing", names={"l": "list"}, descending=True)
    rest, end = table.page(where, of, limit=3, index="listing", names={"l": "list"}, descending=True, after=after)
    assert [item["at"] for item in first + rest] == ["4", "3", "2", "1", "0"]
    assert end is None
    assert len(list(table.all("pk = :p", {"p": "p1"}))) == 1


def test_many_items_come_in_one_call(table: Table) -> None:
    table.put({**A, "n": 1})
    table.put({**B, "n": 2})
    found = table.get_many([A, B, {"pk": "q", "sk": "q"}])
    assert sorted(item["n"] for item in found) == [1, 2]


def test_items_that_dynamodb_left_out_are_asked_for_again(table: Table) -> None:
    # Given an answer that leaves a key unprocessed, as DynamoDB does when it throttles, and one that does not
    waited: list[float] = []
    patient = Table(table._client, "t", Clock(sleep=waited.append))
    first = {"Responses": {"t": [dynamodb.wire({**A, "n": 1})]}, "UnprocessedKeys": {"t": {"Keys": [dynamodb.wire(B)]}}}
    asked = {"RequestItems": {"t": {"Keys": [dynamodb.wire(B)], "ConsistentRead": True}}}
    with Stubber(table._client) as stubber:
        stubber.add_response("batch_get_item", first)
        stubber.add_response("batch_get_item", {"Responses": {"t": [dynamodb.wire({**B, "n": 2})]}}, asked)
        # When both are read / Then both are there, after a short while
        assert patient.get_many([A, B]) == [{**A, "n": 1}, {**B, "n": 2}]
    assert len(waited) == 1
    assert 0 < waited[0] < 1


def test_items_that_dynamodb_left_out_are_not_taken_for_missing(table: Table) -> None:
    # Given that every answer leaves them out
    waited: list[float] = []
    patient = Table(table._client, "t", Clock(sleep=waited.append))
    left = {"Responses": {"t": []}, "UnprocessedKeys": {"t": {"Keys": [dynamodb.wire(A)]}}}
    with Stubber(table._client) as stubber:
        for _ in range(4):
            stubber.add_response("batch_get_item", left)
        with pytest.raises(Unavailable):
            patient.get_many([A])
        stubber.assert_no_pending_responses()
    assert len(waited) == 3


@pytest.mark.parametrize(
    ("code", "raised"),
    [
        ("ProvisionedThroughputExceededException", TooManyRequests),
        ("InternalServerError", Unavailable),
        ("AccessDeniedException", UpstreamFailed),
    ],
)
@pytest.mark.parametrize("method", ["get", "get_many", "put", "update", "delete", "page", "transact"])
def test_what_dynamodb_refuses_is_an_error_of_ours(
    table: Table, monkeypatch: pytest.MonkeyPatch, code: str, raised: type[Exception], method: str
) -> None:
    def fails(operation: str, _: Any) -> Any:
        raise ClientError({"Error": {"Code": code, "Message": "arn:aws:iam::1:role/x"}}, operation)

    monkeypatch.setattr(table._client, "_make_api_call", fails)
    calls: dict[str, Any] = {
        "get": lambda: table.get(A),
        "get_many": lambda: table.get_many([A]),
        "put": lambda: table.put(A),
        "update": lambda: table.update(A, "SET n = :n", None, {"n": 1}),
        "delete": lambda: table.delete(A),
        "page": lambda: table.page("pk = :p", {"p": "p"}, limit=1),
        "transact": lambda: table.transact([Write(key=A)]),
    }
    with pytest.raises(raised) as error:
        calls[method]()
    assert "arn:" not in str(error.value)


def test_no_answer_at_all_is_told_as_that(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*_: Any) -> Any:
        raise EndpointConnectionError(endpoint_url="https://x")

    monkeypatch.setattr(table._client, "_make_api_call", gone)
    with pytest.raises(Unavailable):
        table.update(A, "SET n = :n", None, {"n": 1})


def test_a_conflict_of_transactions_is_for_another_try(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    def cancelled(operation: str, _: Any) -> Any:
        told: Any = {
            "Error": {"Code": "TransactionCanceledException", "Message": "cancelled"},
            "CancellationReasons": [{"Code": "None"}, {"Code": "TransactionConflict"}],
        }
        raise ClientError(told, operation)

    monkeypatch.setattr(table._client, "_make_api_call", cancelled)
    with pytest.raises(Unavailable):
        table.transact([Write(key=A), Write(key=B)])


def test_who_is_in_the_way_is_waited_for_a_moment_and_not_for_ever() -> None:
    # Given a write that meets others, so often
    slept: list[float] = []
    met = 0

    def write(others: int) -> str:
        nonlocal met
        met += 1
        if met <= others:
            raise Contended("another is at it", retry_after=1)
        return "done"

    # Then it is done at the fourth try, after waits that differ
    assert dynamodb.again(lambda: write(3), Clock(sleep=slept.append)) == "done"
    assert len(set(slept)) == 3

    # And a fifth is not made
    met = 0
    with pytest.raises(Contended):
        dynamodb.again(lambda: write(4), Clock(sleep=slept.append))
    assert met == 4


def test_what_is_refused_for_another_reason_is_not_tried_again() -> None:
    tries: list[int] = []

    def write() -> None:
        tries.append(1)
        raise Unavailable("DynamoDB does not answer")

    with pytest.raises(Unavailable):
        dynamodb.again(write, Clock(sleep=lambda _: None))
    assert len(tries) == 1
