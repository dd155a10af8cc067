"""Which addresses a provider may have: the public internet by https, and what an admin has allowed beside it.

Checked twice: an address as it is written, and each address that its name resolves to, at connect, for names may lead
anywhere, and elsewhere the second time (DNS rebinding). What serves the credentials of machines is never allowed, in
whatever spelling of IPv6 it comes:
https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html
https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-metadata-endpoint-v4.html
https://docs.aws.amazon.com/eks/latest/userguide/pod-id-how-it-works.html
https://cheatsheetseries.owasp.org/cheatsheets/Server_Side_Request_Forgery_Prevention_Cheat_Sheet.html
"""

import re
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import SplitResult, urlsplit

from weir.llm.errors import AddressForbidden
from weir.llm.models import Provider

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

NEVER: tuple[Network, ...] = tuple(
    map(
        ip_network,
        (
            "0.0.0.0/8",
            "169.254.0.0/16",  # link-local: metadata of EC2, ECS and EKS, and of most other clouds
            "100.100.100.200/32",  # metadata of Alibaba Cloud
            "168.63.129.16/32",  # Azure's platform
            "192.0.0.192/32",  # metadata of Oracle Cloud
            "224.0.0.0/4",
            "255.255.255.255/32",
            "::/128",
            "fe80::/10",
            "fd00:ec2::/32",  # metadata of EC2, ECS and EKS by IPv6
            "fd20:ce::254/128",  # metadata of Google Cloud by IPv6
            "ff00::/8",
        ),
    )
)

MAY_BE_ALLOWED: tuple[Network, ...] = tuple(
    map(
        ip_network,
        ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "127.0.0.0/8", "fc00::/7", "::1/128"),
    )
)
"""Private, shared and loopback ranges: RFC 1918, 6598, 4193."""

_NAT64 = (IPv6Network("64:ff9b::/96"), IPv6Network("64:ff9b:1::/48"))
_COMPATIBLE = IPv6Network("::/96")
_NUMERIC = re.compile(r"(?:[0-9]+|0x[0-9a-f]*)", re.IGNORECASE)
_HOST = re.compile(r"(?=.{1,253}$)[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9])?(?:\.[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9])?)*")


def check(ip: str | Address, provider: Provider) -> None:
    """Hold an address that is about to be connected to against what its provider may have.

    An address within ``private_networks`` is allowed; without TLS (http) nothing else is, for the key would travel in
    the open.

    Raises
    ------
    AddressForbidden
    """
    found = _parsed(ip)
    everywhere = (found, *_within(found))
    if any(_in(one, NEVER) for one in everywhere):
        raise AddressForbidden(f"{found} is no address that a provider may have, whatever is allowed.")
    if _in(everywhere[-1], allowed(provider.private_networks)):
        return
    if provider.address.lower().startswith("http:"):
        raise AddressForbidden(f"{found} is not in private_networks: beyond those, only https is spoken.")
    if not all(one.is_global for one in everywhere):
        raise AddressForbidden(f"{found} is no public address, and not in the provider's private_networks.")


def check_address(provider: Provider) -> None:
    """Hold a provider's base URL against the rules, as far as it can be without asking DNS.

    Raises
    ------
    AddressForbidden
        It is no https URL of a host (http: only beside ``private_networks``), or its host is an address, or stands for
        one, that the provider may not have.
    """
    if not provider.address:
        return
    parts, host = _split(provider.address)
    if parts.scheme == "http" and not provider.private_networks:
        raise AddressForbidden("Address must be https; http is taken only with private_networks.")
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        raise AddressForbidden("Address must have no user name, password, query or fragment: give the key as key.")
    literal = host if ":" in host else _literal(host)
    if literal is not None:
        check(literal, provider)
    elif host == "localhost" or host.endswith(".localhost"):  # RFC 6761: it stands for loopback
        check("127.0.0.1", provider)
    elif not _HOST.fullmatch(host):
        raise AddressForbidden("Address names no host that can be: letters, digits and - between dots.")


def allowed(private_networks: Iterable[str]) -> tuple[Network, ...]:
    """The ranges of ``private_networks``.

    Raises
    ------
    AddressForbidden
        One is no range in CIDR notation, or is none that can be allowed.
    """
    ranges = []
    for text in private_networks:
        try:
            one = ip_network(text)
        except ValueError as error:
            raise AddressForbidden(f"{text[:64]!r} is no range such as 10.1.0.0/16.") from error
        if not any(one.version == whole.version and one.subnet_of(whole) for whole in MAY_BE_ALLOWED):  # type: ignore[arg-type]
            raise AddressForbidden(f"{text[:64]} is no part of a private, shared or loopback range.")
        ranges.append(one)
    return tuple(ranges)


def _split(address: str) -> tuple[SplitResult, str]:
    try:
        parts = urlsplit(address)
        host, _ = (parts.hostname or "").rstrip("."), parts.port
    except ValueError as error:
        raise AddressForbidden("Address is no URL.") from error
    if parts.scheme not in {"https", "http"} or not host or not address.isascii() or not address.isprintable():
        raise AddressForbidden("Address must be a URL such as https://models.example.com/v1.")
    if " " in address or "\\" in address:
        raise AddressForbidden("Address must hold no space and no backslash.")
    return parts, host


def _literal(host: str) -> str | None:
    """The IPv4 address that a host is, None for a name; other spellings of one (0x7f.1, 2130706433) are refused.

    A host whose last part is a number is read as an address by some (https://url.spec.whatwg.org/#ends-in-a-number-checker).
    """
    if not _NUMERIC.fullmatch(host.rpartition(".")[2]):
        return None
    try:
        return str(IPv4Address(host))
    except ValueError as error:
        raise AddressForbidden("Address holds a number that is no IPv4 address in its usual spelling.") from error


def _parsed(ip: str | Address) -> Address:
    """The address that is meant: an IPv4 one that comes as an IPv6 one (a dual-stack socket's) is what it maps."""
    try:
        found = ip_address(ip.partition("%")[0]) if isinstance(ip, str) else ip
    except ValueError as error:
        raise AddressForbidden(f"{str(ip)[:64]!r} is no IP address.") from error
    return found.ipv4_mapped or found if isinstance(found, IPv6Address) else found


def _within(found: Address) -> tuple[IPv4Address, ...]:
    """The IPv4 address within an IPv6 one: compatible, translated (NAT64), tunnelled (6to4, Teredo)."""
    if isinstance(found, IPv4Address):
        return ()
    if found.sixtofour is not None:
        return (found.sixtofour,)
    if found.teredo is not None:
        return found.teredo
    if any(found in one for one in _NAT64) or (found in _COMPATIBLE and int(found) > 1):
        return (IPv4Address(int(found) & 0xFFFFFFFF),)
    return ()


def _in(found: Address, ranges: Iterable[Network]) -> bool:
    return any(found.version == one.version and found in one for one in ranges)
