"""Attacks on the deployed stack, over HTTP: each is refused by a clean problem, and leaves nothing behind.

Those on OAuth are in ``test_oauth.py``; those on tokens that need no server are unit tests, too.
"""

import base64
import hashlib
import hmac
import http.client
import json
import secrets
import ssl
import time
import uuid
from collections.abc import Callable, Iterator
from statistics import median
from typing import Any
from urllib.parse import quote, urlsplit

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.integration import secret_texts
from tests.integration.conftest import Api, Elsewhere, Json, People, Stack, a_key, bearer, in_turn, problem

ROUTE = "/runs?limit=1"
Claims = dict[str, Any]


@pytest.fixture(scope="module")
def victim(people: People) -> Api:
    """The operator whom the attacks are on."""
    return people("operator")


Items = dict[tuple[str, str], Claims]
USED = {
    "USER": {"last_login_at"},
    "KEY": {"last_used_at", "uses"},
    "SESSION": {"generation", "rotated_by", "expires_at", "ttl"},
    "USES": {"uses"},
}
"""By kind of item what those change who use the stack as they may, as the suite's own log-ins do meanwhile."""


@pytest.fixture(scope="module")
def stored(deployed: Stack) -> Callable[[], Items]:
    """All items of identity, but for counts of attempts and for the audit, which attacks are told in."""

    def items() -> Items:
        pages = deployed.client("dynamodb").get_paginator("scan")
        found = {
            (item["pk"]["S"], item["sk"]["S"]): item
            for page in pages.paginate(TableName=deployed.outputs["IdentityTableName"], ConsistentRead=True)
            for item in page["Items"]
        }
        return {
            (pk, sk): {name: value for name, value in item.items() if name not in USED.get(sk.split("#")[0], set())}
            for (pk, sk), item in found.items()
            if not pk.startswith(("ATTEMPTS#", "AUDIT#"))
        }

    return items


@pytest.fixture
def nothing_stored(deployed: Stack, victim: Api, stored: Callable[[], Items]) -> Iterator[None]:
    """Fail where a test leaves or changes anything. A stage on a real account is not looked at: others use it too."""
    alone = deployed.document["aws_endpoint_url"] is not None
    before = stored() if alone else {}
    yield
    after = stored() if alone else {}
    assert [key for key, item in after.items() if before.get(key) != item] == []


def part(document: Any) -> str:
    """A part of a JWT."""
    text = document if isinstance(document, bytes) else json.dumps(document, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


def by_hand(header: Json, claims: Claims, key: bytes = b"") -> str:
    """A JWT with any header, its signature HMAC-SHA-256 with a key, or none."""
    signed = f"{part(header)}.{part(claims)}"
    return f"{signed}.{part(hmac.digest(key, signed.encode(), hashlib.sha256)) if key else ''}"


@pytest.fixture(scope="module")
def private() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


# Forgeries without the signing secret: what anybody can make of a token that they have seen.


def test_forged_tokens_are_refused(
    anonymous: Api, victim: Api, private: rsa.RSAPrivateKey, nothing_stored: None
) -> None:
    # Given a token that holds
    token = victim.login.access_token
    assert anonymous("GET", ROUTE, **bearer(token)).status_code == 200
    header, claims = jwt.get_unverified_header(token), jwt.decode(token, options={"verify_signature": False})
    head, body, signature = token.split(".")
    public = private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    admin = {**claims, "roles": ["admin"], "scope": "users:write users:read"}
    forged = {
        "alg none": by_hand({**header, "alg": "none"}, claims),
        "alg None": by_hand({**header, "alg": "None"}, claims),
        "alg none, the signature kept": f"{part({**header, 'alg': 'none'})}.{body}.{signature}",
        "no alg": by_hand({"typ": header["typ"], "kid": header["kid"]}, claims),
        "RS256 by a key of one's own": jwt.encode(claims, private, "RS256", {"kid": header["kid"], "typ": "at+jwt"}),
        "RS256 said, HMAC done": by_hand({**header, "alg": "RS256"}, claims, public),
        "HS256 with a public key": by_hand(header, claims, public),
        "HS256 with an empty key": by_hand(header, claims, b"\0"),
        "HS512": jwt.encode(claims, "x" * 64, "HS512", {"kid": header["kid"], "typ": "at+jwt"}),
        "a key sent along": by_hand({**header, "jwk": {"kty": "oct", "k": part(b"k" * 32)}}, claims, b"k" * 32),
        "a key somewhere else": by_hand({**header, "jku": "https://example.com/jwks"}, claims, b"k" * 32),
        "unknown kid": by_hand({**header, "kid": "2"}, claims, b"k" * 32),
        "kid is a path": by_hand({**header, "kid": "../../dev/null"}, claims, b"\0"),
        "no kid": by_hand({"alg": "HS256", "typ": "at+jwt"}, claims, b"k" * 32),
        "other rights, the signature kept": f"{head}.{part(admin)}.{signature}",
        "truncated": token[:-1],
        "without signature": f"{head}.{body}.",
        "two parts": f"{head}.{body}",
        "four parts": f"{token}.{signature}",
        "a bit of the signature": f"{head}.{body}.{'A' if signature[0] != 'A' else 'B'}{signature[1:]}",
        "not base64": f"{head}.{body}.!!!!",
        "empty parts": "..",
        "deep": by_hand(header, b'{"a":' * 900 + b"1" + b"}" * 900, b"k" * 32),
        "huge": f"{head}.{'A' * 5000}.{signature}",
        "a refresh token": str(victim.login.refresh_token),
        "no token": "token",
    }
    secret_texts.remember(*forged.values())
    for name, text in forged.items():
        # When it is sent, Then it opens nothing
        answer = anonymous("GET", ROUTE, **bearer(text))
        assert answer.status_code == 401, name
        problem(answer, 401)
        assert answer.headers["WWW-Authenticate"] == "Bearer"
    # And the token itself still holds
    assert anonymous("GET", ROUTE, **bearer(token)).status_code == 200


@pytest.mark.local_only
def test_tokens_that_are_signed_and_do_not_hold_are_refused(
    anonymous: Api, victim: Api, deployed: Stack, nothing_stored: None
) -> None:
    # Given somebody who can sign: what a token says decides alone
    found = deployed.client("secretsmanager").get_secret_value(SecretId=deployed.outputs["SigningSecretArn"])
    secret = json.loads(found["SecretString"])
    secret_texts.remember(secret["secret"])
    claims = jwt.decode(victim.login.access_token, options={"verify_signature": False})
    now, head = int(time.time()), {"kid": secret["kid"], "typ": "at+jwt"}

    def signed(header: Json | None = None, **changes: Any) -> str:
        told = {name: value for name, value in {**claims, **changes}.items() if value is not None}
        return jwt.encode(told, secret["secret"], "HS256", head if header is None else header)

    assert anonymous("GET", ROUTE, **bearer(signed())).status_code == 200
    wrong = {
        "expired": signed(exp=now - 1, iat=now - 900, nbf=now - 900),
        "not yet valid": signed(nbf=now + 120, iat=now + 120),
        "issued in the future": signed(iat=now + 120),
        "of another audience": signed(aud="another"),
        "of many audiences": signed(aud=["weir", "another"]),
        "of another issuer": signed(iss="urn:weir:other"),
        "another kind of JWT": signed({"kid": secret["kid"], "typ": "JWT"}),
        "with a critical extension": signed({**head, "crit": ["b64"], "b64": True}),
        **{f"without {name}": signed(**{name: None}) for name in ("iss", "aud", "sub", "iat", "exp", "jti", "sid")},
        "times as text": signed(exp=str(now + 900)),
        "subject as a number": signed(sub=1),
    }
    secret_texts.remember(*wrong.values())
    for name, text in wrong.items():
        answer = anonymous("GET", ROUTE, **bearer(text))
        assert answer.status_code == 401, name
        problem(answer, 401)


def test_a_credential_counts_only_where_it_belongs(anonymous: Api, victim: Api, nothing_stored: None) -> None:
    # Given a token and a key that hold
    token, key = victim.login.access_token, str(a_key_of(victim)["secret"])
    for credential in (token, key):
        basic = base64.b64encode(f"{victim.user['username']}:{credential}".encode()).decode()
        for headers in (
            {"Authorization": credential},
            {"Authorization": f"Basic {basic}"},
            {"Authorization": f"Token {credential}"},
            {"Authorization": f"Bearer  {credential} x"},
            {"Authorization": f"Bearer {credential}, Bearer {credential}"},
            {"X-Api-Key": credential},
            {"Cookie": f"access_token={credential}"},
            {"X-Authorization": f"Bearer {credential}"},
            {"Authorization": "Bearer"},
        ):
            # When it comes in another place or form, Then it opens nothing
            problem(anonymous("GET", ROUTE, **headers), 401)
        for name in ("access_token", "api_key", "key", "token", "Authorization"):
            problem(anonymous("GET", f"{ROUTE}&{name}={quote(credential)}"), 401)
        problem(anonymous("GET", f"{ROUTE}&Authorization={quote(f'Bearer {credential}')}"), 401)


_keys: dict[str, Json] = {}


def a_key_of(victim: Api) -> Json:
    """One key for all tests of this module, made before they look at what is stored."""
    if "key" not in _keys:
        _keys["key"] = a_key(victim)
    return _keys["key"]


@pytest.fixture(scope="module", autouse=True)
def key_is_there(victim: Api) -> None:
    a_key_of(victim)


def raw(deployed: Stack, method: str, path: str, headers: list[tuple[str, str]], body: bytes = b"") -> tuple[int, Json]:
    """A request sent header by header, which no HTTP library would send."""
    return in_turn(
        lambda: sent_once(deployed, method, path, headers, body),
        lambda answer: (answer[0], str(answer[1].get("type"))),
    )


def sent_once(deployed: Stack, method: str, path: str, headers: list[tuple[str, str]], body: bytes) -> tuple[int, Json]:
    """Its answer, whatever that is."""
    url = urlsplit(deployed.document["api_url"])
    kind = http.client.HTTPSConnection if url.scheme == "https" else http.client.HTTPConnection
    more = {"context": ssl.create_default_context()} if url.scheme == "https" else {}
    connection = kind(url.netloc, timeout=30, **more)
    try:
        connection.putrequest(method, url.path + path)
        for name, value in [*headers, ("Content-Length", str(len(body)))]:
            connection.putheader(name, value)
        connection.endheaders(body)
        answer = connection.getresponse()
        assert answer.headers["Content-Type"] == "application/problem+json"
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def test_two_credentials_in_one_request_are_none(deployed: Stack, anonymous: Api, victim: Api) -> None:
    # Given two tokens that hold, or one and another, in two headers of the same name
    token = victim.login.access_token
    for other in (token, str(a_key_of(victim)["secret"]), "x"):
        for pair in ((token, other), (other, token)):
            headers = [("Authorization", f"Bearer {one}") for one in pair]
            # When both come, Then neither counts
            assert raw(deployed, "GET", ROUTE, headers)[0] == 401


def test_changed_keys_are_refused(anonymous: Api, victim: Api, neighbour: Api, nothing_stored: None) -> None:
    # Given a key
    key = str(a_key_of(victim)["secret"])
    prefix, owner, key_id, secret = key.split("_", 3)
    other = str(neighbour.user["user_id"])
    changed = {
        "another secret": f"{prefix}_{owner}_{key_id}_{secrets.token_urlsafe(32)}",
        "another owner": f"{prefix}_{other}_{key_id}_{secret}",
        "another id": f"{prefix}_{owner}_{'a' * 12}_{secret}",
        "a character less": key[:-1],
        "a character more": f"{key}A",
        "no secret": f"{prefix}_{owner}_{key_id}_",
        "upper case": key.upper(),
        "another owner's form": f"{prefix}_{owner}#X_{key_id}_{secret}",
        "nobody's": f"{prefix}_{'a' * 16}_{'a' * 12}_{secret}",
        "a character of another script": key[:-1] + "\u0430",
    }
    for name, text in changed.items():
        headers = {"Authorization": f"Bearer {text}".encode()}
        # When it is sent with something else in it, Then it opens nothing
        answer = anonymous.http.get(ROUTE, headers=headers)  # type: ignore[arg-type]
        assert answer.status_code == 401, name


# Log-in


NO_USER = {
    "NUL in the name": ("ad\0min", "a password of twelve"),
    "a name of another script": ("\u0430dmin", "a password of twelve"),
    "a name of full width": ("\uff41dmin", "a password of twelve"),
    "a name with a space": ("admin ", "a password of twelve"),
    "a name with something unseen": ("admin\u200b", "a password of twelve"),
    "a name turned round": ("\u202enimda", "a password of twelve"),
    "a name with a dot above": ("ADM\u0130N", "a password of twelve"),
    "a name of a key": ("USER#x", "a password of twelve"),
    "an empty name": ("", "a password of twelve"),
    "a long name": ("a" * 5000, "a password of twelve"),
    "NUL in the password": ("admin", "a password\0of twelve"),
    "an empty password": ("admin", ""),
    "a long password": ("admin", "x" * 1025),
    "a very long password": ("admin", "x" * 60_000),
    "half a character": ("admin", "a password \ud800"),
}


@pytest.mark.local_only
@pytest.mark.parametrize("name", NO_USER)
def test_a_name_or_password_that_is_nobodys_is_answered_like_a_wrong_one(
    elsewhere: Elsewhere, victim: Api, nothing_stored: None, name: str
) -> None:
    # Given what nobody can be called, or have as a password, from an address that is not yet slowed down
    username, password = NO_USER[name]
    if username == "admin":
        username = str(victim.user["username"])
    place = elsewhere(60 + list(NO_USER).index(name))
    # When somebody logs in with it, Then the answer is that to a wrong password
    answer = place("POST", "/auth/login", {"username": username, "password": password})
    assert problem(answer, 401)["type"].endswith("/bad-credentials")


def guess(place: Api, username: str) -> tuple[float, httpx.Response]:
    asked = {"username": username, "password": "not the password"}
    answer = place("POST", "/auth/login", asked)
    return answer.elapsed.total_seconds(), answer


@pytest.mark.local_only
def test_who_is_a_user_is_told_neither_by_the_answer_nor_by_its_time(
    victim: Api, elsewhere: Elsewhere, nothing_stored: None
) -> None:
    # Given guesses at a user's and at nobody's password, in turns, from addresses that are not yet slowed down
    known, unknown = [], []
    for number in range(20):
        place = elsewhere(10 + number)
        place("GET", "/health")  # so that the connection is there
        pairs = [(known, str(victim.user["username"])), (unknown, f"it-{uuid.uuid4().hex[:12]}")]
        for times, username in pairs if number % 2 else reversed(pairs):
            seconds, answer = guess(place, username)
            times.append(seconds)
            told = problem(answer, 401)
            # Then the answers are the same
            assert told == TOLD.setdefault("answer", told) | {"request_id": told["request_id"]}
    # And so are the times, by rank: were they apart, nearly all of the one would stand before nearly all of the other.
    # This smokes out what the network, the gateway or a cold start would tell, and a hash left out. That both take the
    # same reads, counts and hashes is what proves it, and is held call by call by the unit tests of log-in.
    wins = sum((a > b) + (a == b) / 2 for a in known for b in unknown) / (len(known) * len(unknown))
    assert 0.1 < wins < 0.9, (median(known), median(unknown))


TOLD: dict[str, Json] = {}


# Bodies


LOGIN = b'{"username": "somebody", "password": "a password of twelve"}'
BODIES: dict[str, tuple[str, bytes, int]] = {
    "a form": ("application/x-www-form-urlencoded", b"username=a&password=b", 415),
    "XML": ("application/xml", b"<username>a</username>", 415),
    "several parts": ("multipart/form-data; boundary=x", b"--x--", 415),
    "text": ("text/plain", LOGIN, 415),
    "deep": ("application/json", b'{"a":' * 20_000 + b"1" + b"}" * 20_000, 413),
    "deep and small": ("application/json", b"[" * 30_000 + b"]" * 30_000, 400),
    "a field twice": ("application/json", LOGIN[:-1] + b', "username": "admin"}', 400),
    "a field twice, inside": ("application/json", b'{"username": {"a": 1, "a": 2}}', 400),
    "not a number": ("application/json", b'{"username": NaN}', 400),
    "cut off": ("application/json", LOGIN[:-2], 400),
    "no JSON": ("application/json", b"\xff\xfe\x00", 400),
    "a list": ("application/json", b"[]", 422),
    "null": ("application/json", b"null", 422),
    "other types": ("application/json", b'{"username": ["a"], "password": {"$ne": null}}', 422),
    "a field too many": ("application/json", LOGIN[:-1] + b', "roles": ["admin"]}', 422),
    "nothing": ("application/json", b"", 422),
    "too much": ("application/json", b'{"username": "' + b"a" * 70_000 + b'"}', 413),
    "ten megabytes": ("application/json", b'{"username": "' + b"a" * 10_000_000 + b'"}', 413),
    "more than ten megabytes": ("application/json", b" " * 10_500_000, 413),
}


@pytest.mark.parametrize("name", BODIES)
def test_a_body_that_is_none_is_refused(deployed: Stack, nothing_stored: None, name: str) -> None:
    # Given a body that is not what the route takes
    kind, body, status = BODIES[name]
    # When it is sent, Then it is refused for what it is
    answered, told = raw(deployed, "POST", "/auth/login", [("Content-Type", kind)], body)
    assert answered == status, told
    assert told["status"] == status
    assert "Traceback" not in json.dumps(told)


def test_nobody_makes_themselves_more_than_a_member(
    anonymous: Api, api: Api, victim: Api, nothing_stored: None
) -> None:
    # Given somebody who would be an admin, When they say so wherever they may say anything
    for method, path, body in (
        ("POST", "/auth/register", {"username": "it-me", "password": "a password of twelve", "roles": ["admin"]}),
        ("POST", "/auth/refresh", {"refresh_token": victim.login.refresh_token, "scope": "users:write"}),
        ("POST", "/api-keys", {"name": "x", "roles": ["admin"]}),
        ("POST", "/api-keys", {"name": "x", "scopes": ["users:write"]}),
        ("POST", "/api-keys", {"name": "x", "owner": api.user["user_id"]}),
        ("PATCH", f"/users/{victim.user['user_id']}", {"roles": ["admin"]}),
    ):
        answer = victim(method, path, body, X_Roles="admin", X_Amzn_Principal="admin")
        # Then they are refused
        assert answer.status_code in {403, 422}, (path, answer.text)
    assert victim("GET", "/auth/me").json()["roles"] == ["operator"]


# Logs


FORGED = '{"level":"CRITICAL","message":"forged-%s"}'


@pytest.mark.local_only
def test_nobody_writes_lines_into_the_logs(deployed: Stack, anonymous: Api, victim: Api) -> None:
    # Given a line of a log, and all the places where a caller may put it
    mark = uuid.uuid4().hex
    line = FORGED % mark
    for where in (f"x\r\n{line}", f"x\n{line}\n", f"x\u2028{line}", f"\x1b[2J{line}", line):
        encoded = quote(where)
        header = where.replace("\r", "").replace("\n", "\\n").encode("utf-8")
        sent = {"User-Agent": header, "X-Request-Id": header, "Referer": header}
        anonymous.http.post("/auth/login", json={"username": where, "password": where}, headers=sent)  # type: ignore[arg-type]
        anonymous.http.get(f"/runs/{encoded}", headers={**sent, "Authorization": header})  # type: ignore[arg-type]
        victim.http.get(f"/runs/{encoded}", headers=sent)  # type: ignore[arg-type]
        victim.http.get(f"/users/{encoded}?q={encoded}", headers=sent)  # type: ignore[arg-type]
        anonymous.http.get(f"/auth/oauth/{encoded}/authorize?client_id={encoded}", headers=sent)  # type: ignore[arg-type]
    anonymous("GET", "/health?check=db", X_Request_Id=f"told-{mark}")  # what a caller may put there
    # When the logs are read
    lines = [line for _, line in logged(deployed)]
    assert any(f"told-{mark}" in one for one in lines)
    # Then no line is the caller's, and where the caller is told of, it is inside a line of Weir's
    assert not [one for one in lines if one.strip().startswith(FORGED[:12]) and mark in one]
    for one in lines:
        if mark in one and one.startswith("{"):
            assert json.loads(one).get("message") != f"forged-{mark}"


def logged(deployed: Stack) -> Iterator[tuple[str, str]]:
    """Every line that the stack's functions have logged, and the group that it stands in."""
    logs = deployed.client("logs")
    prefix = f"/weir/{deployed.document['stack_name']}/"
    groups = [
        group["logGroupName"]
        for page in logs.get_paginator("describe_log_groups").paginate(logGroupNamePrefix=prefix)
        for group in page["logGroups"]
    ]
    for group in groups:
        for page in logs.get_paginator("filter_log_events").paginate(logGroupName=group):
            for event in page["events"]:
                for line in str(event["message"]).splitlines():
                    yield group, line
