"""Parts and ranges over TLS, through a proxy, and from a storage that answers oddly."""

import base64
import datetime
import hashlib
import ipaddress
import os
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import Mock

import pytest
import pytest_socket
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from client.packages_storage import Expired, Gone, Link, Storage, StorageRefused, Troubled, _judge
from tests.unit.client.fake_registry import Blob, Fault, Registry, Upload, served
from tests.unit.client.typing_in import MIB, bytes_of, write

DATA = bytes_of(2 * MIB + 3)
SHA256 = hashlib.sha256(DATA).hexdigest()


@pytest.fixture
def storage() -> Iterator[Storage]:
    made = Storage(timeout=10)
    yield made
    made.close()


@pytest.fixture
def tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """A server's certificate for the loopback address, which this process trusts."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "storage")])
    now = datetime.datetime.now(datetime.UTC)
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + datetime.timedelta(days=1))
        .add_extension(address, critical=False)
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    place = write(tmp_path / "server.pem", certificate.public_bytes(serialization.Encoding.PEM) + secret)
    monkeypatch.setenv("SSL_CERT_FILE", str(place))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(place)
    return context


def part(registry: Registry, origin: str, data: bytes) -> Link:
    """A URL of an upload's first part."""
    checksum = base64.b64encode(hashlib.sha256(data).digest()).decode()
    registry.uploads["u"] = Upload({}, sums={1: checksum})
    return Link(f"{origin}/s3/part/u/1?epoch=0", {"x-amz-checksum-sha256": checksum}, 0.0)


def round_trip(registry: Registry, storage: Storage, origin: str, folder: Path) -> None:
    """Put the middle of a file as a part, and get the middle of an object into the middle of a file."""
    source = write(folder / "source", DATA)
    moved: list[int] = []
    etag = storage.put(part(registry, origin, DATA[5 : MIB + 10]), source, 5, MIB + 5, moved.append)
    assert registry.uploads["u"].parts[1][:2] == (DATA[5 : MIB + 10], etag)
    assert sum(moved) == MIB + 5

    registry.blobs[SHA256] = Blob([DATA])
    file = os.open(folder / "target", os.O_RDWR | os.O_CREAT)
    storage.get(Link(f"{origin}/s3/object/{SHA256}?epoch=0", {}, 0.0), file, 7, 2 * MIB - 9, moved.append)
    os.close(file)
    assert (folder / "target").read_bytes() == bytes(7) + DATA[7 : 2 * MIB - 2]
    assert sum(moved) == 3 * MIB - 4


def test_bytes_go_over_tls(storage: Storage, tls: ssl.SSLContext, tmp_path: Path) -> None:
    pytest_socket.enable_socket()
    pytest_socket.socket_allow_hosts(["127.0.0.1"])
    with served(tls) as registry:
        round_trip(registry, storage, registry.url, tmp_path)


def test_a_certificate_that_nobody_trusts_is_refused(
    storage: Storage, tls: ssl.SSLContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    pytest_socket.enable_socket()
    pytest_socket.socket_allow_hosts(["127.0.0.1"])
    with served(tls) as registry, pytest.raises(Troubled, match="CERTIFICATE_VERIFY_FAILED"):
        round_trip(registry, storage, registry.url, tmp_path)


def test_bytes_go_through_the_environments_proxy(
    registry: Registry, storage: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a proxy, in whose place the storage itself stands / Then it is asked for the storage by its whole URL
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", registry.url)
    round_trip(registry, storage, "http://storage.example", tmp_path)


def test_no_proxy_stands_before_this_machine(
    registry: Registry, storage: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    round_trip(registry, storage, registry.url, tmp_path)


@pytest.mark.parametrize(
    ("status", "raised"), [(400, StorageRefused), (403, Expired), (404, Gone), (429, Troubled), (503, Troubled)]
)
def test_an_answer_says_what_is_to_be_done(
    registry: Registry, storage: Storage, tmp_path: Path, status: int, raised: type[Exception]
) -> None:
    # Given a storage that refuses / When it is asked / Then what moved before is taken back, and the message is its own
    moved: list[int] = []
    registry.faults = [Fault(".*", status)]
    with pytest.raises(raised, match=f"{status} Broken: as told"):
        storage.put(part(registry, registry.url, DATA), write(tmp_path / "x", DATA), 0, len(DATA), moved.append)
    assert sum(moved) == 0

    # And the connection still serves
    round_trip(registry, storage, registry.url, tmp_path)


def test_a_file_that_has_become_shorter_is_refused(registry: Registry, storage: Storage, tmp_path: Path) -> None:
    with pytest.raises(StorageRefused, match="shorter"):
        storage.put(part(registry, registry.url, DATA), write(tmp_path / "x", b"abc"), 0, len(DATA), lambda _: None)


def test_a_url_that_is_none_is_refused(storage: Storage, tmp_path: Path) -> None:
    with pytest.raises(StorageRefused, match="none"):
        storage.put(Link("file:///etc/passwd", {}, 0.0), write(tmp_path / "x", b"abc"), 0, 3, lambda _: None)


def test_url_stays_out_of_what_is_printed() -> None:
    assert "secret" not in repr(Link("https://storage.example/?X-Amz-Signature=secret", {}, 0.0))


def test_a_time_to_wait_that_is_no_number_is_none() -> None:
    # Given a character that Python takes for a digit, and for no number
    answer = Mock(status=503, reason="Slow", headers={"Retry-After": "\u00b2"})
    with pytest.raises(Troubled) as raised:
        _judge(answer, b"", 200)
    assert raised.value.after == 0


def test_what_connects_while_all_is_broken_off_ends_as_well(tmp_path: Path) -> None:
    # Given a storage that never answers, and a transfer that is broken off before it has a connection
    file = tmp_path / "part"
    file.write_bytes(b"part")
    pytest_socket.enable_socket()
    pytest_socket.socket_allow_hosts(["127.0.0.1"])
    with socket.create_server(("127.0.0.1", 0)) as silent:
        storage = Storage(timeout=600)
        storage.hang_up()
        link = Link(f"http://127.0.0.1:{silent.getsockname()[1]}/part", {}, 0.0)

        # When it goes on / Then it does not wait for the storage
        with pytest.raises(Troubled):
            storage.put(link, file, 0, 4, lambda _: None)
        storage.close()
