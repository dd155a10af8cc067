"""Which addresses a provider may have, as they are written and as they are connected to."""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.llm.catalogue import provider
from weir.llm.errors import AddressForbidden
from weir.llm.models import Provider
from weir.llm.network import MAY_BE_ALLOWED, NEVER, allowed, check, check_address

EVERYTHING_PRIVATE = tuple(str(one) for one in MAY_BE_ALLOWED)


def may(ip: str, *private_networks: str, address: str = "https://models.example.com") -> bool:
    """Whether an address may be connected to."""
    try:
        check(ip, provider(address=address, private_networks=private_networks))
    except AddressForbidden:
        return False
    return True


@pytest.mark.parametrize("ip", ["1.1.1.1", "160.79.104.10", "2606:4700:4700::1111", "64:ff9b::101:101"])
def test_public_addresses_are_open(ip: str) -> None:
    assert may(ip)


METADATA = [
    *("169.254.169.254", "169.254.170.2", "169.254.170.23", "169.254.0.1", "fd00:ec2::254", "fd00:ec2::23"),
    *("100.100.100.200", "168.63.129.16", "192.0.0.192", "fd20:ce::254", "fe80::1", "fe80::1%eth0"),
    *("0.0.0.0", "::", "224.0.0.1", "255.255.255.255", "ff02::1"),
    *("::ffff:169.254.169.254", "::ffff:a9fe:a9fe", "::169.254.169.254", "64:ff9b::a9fe:a9fe"),
    *("64:ff9b:1::a9fe:a9fe", "2002:a9fe:a9fe::1"),
]


@pytest.mark.parametrize("ip", METADATA)
def test_metadata_is_never_open_whatever_is_allowed(ip: str) -> None:
    assert not may(ip)
    assert not may(ip, *EVERYTHING_PRIVATE)


PRIVATE = [
    ("10.1.2.3", "10.0.0.0/8"),
    ("172.31.255.255", "172.16.0.0/12"),
    ("192.168.0.1", "192.168.0.0/24"),
    ("100.64.0.1", "100.64.0.0/10"),
    ("127.0.0.1", "127.0.0.1/32"),
    ("::1", "::1/128"),
    ("fd12:3456::1", "fd12:3456::/32"),
    ("::ffff:10.1.2.3", "10.0.0.0/8"),
    ("::ffff:127.0.0.1", "127.0.0.0/8"),
]


@pytest.mark.parametrize(("ip", "network"), PRIVATE)
def test_private_addresses_are_open_where_they_are_allowed_and_nowhere_else(ip: str, network: str) -> None:
    assert not may(ip)
    assert not may(ip, "10.99.0.0/16", "fd99::/16")
    assert may(ip, "10.99.0.0/16", network)


@pytest.mark.parametrize("ip", ["192.0.2.1", "198.18.0.1", "203.0.113.7", "240.0.0.1", "2001:db8::1", "100.64.0.1"])
def test_what_is_of_no_network_is_not_public(ip: str) -> None:
    assert not may(ip)


@pytest.mark.parametrize("ip", ["64:ff9b::a01:203", "2002:a01:203::1", "::10.1.2.3"])
def test_private_addresses_within_others_are_private(ip: str) -> None:
    assert not may(ip)


def test_without_tls_nothing_but_what_is_allowed_is_open() -> None:
    # Given a provider by http / Then a key goes to the addresses that an admin has named, and not over the internet
    at = "http://ollama.internal:11434"
    assert may("10.1.2.3", "10.0.0.0/8", address=at)
    assert not may("1.1.1.1", "10.0.0.0/8", address=at)
    assert not may("1.1.1.1", "10.0.0.0/8", address="HTTP://ollama.internal")


@given(st.ip_addresses())
def test_any_address_is_open_by_the_rule_or_not(ip: IPv4Address | IPv6Address) -> None:
    # Given any address / Then none of NEVER is open, and what is open without an allowance is public
    if any(ip.version == one.version and ip in one for one in NEVER):
        assert not may(str(ip), *EVERYTHING_PRIVATE)
    if may(str(ip)):
        assert ip.is_global
        check(ip, provider())


@given(st.ip_addresses(v=4))
def test_an_address_in_another_dress_is_no_more_open(ip: IPv4Address) -> None:
    # Given an IPv4 address that may not be / Then it may not be mapped, translated or tunnelled either
    if not may(str(ip)):
        for dress in (0xFFFF << 32, 0x64FF9B << 96, 0):
            assert not may(str(IPv6Address(dress | int(ip))))
        assert not may(str(IPv6Address((0x2002 << 112) | (int(ip) << 80))))


@pytest.mark.parametrize("ip", ["", "localhost", "1.2.3", "0x7f.1", "1.2.3.4.5", "127.1"])
def test_what_is_no_address_is_refused(ip: str) -> None:
    assert not may(ip, *EVERYTHING_PRIVATE)


# As they are written


def at(address: str, *private_networks: str) -> Provider:
    return provider(address=address, private_networks=private_networks)


@pytest.mark.parametrize(
    "one",
    [
        at(""),
        at("https://api.deepseek.com/v1"),
        at("https://api.deepseek.com:8443"),
        at("https://my_host.example.com."),
        at("https://1.1.1.1/v1"),
        at("https://[2606:4700:4700::1111]/v1"),
        at("https://10.1.2.3", "10.0.0.0/8"),
        at("http://10.1.2.3:8000/v1", "10.0.0.0/8"),
        at("http://ollama:11434", "172.16.0.0/12"),
        at("http://localhost:11434", "127.0.0.0/8"),
        at("http://[::1]:11434", "::1/128"),
    ],
    ids=lambda one: one.address or "its own",
)
def test_addresses_that_can_be_are_taken(one: Provider) -> None:
    check_address(one)


@pytest.mark.parametrize(
    "one",
    [
        at("http://api.example.com"),
        at("ftp://api.example.com"),
        at("//api.example.com"),
        at("api.example.com"),
        at("https://"),
        at("https://:443"),
        at("https://user:secret@api.example.com"),
        at("https://user@api.example.com"),
        at("https://api.example.com?key=secret"),
        at("https://api.example.com#a"),
        at("https://api.example.com:99999"),
        at("https://api.example.com\\@10.0.0.1"),
        at("https://api.example .com"),
        at("https://api.example.com\r\nHost: x"),
        at("https://ex\u00e4mple.com"),
        at("https://-a.example.com"),
        at("https://a..b"),
        at("https://10.1.2.3"),
        at("https://127.0.0.1"),
        at("https://localhost"),
        at("https://LOCALHOST."),
        at("https://a.localhost"),
        at("https://[::1]"),
        at("https://[::ffff:10.1.2.3]"),
        at("https://[fe80::1%25eth0]"),
        at("https://169.254.169.254/latest", *EVERYTHING_PRIVATE),
        at("http://[fd00:ec2::254]", *EVERYTHING_PRIVATE),
        at("http://[::ffff:169.254.169.254]", *EVERYTHING_PRIVATE),
        at("https://2852039166", *EVERYTHING_PRIVATE),
        at("https://0xa9fea9fe", *EVERYTHING_PRIVATE),
        at("https://0251.0376.0251.0376", *EVERYTHING_PRIVATE),
        at("https://169.254.43518", *EVERYTHING_PRIVATE),
        at("https://169.254.169.254.", *EVERYTHING_PRIVATE),
        at("https://host.0x7f", *EVERYTHING_PRIVATE),
        at("http://1.1.1.1", "10.0.0.0/8"),
    ],
    ids=lambda one: repr(one.address),
)
def test_addresses_that_can_not_be_are_refused(one: Provider) -> None:
    with pytest.raises(AddressForbidden):
        check_address(one)


@pytest.mark.parametrize(
    "network",
    [
        "0.0.0.0/0",
        "::/0",
        "8.8.8.0/24",
        "169.254.0.0/16",
        "10.0.0.0/7",
        "10.1.2.3/8",
        "10.0.0.0/33",
        "x",
        "",
        "fe80::/10",
    ],
)
def test_only_private_ranges_can_be_allowed(network: str) -> None:
    with pytest.raises(AddressForbidden):
        allowed([network])


def test_ranges_that_can_be_allowed_are() -> None:
    assert allowed(["10.1.0.0/16", "192.168.1.7", "fd00::/8"]) == (
        ip_network("10.1.0.0/16"),
        ip_network("192.168.1.7/32"),
        ip_network("fd00::/8"),
    )
    assert ip_address("fd00:ec2::254") in ip_network("fd00::/8")
    assert not may("fd00:ec2::254", "fd00::/8")
