"""The adapter of the hub, against a real server: ranges, redirects, tries, and where it must not be led."""

import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.unit.packages.registry import Time
from tests.unit.packages.stub_hub import COMMIT, REPO, Answer, Asked, StubHub, blob_id, serving
from weir.packages.hub import KEPT_SECONDS, MOST_LISTING_BYTES, Hub, HubFile, Place, is_public
from weir.packages.trust_errors import HubBusy, HubFailed, HubRefuses, RepositoryNotFound

BODY = bytes(range(256)) * 4096
"""A MiB."""

UNTIL = 1e9


@pytest.fixture
def stub() -> Iterator[StubHub]:
    with serving(StubHub({"model.safetensors": BODY, "docs/read me.md": b"# Tiny"}, {"model.safetensors"})) as made:
        yield made


@pytest.fixture
def hub(stub: StubHub, time: Time) -> Hub:
    return Hub(stub.url, time.clock)


def place(path: str = "model.safetensors", size: int = len(BODY)) -> Place:
    return Place(REPO, COMMIT, path, size)


class First:
    """Answers the first requests of a kind in its own way, and leaves the others to the hub."""

    def __init__(self, beginning: str, *told: Answer) -> None:
        self._beginning, self._left = beginning, list(told)

    def __call__(self, asked: Asked) -> Answer | None:
        return self._left.pop(0) if self._left and asked.path.startswith(self._beginning) else None


def always(beginning: str, told: Answer) -> First:
    return First(beginning, *[told] * 50)


# ---- Listing


def test_a_repository_is_listed_at_its_commit(hub: Hub, stub: StubHub) -> None:
    # When a branch with a slash is asked for
    found = hub.listing(REPO, "refs/pr/7", UNTIL)

    # Then everything is as the hub tells, pinned to the commit
    assert found.commit == COMMIT
    assert found.last_modified == datetime(2026, 10, 1, 8, 30, tzinfo=UTC)
    assert found.card == {"library_name": "transformers", "pipeline_tag": "fill-mask", "license": "apache-2.0"}
    weights, text = found.files
    assert (weights.path, weights.size, weights.blob_id) == ("model.safetensors", len(BODY), "e" * 40)
    assert weights.sha256 is not None
    assert text == HubFile("docs/read me.md", 6, None, blob_id(b"# Tiny"))
    (asked,) = stub.asked
    assert asked.path == f"/api/models/{REPO}/revision/refs/pr/7"


def test_nobody_is_sent_anything_but_what_is_asked_for(hub: Hub, stub: StubHub) -> None:
    hub.listing(REPO, "main", UNTIL)
    hub.read(place(), 0, 16, UNTIL)
    for asked in stub.asked:
        assert set(asked.headers) <= {"host", "user-agent", "accept", "accept-encoding", "range"}
        assert asked.headers["host"] == stub.url.removeprefix("http://")


@pytest.mark.parametrize(
    ("told", "error"),
    [
        (Answer(401), HubRefuses),
        (Answer(403), HubRefuses),
        (Answer(404), RepositoryNotFound),
        (Answer(418), HubFailed),
        (Answer(200, b"<html>"), HubFailed),
        (Answer(200, b"[" * 100_000), HubFailed),
        (Answer(200, b'{"sha": "main", "siblings": []}'), HubFailed),
        (Answer(200, b'{"sha": "' + b"a" * 40 + b'"}'), HubFailed),
        (Answer(200, b" " * (MOST_LISTING_BYTES + 1)), HubFailed),
        (Answer(302, headers={"Location": "http://[oops"}), HubFailed),
        (Answer(302, headers={"Location": "ftp://127.0.0.1/x"}), HubFailed),
        (Answer(302, headers={"Location": "//user:secret@huggingface.co/x"}), HubFailed),
    ],
)
def test_an_answer_that_is_none_is_not_asked_for_again(
    hub: Hub, stub: StubHub, time: Time, told: Answer, error: type[Exception]
) -> None:
    stub.answers = always("/api/", told)
    with pytest.raises(error):
        hub.listing(REPO, "main", UNTIL)
    assert (len(stub.asked), time.slept) == (1, [])


@pytest.mark.parametrize(
    "lie",
    [
        {"rfilename": 7},
        {"size": -1},
        {"size": "12"},
        {"size": True},
        {"blobId": "not hex"},
        {"blobId": None},
        {"lfs": {"sha256": "abc", "size": 6}},
        {"lfs": {"sha256": "a" * 64}},
    ],
)
def test_a_file_that_the_hub_tells_too_little_of_is_not_believed(hub: Hub, stub: StubHub, lie: dict[str, Any]) -> None:
    stub.lies["docs/read me.md"] = lie
    with pytest.raises(HubFailed):
        hub.listing(REPO, "main", UNTIL)


# ---- Ranges


@pytest.mark.parametrize(("start", "length"), [(0, 1), (1_000, 5_000), (len(BODY) - 7, 7), (0, len(BODY))])
def test_a_range_is_exactly_what_was_asked_for(hub: Hub, start: int, length: int) -> None:
    assert hub.read(place(), start, length, UNTIL) == BODY[start : start + length]


def test_paths_are_encoded(hub: Hub) -> None:
    assert hub.read(place("docs/read me.md", 6), 0, 6, UNTIL) == b"# Tiny"


def test_of_an_empty_file_nothing_is_asked(hub: Hub, stub: StubHub) -> None:
    assert hub.read(place("empty", 0), 0, 0, UNTIL) == b""
    assert stub.asked == []


def test_the_hub_is_asked_once_where_a_file_is(hub: Hub, stub: StubHub, time: Time) -> None:
    # Given a file that is read in parts
    for part in range(10):
        hub.read(place(), part * 1_000, 1_000, UNTIL)

    # Then its address is looked up once: each look-up counts for the hub's rate limit
    assert len(stub.of(f"/{REPO}/resolve/")) == 1
    assert len(stub.of("/cdn/")) == 10

    # And anew after five minutes
    time.pass_by(KEPT_SECONDS)
    hub.read(place(), 0, 1, UNTIL)
    assert len(stub.of(f"/{REPO}/resolve/")) == 2


def test_an_address_that_has_run_out_is_looked_up_anew(hub: Hub, stub: StubHub) -> None:
    hub.read(place(), 0, 10, UNTIL)
    stub.ticket += 1
    assert hub.read(place(), 10, 10, UNTIL) == BODY[10:20]
    assert len(stub.of(f"/{REPO}/resolve/")) == 2


def test_what_breaks_off_is_asked_for_from_where_it_did(hub: Hub, stub: StubHub) -> None:
    # Given a connection that ends in the middle of a range, twice
    size = len(BODY)
    stub.answers = First(
        "/cdn/",
        Answer(206, BODY[:300_000], {"Content-Range": f"bytes 0-{size - 1}/{size}"}, announced=size),
        Answer(
            206, BODY[300_000:300_010], {"Content-Range": f"bytes 300000-{size - 1}/{size}"}, announced=size - 300_000
        ),
    )

    # When it is read, Then it is whole, and nothing came twice
    assert hub.read(place(), 0, size, UNTIL) == BODY
    starts = [asked.headers["range"].split("=")[1].split("-")[0] for asked in stub.of("/cdn/")]
    assert starts == ["0", "300000", "300010"]


def test_a_body_that_only_drips_ends_with_the_time(hub: Hub, stub: StubHub, time: Time) -> None:
    # Given a hub that sends three bytes, says nothing more, and does not hang up, when the time is over
    held, size = threading.Event(), len(BODY)

    def answers(asked: Asked) -> Answer | None:
        if not asked.path.startswith("/cdn/"):
            return None
        time.pass_by(60)
        return Answer(206, BODY[:3], {"Content-Range": f"bytes 0-{size - 1}/{size}"}, announced=size, held=held)

    stub.answers = answers

    # When it is read, Then nobody waits for the other bytes of a chunk
    try:
        with pytest.raises(HubBusy, match="did not answer in time"):
            hub.read(place(), 0, size, time.clock.monotonic() + 30)
    finally:
        held.set()
    assert not stub.waited_in_vain


@pytest.mark.parametrize(
    "told",
    [
        Answer(200, BODY),
        Answer(206, BODY[:10], {"Content-Range": f"bytes 0-9/{len(BODY)}"}),
        Answer(206, BODY[10:20], {"Content-Range": "bytes 10-19/20"}),
        Answer(206, BODY[10:20], {"Content-Range": f"bytes 10-19/{len(BODY)}", "Content-Encoding": "gzip"}),
        Answer(206, BODY[10:20], {"Content-Range": "bytes 10-19/*"}),
        Answer(206, BODY[10:20]),
        Answer(416),
    ],
)
def test_another_range_than_was_asked_for_is_none(hub: Hub, stub: StubHub, told: Answer) -> None:
    stub.answers = always("/cdn/", told)
    with pytest.raises(HubFailed):
        hub.read(place(), 10, 10, UNTIL)


def test_more_bytes_than_the_range_has_are_refused(hub: Hub, stub: StubHub) -> None:
    stub.answers = always("/cdn/", Answer(206, BODY[10:500], {"Content-Range": f"bytes 10-19/{len(BODY)}"}))
    with pytest.raises(HubFailed, match="more than"):
        hub.read(place(), 10, 10, UNTIL)


def test_a_small_file_may_come_whole(hub: Hub, stub: StubHub) -> None:
    stub.answers = always("/cdn/", Answer(200, b"# Tiny"))
    assert hub.read(place("docs/read me.md", 6), 0, 6, UNTIL) == b"# Tiny"


# ---- Tries


@pytest.mark.parametrize("told", [Answer(500), Answer(503), Answer(429), Answer(408)])
def test_what_may_pass_is_tried_again_after_a_jittered_wait(hub: Hub, stub: StubHub, time: Time, told: Answer) -> None:
    stub.answers = First("/", told, told, told)
    assert hub.listing(REPO, "main", UNTIL).commit == COMMIT
    assert len(time.slept) == len(set(time.slept)) == 3
    assert all(0 <= wait <= most for wait, most in zip(time.slept, (0.5, 1.0, 2.0), strict=True))


def test_after_four_tries_somebody_else_waits(hub: Hub, stub: StubHub) -> None:
    stub.answers = always("/", Answer(502))
    with pytest.raises(HubBusy):
        hub.listing(REPO, "main", UNTIL)
    assert len(stub.asked) == 4


def test_retry_after_is_kept_where_it_is_short(hub: Hub, stub: StubHub, time: Time) -> None:
    stub.answers = First("/", Answer(429, headers={"Retry-After": "7"}))
    hub.listing(REPO, "main", UNTIL)
    assert time.slept == [7.0]


def test_where_it_is_long_nobody_waits_for_it_here(hub: Hub, stub: StubHub, time: Time) -> None:
    stub.answers = always("/", Answer(429, headers={"Retry-After": "3600"}))
    with pytest.raises(HubBusy):
        hub.listing(REPO, "main", UNTIL)
    assert (len(stub.asked), time.slept) == (1, [])


def test_nothing_is_asked_when_the_time_is_over(hub: Hub, stub: StubHub, time: Time) -> None:
    with pytest.raises(HubBusy):
        hub.listing(REPO, "main", time.clock.monotonic())
    assert stub.asked == []


def test_a_hub_that_nobody_listens_at_is_busy(stub: StubHub, time: Time) -> None:
    with pytest.raises(HubBusy):
        Hub("http://127.0.0.1:9", time.clock).listing(REPO, "main", UNTIL)
    assert len(time.slept) == 3


# ---- Where it must not be led


def test_redirects_are_few(hub: Hub, stub: StubHub) -> None:
    stub.answers = always("/", Answer(302, headers={"Location": "/round"}))
    with pytest.raises(HubFailed, match="more than 5"):
        hub.listing(REPO, "main", UNTIL)
    assert len(stub.asked) == 6


@pytest.mark.parametrize(
    "location",
    [
        "http://127.0.0.1:9001/2018-06-01/runtime/invocation/next",
        "http://localhost:{port}/x",
        "http://169.254.169.254/latest/meta-data/",
        "http://huggingface.co/x",
        "//127.0.0.1:9001/x",
    ],
)
def test_another_place_is_never_asked_without_tls(hub: Hub, stub: StubHub, location: str) -> None:
    port = stub.url.rpartition(":")[2]
    stub.answers = always("/api/", Answer(307, headers={"Location": location.format(port=port)}))
    with pytest.raises(HubFailed, match="not https"):
        hub.listing(REPO, "main", UNTIL)
    assert len(stub.asked) == 1


@pytest.mark.parametrize("addresses", [["169.254.169.254"], ["8.8.8.8", "10.0.0.7"], ["fd00:ec2::254"], ["::1"]])
def test_a_name_that_leads_to_a_private_address_is_refused(stub: StubHub, time: Time, addresses: list[str]) -> None:
    # Given a hub that redirects to a name of the public Internet, whose address is none of it
    hub = Hub(stub.url, time.clock, lambda host, port: addresses if host == "cdn.example" else [host])
    stub.answers = always("/api/", Answer(302, headers={"Location": "https://cdn.example/x"}))

    # When it is followed, Then nobody is connected to
    with pytest.raises(HubFailed, match="not public"):
        hub.listing(REPO, "main", UNTIL)


def test_a_name_without_an_address_may_get_one(stub: StubHub, time: Time) -> None:
    def resolve(host: str, port: int) -> list[str]:
        if len(time.slept) < 2:
            raise OSError("Temporary failure in name resolution")
        return ["127.0.0.1"]

    hub = Hub(stub.url.replace("127.0.0.1", "hub.test"), time.clock, resolve)
    assert hub.listing(REPO, "main", UNTIL).commit == COMMIT
    assert stub.asked[0].headers["host"].startswith("hub.test:")


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("8.8.8.8", True),
        ("2606:4700::6810:85e5", True),
        ("64:ff9b::808:808", True),
        ("127.0.0.1", False),
        ("10.1.2.3", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("100.64.0.1", False),
        ("169.254.169.254", False),
        ("169.254.170.2", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("::1", False),
        ("::", False),
        ("::ffff:169.254.169.254", False),
        ("::ffff:8.8.8.8", True),
        ("::169.254.169.254", False),
        ("64:ff9b::a9fe:a9fe", False),
        ("64:ff9b:1::808:808", False),
        ("2002:a9fe:a9fe::1", False),
        ("2002:a00:1::1", False),
        ("fe80::1%eth0", False),
        ("fec0::1", False),
        ("fd00:ec2::254", False),
        ("ff02::1", False),
        ("2001:db8::1", False),
    ],
)
def test_addresses_of_the_public_internet(address: str, public: bool) -> None:
    assert is_public(address) is public


# ---- TLS


def certificate(folder: Path, name: str) -> tuple[ssl.SSLContext, Path]:
    """A server's context with a certificate for a name, and that certificate."""
    key = ec.generate_private_key(ec.SECP256R1())
    who = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(who)
        .issuer_name(who)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem, private = folder / "cert.pem", folder / "key.pem"
    pem.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem, private)
    return context, pem


@pytest.mark.parametrize(("name", "holds"), [("hub.test", True), ("other.test", False)])
def test_the_name_is_proven_though_the_address_is_connected_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, time: Time, name: str, holds: bool
) -> None:
    # Given a hub with a certificate, of its own name or of another's, by an authority that is trusted here
    context, authority = certificate(tmp_path, name)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority))
    with serving(StubHub({"a": b"1"}), context) as stub:
        hub = Hub(stub.url.replace("127.0.0.1", "hub.test"), time.clock, lambda host, port: ["127.0.0.1"])

        # When it is asked by the address that its name had, Then its name must be proven all the same
        if holds:
            assert hub.listing(REPO, "main", UNTIL).commit == COMMIT
        else:
            with pytest.raises(HubBusy, match="SSLError"):
                hub.listing(REPO, "main", UNTIL)
            assert stub.asked == []
