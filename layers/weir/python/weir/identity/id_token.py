"""Whether an ID token proves who logged in: OpenID Connect Core 1.0, section 3.1.3.7, none of it left out.

Algorithms are pinned to three that sign with a private key; what a token's own header says chooses among those that the
provider has named, and no other (RFC 8725, sections 3.1 and 3.2).
"""

import hmac
from collections.abc import Mapping, Sequence
from typing import Any

from weir.identity.oauth_errors import ProviderRefused

ALGORITHMS = {"RS256": ("RSA", None), "ES256": ("EC", "P-256"), "EdDSA": ("OKP", "Ed25519")}
"""What an algorithm's key is: ``kty``, ``crv``."""

LEEWAY_SECONDS = 30
"""That the provider's clock may differ from ours, for ``iat`` and ``nbf``; ``exp`` has none."""

MOST_CHARACTERS = 16 * 1024
Jwk = Mapping[str, Any]


def header(text: str, algorithms: Sequence[str]) -> tuple[str, str | None]:
    """Algorithm and key id of a token. ProviderRefused where the algorithm is not among those given, of ours all."""
    import jwt

    if len(text) > MOST_CHARACTERS:
        raise ProviderRefused("the ID token is too long")
    try:
        told = jwt.get_unverified_header(text)
    except jwt.PyJWTError as error:
        raise ProviderRefused("the ID token can't be read") from error
    if told.get("alg") not in algorithms:
        raise ProviderRefused("the ID token's algorithm is not the provider's")
    return told["alg"], told.get("kid")


def fitting(keys: Sequence[Jwk], algorithm: str, kid: str | None) -> list[Jwk]:
    """The keys that may have signed a token. More than one, or none, proves nothing."""
    kind, curve = ALGORITHMS[algorithm]
    return [
        key
        for key in keys
        if key.get("kty") == kind
        and (curve is None or key.get("crv") == curve)
        and key.get("use", "sig") == "sig"
        and key.get("alg", algorithm) == algorithm
        and (kid is None or key.get("kid") == kid)
    ]


def verified(
    text: str, key: Jwk, algorithm: str, *, issuer: str, client_id: str, nonce: str, now: float
) -> Mapping[str, Any]:
    """The claims of a token that holds at ``now`` (epoch seconds). ProviderRefused tells the log why one does not."""
    import jwt

    try:
        claims: dict[str, Any] = jwt.decode(
            text,
            jwt.PyJWK(dict(key), algorithm=algorithm).key,
            algorithms=[algorithm],
            audience=client_id,
            issuer=issuer,
            options={
                "require": ["iss", "sub", "aud", "exp", "iat", "nonce"],
                "enforce_minimum_key_length": True,
                "verify_exp": False,  # times are held against our own clock, below
                "verify_iat": False,
                "verify_nbf": False,
            },
        )
    except jwt.PyJWTError as error:
        raise ProviderRefused(f"the ID token does not hold: {type(error).__name__}") from error
    # Others in the audience might have the token, and log in with it here.
    if claims["aud"] not in (client_id, [client_id]) or claims.get("azp", client_id) != client_id:
        raise ProviderRefused("the ID token is not for this client alone")
    if not _in_time(claims, now):
        raise ProviderRefused("the ID token is expired, or not yet valid")
    if not isinstance(claims["nonce"], str) or not hmac.compare_digest(_bytes(claims["nonce"]), nonce.encode()):
        raise ProviderRefused("the ID token answers another log-in")
    return claims


def _bytes(text: str) -> bytes:
    """A text that JSON may hold: half a surrogate pair, too."""
    return text.encode("utf-8", "surrogatepass")


def _in_time(claims: Mapping[str, Any], now: float) -> bool:
    issued, ends, begins = claims["iat"], claims["exp"], claims.get("nbf", 0)
    if not all(type(moment) in {int, float} for moment in (issued, ends, begins)):
        return False
    return bool(max(issued, begins) - LEEWAY_SECONDS <= now < ends)
