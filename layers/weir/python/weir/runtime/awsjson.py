"""DynamoDB and Secrets Manager in AWS's JSON protocol, without botocore's clients.

For the gateway, each of whose requests waits for three writes: through a client of botocore's, a call takes more than a
millisecond of a processor, through this one a tenth of that, and the process need not load botocore to start. What is
the same: the names of methods and arguments, answers, errors (``aws.refused``, ``aws.unreached``), time-outs, and tries
with jittered exponential backoff. What is not there: a quota of retries, proxies, and the endpoints of partitions other
than AWS's and China's; who needs one of those leaves ``aws_direct`` off.

https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.LowLevelAPI.html
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

import hmac
import json
import random
import select
import socket
import ssl
import time
from base64 import b64decode, b64encode
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from typing import Any, Protocol
from urllib.parse import urlsplit

import httptools

from weir.runtime import aws
from weir.runtime.clock import SYSTEM, Clock
from weir.runtime.settings import aws_environment, settings

MOST_IDLE = 16
_READ = 65_536
_AGAIN = {"throttled", "transient"}
_SIGNED = "content-type;host;x-amz-date;x-amz-target"
_SIGNED_WITH_TOKEN = "content-type;host;x-amz-date;x-amz-security-token;x-amz-target"  # noqa: S105 - names of headers


class Credentials(Protocol):
    """What requests are signed with, as botocore has it frozen."""

    @property
    def access_key(self) -> str:
        """Its public half."""

    @property
    def secret_key(self) -> str:
        """Its secret half."""

    @property
    def token(self) -> str | None:
        """The session's, where they are of a role."""


@dataclass(frozen=True, slots=True)
class Given:
    """Credentials that the environment gives, as Lambda's does."""

    access_key: str
    secret_key: str
    token: str | None


@dataclass(frozen=True, slots=True)
class Service:
    """A service: its name in endpoints and signatures, what its operations' names begin with, its content type."""

    name: str
    target: str
    content_type: str


SERVICES = {
    "dynamodb": Service("dynamodb", "DynamoDB_20120810", "application/x-amz-json-1.0"),
    "secretsmanager": Service("secretsmanager", "secretsmanager", "application/x-amz-json-1.1"),
}


class Signer:
    """Signs requests (SigV4). The key that follows from the secret and the day is kept."""

    def __init__(self, service: Service, region: str, host: str) -> None:
        self._service, self._region, self._host = service, region, host
        self._kept: tuple[str, str, bytes] = ("", "", b"")

    def headers(self, target: str, body: bytes, found: Credentials, moment: str) -> str:
        """The lines of a request's headers that tell who sends it, and ``moment`` (``20261121T140500Z``)."""
        token = f"x-amz-security-token:{found.token}\n" if found.token else ""
        signed = _SIGNED_WITH_TOKEN if found.token else _SIGNED
        request = (
            f"POST\n/\n\ncontent-type:{self._service.content_type}\nhost:{self._host}\nx-amz-date:{moment}\n{token}"
            f"x-amz-target:{target}\n\n{signed}\n{sha256(body).hexdigest()}"
        )
        scope = f"{moment[:8]}/{self._region}/{self._service.name}/aws4_request"
        text = f"AWS4-HMAC-SHA256\n{moment}\n{scope}\n{sha256(request.encode()).hexdigest()}"
        signature = hmac.digest(self._key(found.secret_key, moment[:8]), text.encode(), sha256).hex()
        proof = f"Credential={found.access_key}/{scope}, SignedHeaders={signed}, Signature={signature}"
        sent = f"x-amz-date: {moment}\r\nauthorization: AWS4-HMAC-SHA256 {proof}\r\n"
        return f"{sent}x-amz-security-token: {found.token}\r\n" if found.token else sent

    def _key(self, secret: str, day: str) -> bytes:
        kept = self._kept
        if kept[:2] == (secret, day):
            return kept[2]
        key = f"AWS4{secret}".encode()
        for part in (day, self._region, self._service.name, "aws4_request"):
            key = hmac.digest(key, part.encode(), sha256)
        self._kept = (secret, day, key)
        return key


class Answer:
    """An HTTP answer, as it is parsed. ``status`` is 0 until it is whole."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._parser = httptools.HttpResponseParser(self)
        self.status = 0
        self.is_last = False

    def feed(self, data: bytes) -> None:
        """Bytes as they come. ``httptools.HttpParserError`` where they are no HTTP."""
        self._parser.feed_data(data)

    def on_body(self, part: bytes) -> None:
        """Of httptools: some of the body."""
        self._parts.append(part)

    def on_message_complete(self) -> None:
        """Of httptools: that is all."""
        self.status = self._parser.get_status_code()
        self.is_last = not self._parser.should_keep_alive()

    @property
    def body(self) -> bytes:
        """The whole body."""
        return b"".join(self._parts)


class Client:
    """A service. Safe to be used by many threads, each of which has a connection of its own while it waits.

    Parameters
    ----------
    connect
        Opens a connection, with its time-outs.
    attempts
        Tries in all, the first included.
    """

    def __init__(
        self,
        service: Service,
        endpoint: str,
        region: str,
        credentials: Callable[[], Credentials],
        connect: Callable[[], socket.socket],
        *,
        attempts: int,
        clock: Clock = SYSTEM,
    ) -> None:
        self._service, self._endpoint = service, endpoint
        self._host = urlsplit(endpoint).netloc
        self._signer = Signer(service, region, self._host)
        self._credentials, self._connect = credentials, connect
        self._attempts, self._clock = attempts, clock
        self._idle: deque[socket.socket] = deque()

    def call(self, operation: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """Call an operation; answers what botocore would.

        Raises
        ------
        Exception
            As a client of botocore's: see ``aws.kind``.
        """
        body = _JSON.encode(request).encode()
        for tried in range(self._attempts):
            try:
                return self._tried(operation, body)
            except Exception as error:
                if tried == self._attempts - 1 or aws.kind(error) not in _AGAIN:
                    raise
            self._clock.sleep(random.random() * min(2**tried, 20))
        raise AssertionError("there is one try at least")

    def _tried(self, operation: str, body: bytes) -> dict[str, Any]:
        try:
            answer = self._exchanged(self._written(operation, body))
        except (OSError, httptools.HttpParserError) as error:
            raise aws.unreached(error, self._endpoint) from error
        if answer.status != 200:
            raise aws.refused(operation, answer.status, _read_if_json(answer.body))
        found: dict[str, Any] = _read(answer.body)
        return found

    def _written(self, operation: str, body: bytes) -> bytes:
        target = f"{self._service.target}.{operation}"
        moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(self._clock.epoch()))
        signed = self._signer.headers(target, body, self._credentials(), moment)
        head = (
            f"POST / HTTP/1.1\r\nhost: {self._host}\r\ncontent-type: {self._service.content_type}\r\n"
            f"x-amz-target: {target}\r\n{signed}user-agent: weir/1\r\naccept-encoding: identity\r\n"
            f"content-length: {len(body)}\r\n\r\n"
        )
        return head.encode("ascii") + body

    def _exchanged(self, request: bytes) -> Answer:
        connection = self._connection()
        try:
            connection.sendall(request)
            answer = Answer()
            while not answer.status:
                data = connection.recv(_READ)
                if not data:
                    raise ConnectionResetError("closed before the answer was whole")  # noqa: TRY301
                answer.feed(data)
        except BaseException:
            connection.close()
            raise
        if answer.is_last or len(self._idle) >= MOST_IDLE:
            connection.close()
        else:
            self._idle.append(connection)
        return answer

    def _connection(self) -> socket.socket:
        """The idle connection used last, or a new one: one that can be read from was closed by the other end."""
        while True:
            try:
                connection = self._idle.pop()
            except IndexError:
                return self._connect()
            looking = select.poll()
            looking.register(connection, select.POLLIN)
            if not looking.poll(0):
                return connection
            connection.close()


class DynamoDb(Client):
    """The operations of DynamoDB that ``dynamodb.Table`` calls."""

    def get_item(self, **request: Any) -> dict[str, Any]:
        """https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_GetItem.html"""
        return self.call("GetItem", request)

    def batch_get_item(self, **request: Any) -> dict[str, Any]:
        """https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchGetItem.html"""
        return self.call("BatchGetItem", request)

    def query(self, **request: Any) -> dict[str, Any]:
        """https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_Query.html"""
        return self.call("Query", request)

    def put_item(self, **request: Any) -> dict[str, Any]:
        """https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_PutItem.html"""
        return self.call("PutItem", request)

    def update_item(self, **request: Any) -> dict[str, Any]:
        """https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_UpdateItem.html"""
        return self.call("UpdateItem", request)

    def delete_item(self, **request: Any) -> dict[str, Any]:
        """https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_DeleteItem.html"""
        return self.call("DeleteItem", request)

    def transact_write_items(self, **request: Any) -> dict[str, Any]:
        """https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html"""
        return self.call("TransactWriteItems", request)


class SecretsManager(Client):
    """The operation of Secrets Manager that ``secrets`` calls."""

    def get_secret_value(self, **request: Any) -> dict[str, Any]:
        """https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_GetSecretValue.html"""
        return self.call("GetSecretValue", request)


def client(name: str, attempts: int) -> Client:
    """A client of this process's, with the settings' region and time-outs."""
    conf, given = settings(), aws_environment()
    suffix = "amazonaws.com.cn" if conf.region.startswith("cn-") else "amazonaws.com"
    own = given.get(f"AWS_ENDPOINT_URL_{'SECRETS_MANAGER' if name == 'secretsmanager' else name.upper()}")
    endpoint = (own or given.get("AWS_ENDPOINT_URL") or f"https://{name}.{conf.region}.{suffix}").rstrip("/")
    seconds = conf.aws_timeout_seconds
    made = {"dynamodb": DynamoDb, "secretsmanager": SecretsManager}[name]
    connect = connector(endpoint, min(3.0, seconds), seconds)
    return made(SERVICES[name], endpoint, conf.region, _credentials(given), connect, attempts=attempts)


def connector(endpoint: str, connect_seconds: float, seconds: float) -> Callable[[], socket.socket]:
    """Opens connections to an endpoint, over TLS where that is https. OSError where none is had in time."""
    place = urlsplit(endpoint)
    host, is_tls = place.hostname or "", place.scheme == "https"
    port = place.port or (443 if is_tls else 80)

    def connect() -> socket.socket:
        connection = socket.create_connection((host, port), timeout=connect_seconds)
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            if is_tls:
                connection = _tls().wrap_socket(connection, server_hostname=host)
            connection.settimeout(seconds)
        except BaseException:
            connection.close()
            raise
        return connection

    return connect


@lru_cache(maxsize=1)
def _tls() -> ssl.SSLContext:
    """For all connections: the certificates of the system take 30 ms to load."""
    return ssl.create_default_context()


def _credentials(given: Mapping[str, str]) -> Callable[[], Credentials]:
    """Those of the environment, which last as it does; where it has none, those that botocore finds and renews."""
    key, secret = given.get("AWS_ACCESS_KEY_ID"), given.get("AWS_SECRET_ACCESS_KEY")
    if not key or not secret:
        return aws.own_credentials
    found = Given(key, secret, given.get("AWS_SESSION_TOKEN"))
    return lambda: found


def _base64(value: object) -> str:
    """Bytes as the protocol has them."""
    if not isinstance(value, bytes):
        raise TypeError(f"{type(value).__name__} is no value of a request")
    return b64encode(value).decode("ascii")


_JSON = json.JSONEncoder(separators=(",", ":"), default=_base64, check_circular=False)


def _read(body: bytes) -> Any:
    """An answer, with the bytes of its binary values. ValueError where it is no JSON."""
    text = body.decode()  # else its encoding would be guessed
    return json.loads(text, object_hook=_with_bytes if '"B":' in text else None)


def _read_if_json(body: bytes) -> Any:
    """The same; None where it is no JSON: what stands between may refuse too."""
    try:
        return _read(body)
    except ValueError:
        return None


def _with_bytes(value: dict[str, Any]) -> dict[str, Any]:
    """A value of binary with its bytes. No attribute is named ``B``, so that none is taken for one."""
    return {"B": b64decode(value["B"])} if len(value) == 1 and isinstance(value.get("B"), str) else value
