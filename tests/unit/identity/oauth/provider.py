"""An OpenID Connect issuer and a GitHub: real servers on the loopback, that check what they are sent, or lie.

Apart from a public mock of a provider, because none of them checks PKCE, and none signs what must not be believed.
"""

import base64
import hashlib
import json
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

Json = dict[str, Any]
CLIENT_ID, CLIENT_SECRET = "weir at corp", "a secret: with & and %"


@lru_cache(maxsize=8)
def private_key(algorithm: str, which: int = 0) -> Any:
    """A private key of an algorithm; ``which`` tells one from another."""
    match algorithm:
        case "RS256":
            return rsa.generate_private_key(65537, 2048)
        case "ES256":
            return ec.generate_private_key(ec.SECP256R1())
        case _:
            return ed25519.Ed25519PrivateKey.generate()


def jwk(algorithm: str, kid: str | None = "one", which: int = 0) -> Json:
    """The public half of a key, as a JWKS has it."""
    made: Any = {"RS256": RSAAlgorithm, "ES256": ECAlgorithm, "EdDSA": OKPAlgorithm}[algorithm]
    document: Json = json.loads(made.to_jwk(private_key(algorithm, which).public_key()))
    return {**document, "use": "sig", "alg": algorithm} | ({} if kid is None else {"kid": kid})


def signed(claims: Json, algorithm: str = "RS256", kid: str | None = "one", which: int = 0) -> str:
    """An ID token."""
    return jwt.encode(claims, private_key(algorithm, which), algorithm, headers=None if kid is None else {"kid": kid})


@dataclass
class Seen:
    """A request that a server was sent: ``fields`` are its query's and its form's."""

    method: str
    path: str
    fields: dict[str, str]
    headers: dict[str, str]


@dataclass
class Server:
    """What both servers have. ``answers`` replaces the answer of a path: status and body, or ``None`` for silence."""

    url: str = ""
    seen: list[Seen] = field(default_factory=list)
    answers: dict[str, tuple[int, bytes] | None] = field(default_factory=dict)
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    done: threading.Event = field(default_factory=threading.Event)
    stop: Callable[[], None] = lambda: None

    def of(self, path: str) -> list[Seen]:
        """The requests of a path."""
        return [one for one in self.seen if one.path == path]

    def approve(self, query: dict[str, str]) -> str:
        """What the person says yes to: where the browser goes, with a code that remembers the query."""
        code = secrets.token_urlsafe(8)
        self.codes[code] = query
        return f"{query['redirect_uri']}?{urlencode({'code': code, 'state': query['state']})}"

    def redeem(self, sent: Seen) -> dict[str, str] | None:
        """The query that a code was given for; None where the code, its address or its verifier is not good."""
        query = self.codes.pop(sent.fields.get("code", ""), None)
        verifier = sent.fields.get("code_verifier", "").encode()
        made = base64.urlsafe_b64encode(hashlib.sha256(verifier).digest()).rstrip(b"=").decode()
        held = query and (query["code_challenge"], query["redirect_uri"]) == (made, sent.fields.get("redirect_uri"))
        return query if held else None

    def answer(self, sent: Seen) -> tuple[int, Any]:
        """Status and JSON."""
        raise NotImplementedError


@dataclass
class Corp(Server):
    """The OpenID Connect issuer: who logs in (``person``), and what of it is not as it should be."""

    person: Json = field(default_factory=lambda: {"sub": "corp-7", "email": "ann@corp.example", "email_verified": True})
    claims: Json = field(default_factory=dict)
    discovery: Json = field(default_factory=dict)
    keys: list[Json] = field(default_factory=lambda: [jwk("RS256")])
    sign: Callable[[Json], str] = signed
    userinfo: Json | None = None
    now: Callable[[], float] = time.time

    def answer(self, sent: Seen) -> tuple[int, Any]:
        match sent.path:
            case "/.well-known/openid-configuration":
                return 200, self._discovery()
            case "/jwks":
                return 200, {"keys": self.keys}
            case "/userinfo":
                held = sent.headers.get("authorization") == "Bearer corp-access"
                return (200, self.person if self.userinfo is None else self.userinfo) if held else (401, {})
            case "/token":
                return self._token(sent)
        return 404, {}

    def _discovery(self) -> Json:
        names = {"authorization_endpoint": "authorize", "token_endpoint": "token", "jwks_uri": "jwks"}
        return {
            "issuer": self.url,
            **{name: f"{self.url}/{path}" for name, path in names.items()},
            "userinfo_endpoint": f"{self.url}/userinfo",
            "id_token_signing_alg_values_supported": ["RS256", "HS256", "none"],
            **self.discovery,
        }

    def _token(self, sent: Seen) -> tuple[int, Any]:
        scheme, _, pair = sent.headers.get("authorization", "").partition(" ")
        client = tuple(map(unquote, base64.b64decode(pair).decode().split(":"))) if scheme == "Basic" else ()
        if (client or (sent.fields.get("client_id"), sent.fields.get("client_secret"))) != (CLIENT_ID, CLIENT_SECRET):
            return 401, {"error": "invalid_client"}
        query = self.redeem(sent)
        if query is None:
            return 400, {"error": "invalid_grant"}
        now = int(self.now())
        claims = {
            "iss": self.url,
            "aud": CLIENT_ID,
            "iat": now,
            "exp": now + 300,
            "nonce": query["nonce"],
            **(self.person if self.userinfo is None else {"sub": self.person["sub"]}),
            **self.claims,
        }
        token = self.sign({name: value for name, value in claims.items() if value is not None})
        return 200, {"access_token": "corp-access", "token_type": "Bearer", "id_token": token}


@dataclass
class Hub(Server):
    """The GitHub."""

    user: Json = field(default_factory=lambda: {"id": 583231, "login": "OctoCat"})
    emails: list[Json] = field(
        default_factory=lambda: [
            {"email": "other@hub.example", "primary": False, "verified": True},
            {"email": "Octo@hub.example", "primary": True, "verified": True},
        ]
    )

    def answer(self, sent: Seen) -> tuple[int, Any]:
        if sent.path == "/login/oauth/access_token":
            pair = sent.fields.get("client_id"), sent.fields.get("client_secret")
            if sent.headers["accept"] != "application/json" or pair != (CLIENT_ID, CLIENT_SECRET):
                return 200, {"error": "incorrect_client_credentials"}
            # GitHub says no with 200.
            return 200, {"access_token": "hub-access"} if self.redeem(sent) else {"error": "bad_verification_code"}
        if sent.headers.get("authorization") != "Bearer hub-access" or not sent.headers.get("user-agent"):
            return 401, {}
        found: dict[str, Any] = {"/api/user": self.user, "/api/user/emails": self.emails}
        return (200, found[sent.path]) if sent.path in found else (404, {})


@contextmanager
def serving(server: Server) -> Iterator[None]:
    """Let a server listen, and tell it where."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._do(b"")

        def do_POST(self) -> None:
            self._do(self.rfile.read(int(self.headers["Content-Length"])))

        def _do(self, body: bytes) -> None:
            parts = urlsplit(self.path)
            fields = dict(parse_qsl(f"{parts.query}&{body.decode()}"))
            headers = {name.lower(): value for name, value in self.headers.items()}
            sent = Seen(self.command, parts.path, fields, headers)
            server.seen.append(sent)
            status, raw = self._answer(sent)
            self.send_response(status)
            self.send_header("Content-Length", str(len(raw)))
            if 300 <= status < 400:
                self.send_header("Location", raw.decode())
            self.end_headers()
            self.wfile.write(raw)

        def _answer(self, sent: Seen) -> tuple[int, bytes]:
            if sent.path not in server.answers:
                status, body = server.answer(sent)
                return status, json.dumps(body).encode()
            found = server.answers[sent.path]
            if found is None:
                server.done.wait(30)
            return found or (200, b"")

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    class Quiet(ThreadingHTTPServer):
        def handle_error(self, *_: Any) -> None:
            """Say nothing of those who hung up."""

    with Quiet(("127.0.0.1", 0), Handler) as http:
        server.url = f"http://127.0.0.1:{http.server_port}"
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.005})
        thread.start()

        def stop() -> None:
            server.done.set()
            http.shutdown()
            thread.join()
            http.server_close()

        server.stop = stop
        try:
            yield
        finally:
            stop()
