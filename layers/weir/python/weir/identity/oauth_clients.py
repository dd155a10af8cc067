"""The applications that people may log in to by a provider, and where each may have the browser sent back.

From the setting ``oauth_clients``: ``console=https://weir.example/callback cli=http://127.0.0.1:8753/callback``; a
client with several addresses stands several times. Addresses are compared letter by letter (RFC 9700, section 4.1.3):
no pattern, no beginning, no other port.
"""

import ipaddress
import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from weir.identity.oauth_errors import UnknownClient
from weir.runtime.settings import SettingsError

Clients = Mapping[str, frozenset[str]]
_CLIENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def read(text: str) -> Clients:
    """The clients of the setting. SettingsError lists every entry that can't be used."""
    found: dict[str, frozenset[str]] = {}
    wrong = []
    for entry in text.split():
        client_id, _, uri = entry.partition("=")
        if _CLIENT.fullmatch(client_id) and is_secure(uri):
            found[client_id] = found.get(client_id, frozenset()) | {uri}
        else:
            wrong.append(f"WEIR_OAUTH_CLIENTS: {entry!r} is not name=https://..., or http:// at a loopback address")
    if wrong:
        raise SettingsError("Weir's configuration can't be used:\n  " + "\n  ".join(wrong))
    return found


def is_secure(url: str) -> bool:
    """Whether nobody but its host can read what is sent to this URL: https, or http at a loopback address.

    A loopback address never leaves the machine (RFC 8252, section 7.3); the name ``localhost`` may, by a resolver.
    """
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        _ = parts.port  # ValueError where it is none
    except ValueError:
        return False
    if not host or parts.fragment or parts.username is not None or not url.isascii() or not url.isprintable():
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host))


def is_loopback(host: str) -> bool:
    """Whether a host is a loopback address, written as one."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check(clients: Clients, client_id: str | None, redirect_uri: str | None) -> tuple[str, str]:
    """The client and address, where they belong together; else UnknownClient."""
    if client_id is None or redirect_uri is None or redirect_uri not in clients.get(client_id, ()):
        raise UnknownClient("client_id and redirect_uri are not a pair that the operator of this stack has named.")
    return client_id, redirect_uri
