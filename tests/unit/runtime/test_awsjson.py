"""DynamoDB and Secrets Manager without botocore's clients: what is sent, what is answered, what is tried again."""

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError, ConnectionClosedError, EndpointConnectionError, ReadTimeoutError

from tests.unit.runtime.conftest import Configure
from weir.runtime import aws, awsjson
from weir.runtime.awsjson import SERVICES, DynamoDb, Given, Signer
from weir.runtime.clock import SYSTEM
from weir.runtime.dynamodb import Table
from weir.runtime.errors import Unavailable

ENDPOINT = "https://dynamodb.eu-west-1.amazonaws.com"
MOMENT, EPOCH = "20261121T140500Z", 1_795_269_900.0
OK = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b"


def ok(answer: Any) -> bytes:
    """An answer on the wire."""
    body = json.dumps(answer).encode()
    return OK % (len(body), body)


def refusal(status: int, code: str, **more: Any) -> bytes:
    """A refusal on the wire."""
    body = json.dumps({"__type": f"com.amazonaws.dynamodb.v20120810#{code}", "message": "No.", **more}).encode()
    return b"HTTP/1.1 %d No\r\ncontent-length: %d\r\n\r\n%b" % (status, len(body), body)


class Service:
    """The other end: each connection has its answers ready, one for each request; None closes it unanswered."""

    def __init__(self, *connections: list[bytes | None] | Exception) -> None:
        self._connections = list(connections)
        self._ends: list[tuple[socket.socket, socket.socket, list[bytes | None]]] = []
        self.slept: list[float] = []
        clock = replace(SYSTEM, sleep=self.slept.append, epoch=lambda: EPOCH)
        given = Given("AKID", "secret", "a token")
        self.client = DynamoDb(
            SERVICES["dynamodb"], ENDPOINT, "eu-west-1", lambda: given, self._connect, attempts=3, clock=clock
        )

    def _connect(self) -> Any:
        wanted = self._connections.pop(0)
        if isinstance(wanted, Exception):
            raise wanted
        ours, theirs = socket.socketpair()
        ours.settimeout(0.05)
        self._ends.append((ours, theirs, wanted))
        return Answered(ours, theirs, wanted)

    @property
    def opened(self) -> int:
        """How many connections there were."""
        return len(self._ends)

    def sent(self, number: int = 0) -> str:
        """What came over a connection."""
        return self._ends[number][1].recv(1_000_000).decode()

    def close(self) -> None:
        for ours, theirs, _ in self._ends:
            ours.close()
            theirs.close()


class Answered:
    """A socket whose other end answers as soon as a request was sent."""

    def __init__(self, ours: socket.socket, theirs: socket.socket, answers: list[bytes | None]) -> None:
        self._ours, self._theirs, self._answers = ours, theirs, answers
        self.fileno, self.recv, self.close = ours.fileno, ours.recv, ours.close

    def sendall(self, data: bytes) -> None:
        self._ours.sendall(data)
        answer = self._answers.pop(0) if self._answers else b""
        if answer is None:
            self._theirs.shutdown(socket.SHUT_WR)
        elif answer:
            self._theirs.sendall(answer)


@pytest.fixture
def made() -> Iterator[Any]:
    services: list[Service] = []

    def make(*connections: list[bytes | None] | Exception) -> Service:
        services.append(Service(*connections))
        return services[-1]

    yield make
    for one in services:
        one.close()


@pytest.mark.parametrize("token", [None, "a/token+of=a role"])
@pytest.mark.parametrize("name", sorted(SERVICES))
def test_a_request_is_signed_as_botocore_signs_it(
    name: str, token: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a request as botocore would send it, at one moment
    service, body = SERVICES[name], b'{"TableName":"t"}'
    target = f"{service.target}.Anything"
    moment = datetime.fromisoformat("2026-11-21T14:05:00")
    for place in ("botocore.auth.get_current_datetime", "botocore.compat.get_current_datetime"):
        monkeypatch.setattr(place, lambda **_: moment, raising=False)
    url = f"https://{name}.eu-west-1.amazonaws.com/"
    headers = {"content-type": service.content_type, "x-amz-target": target}
    request = AWSRequest(method="POST", url=url, data=body, headers=headers)
    SigV4Auth(Credentials("AKID", "secret", token), name, "eu-west-1").add_auth(request)
    # When ours is signed, twice: the second time with the key that is kept
    signer = Signer(service, "eu-west-1", f"{name}.eu-west-1.amazonaws.com")
    told = [signer.headers(target, body, Given("AKID", "secret", token), MOMENT) for _ in range(2)]
    # Then it says the same
    assert told[0] == told[1]
    lines = dict(line.split(": ", 1) for line in told[0].splitlines())
    assert lines["x-amz-date"] == MOMENT == request.headers["X-Amz-Date"]
    assert lines["authorization"] == request.headers["Authorization"]
    assert lines.get("x-amz-security-token") == token


def test_the_key_of_a_signature_follows_the_day_and_the_secret() -> None:
    signer = Signer(SERVICES["dynamodb"], "eu-west-1", "host")
    first, second = Given("A", "one", None), Given("A", "two", None)
    days = [signer.headers("t", b"", first, moment) for moment in (MOMENT, "20261122T140500Z", MOMENT)]
    assert days[0] == days[2] != days[1]
    assert signer.headers("t", b"", second, MOMENT) != days[0]


def test_a_call_is_one_request_and_its_answer(made: Any) -> None:
    # Given a service that answers
    service = made([ok({"Item": {"pk": {"S": "a"}, "raw": {"B": "AAE="}}})])
    # When an item is read
    item = Table(service.client, "a-table").get({"pk": "a", "sk": "b"})
    # Then its values are plain, bytes among them, and one whole request was sent
    assert item == {"pk": "a", "raw": b"\x00\x01"}
    head, _, body = service.sent().partition("\r\n\r\n")
    assert head.startswith("POST / HTTP/1.1\r\nhost: dynamodb.eu-west-1.amazonaws.com\r\n")
    assert "x-amz-target: DynamoDB_20120810.GetItem\r\n" in head
    assert "content-type: application/x-amz-json-1.0\r\n" in head
    assert f"content-length: {len(body)}" in head
    assert json.loads(body) == {
        "TableName": "a-table",
        "Key": {"pk": {"S": "a"}, "sk": {"S": "b"}},
        "ConsistentRead": True,
    }


def test_bytes_are_sent_as_the_protocol_has_them(made: Any) -> None:
    service = made([ok({})])
    Table(service.client, "a-table").put({"pk": "a", "sk": "b", "raw": b"\x00\x01"})
    assert json.loads(service.sent().partition("\r\n\r\n")[2])["Item"]["raw"] == {"B": "AAE="}


def test_an_answer_may_come_in_parts_and_in_chunks(made: Any) -> None:
    # Given an answer of unknown length
    service = made([b'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n6\r\n{"a": \r\n2\r\n1}\r\n0\r\n\r\n'])
    # When it is read / Then it is whole
    assert service.client.call("GetItem", {}) == {"a": 1}


def test_a_connection_is_used_again(made: Any) -> None:
    service = made([ok({}), ok({}), ok({})])
    for _ in range(3):
        service.client.call("GetItem", {})
    assert service.opened == 1


@pytest.mark.parametrize(
    "last", [b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}", OK % (2, b"{}")]
)
def test_a_connection_that_was_closed_is_not(made: Any, last: bytes) -> None:
    # Given a service that says that it closes, or just does
    service = made([last], [ok({"a": 1})])
    service.client.call("GetItem", {})
    service._ends[0][1].close()
    # When another call is made / Then it is over a new connection, and nothing had to be tried again
    assert service.client.call("GetItem", {}) == {"a": 1}
    assert (service.opened, service.slept) == (2, [])


def test_a_condition_that_does_not_hold_tells_the_item_and_is_not_tried_again(made: Any) -> None:
    # Given an item, with bytes in it, that forbids a write
    item = {"n": {"N": "7"}, "data": {"B": "AAEC"}}
    service = made([refusal(400, "ConditionalCheckFailedException", Item=item)])
    # When it is written
    outcome = Table(service.client, "a-table").put({"pk": "a", "sk": "b"}, when="attribute_not_exists(pk)")
    # Then that is an answer
    assert (outcome.done, outcome.item, service.slept) == (False, {"n": 7, "data": b"\x00\x01\x02"}, [])


GOOD = ok({"a": 1})
REFUSED = ConnectionRefusedError(111, "refused")


@pytest.mark.parametrize(
    "connections",
    [
        [[refusal(400, "ProvisionedThroughputExceededException"), GOOD]],
        [[refusal(500, "InternalServerError"), GOOD]],
        [[b"HTTP/1.1 503 Busy\r\ncontent-length: 4\r\n\r\nBusy", GOOD]],
        [[None], [GOOD]],
        [[b"this is no HTTP\r\n\r\n"], [GOOD]],
        [[b""], [GOOD]],  # nothing comes
        [REFUSED, [GOOD]],
    ],
)
def test_what_may_pass_is_tried_again(made: Any, connections: list[Any]) -> None:
    # Given a service that fails once, on a connection that is then of no use, or still is
    service = made(*(one if isinstance(one, Exception) else list(one) for one in connections))
    # When it is called
    assert service.client.call("GetItem", {}) == {"a": 1}
    # Then it was waited for, up to a second
    (slept,) = service.slept
    assert 0 <= slept <= 1


@pytest.mark.parametrize(
    ("connections", "error", "kind"),
    [
        ([[None], [None], [None]], ConnectionClosedError, "transient"),
        ([[b""], [b""], [b""]], ReadTimeoutError, "transient"),
        ([REFUSED, REFUSED, REFUSED], EndpointConnectionError, "transient"),
        ([[refusal(400, "ThrottlingException")] * 3], ClientError, "throttled"),
    ],
)
def test_what_does_not_pass_is_botocores_error(
    made: Any, connections: list[Any], error: type[Exception], kind: str
) -> None:
    # Given a service that fails each time
    service = made(*(one if isinstance(one, Exception) else list(one) for one in connections))
    # When it is called / Then the last failure is told as botocore would have told it
    with pytest.raises(error) as caught:
        service.client.call("GetItem", {})
    assert aws.kind(caught.value) == kind
    assert len(service.slept) == 2


def test_a_refusal_is_told_once(made: Any) -> None:
    service = made([refusal(400, "ValidationException")])
    with pytest.raises(ClientError) as caught:
        service.client.call("Query", {})
    assert aws.error_code(caught.value) == "ValidationException"
    assert caught.value.response["Error"]["Message"] == "No."
    assert service.slept == []


def test_a_table_that_does_not_answer_is_unavailable(made: Any) -> None:
    service = made([None], [None], [None])
    with pytest.raises(Unavailable):
        Table(service.client, "a-table").get({"pk": "a", "sk": "b"})


def test_a_process_without_credentials_says_so(made: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aws, "credentials", lambda: None)
    service = made()
    service.client._credentials = awsjson._credentials({})
    with pytest.raises(Exception, match="credentials") as caught:
        service.client.call("GetItem", {})
    assert aws.is_aws_error(caught.value)


@pytest.mark.parametrize(
    ("environ", "region", "endpoint"),
    [
        ({}, "eu-west-1", "https://dynamodb.eu-west-1.amazonaws.com"),
        ({}, "cn-north-1", "https://dynamodb.cn-north-1.amazonaws.com.cn"),
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:1/"}, "eu-west-1", "http://127.0.0.1:1"),
        (
            {"AWS_ENDPOINT_URL": "http://127.0.0.1:1", "AWS_ENDPOINT_URL_DYNAMODB": "http://127.0.0.1:2"},
            "eu-west-1",
            "http://127.0.0.1:2",
        ),
    ],
)
def test_the_setting_decides_who_speaks_to_dynamodb(
    configure: Configure, monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], region: str, endpoint: str
) -> None:
    # Given settings, and endpoints in the environment
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_DYNAMODB"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", **environ}.items():
        monkeypatch.setenv(name, value)
    configure(aws_direct="true", region=region)
    aws.client.cache_clear()
    try:
        # When clients are made / Then these are ours, where AWS is, and others botocore's
        direct = aws.client("dynamodb")
        assert isinstance(direct, DynamoDb)
        assert direct._endpoint == endpoint
        assert direct._attempts == 4
        assert isinstance(aws.client("secretsmanager"), awsjson.SecretsManager)
        assert not isinstance(aws.client("kinesis"), awsjson.Client)
    finally:
        aws.client.cache_clear()


def test_a_process_that_speaks_to_dynamodb_alone_loads_no_botocore(tmp_path: Path) -> None:
    # Given a process with the setting on
    code = (
        "import sys\n"
        "from weir.runtime import aws\n"
        "aws.client('dynamodb')\n"
        "assert not [name for name in sys.modules if name.startswith('botocore')]\n"
    )
    environ = {"WEIR_AWS_DIRECT": "true", "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
    environ["PYTHONPATH"] = str(Path(awsjson.__file__).parents[2])
    # When it makes a client / Then botocore is not among its modules
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path, env=environ, timeout=60)
