"""A registry and its storage on loopback, as the client meets them: the routes of packages, parts and ranges by
presigned URLs, checksums that are checked, and faults on demand. What it is asked must be what the real routes take."""

import base64
import hashlib
import json
import re
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from weir.packages.contract import NewVersion
from weir.packages.contract_files import CommitAsked, DownloadView, NewUpload, PartsAsked, PartUrls, UploadOpened
from weir.packages.contract_trust import ReportView

KEY = "weir_ann2ann3ann4ann5_k1_secret"
MIB = 1024 * 1024
Json = dict[str, Any]


@dataclass
class Fault:
    """Something that goes wrong with the requests that match, ``times`` times, after ``after`` of them.

    ``what``: a status; ``drop`` closes without an answer, before anything is done; ``lost`` does it, and closes;
    ``cut`` breaks off in the middle of the answer's body; ``hold`` waits until it is let go, and then closes too;
    ``slow`` takes a while.
    """

    match: str
    what: int | str
    times: int = 1
    after: int = 0


@dataclass
class Upload:
    """An open upload: its parts are (bytes, ETag, SHA-256)."""

    declared: Json
    parts: dict[int, tuple[bytes, str, str]] = field(default_factory=dict)
    sums: dict[int, str] = field(default_factory=dict)
    state: str = "OPEN"


class Blob:
    """The bytes of a file, in the pieces in which they came; the same piece is held once, so that zeros cost little."""

    def __init__(self, pieces: list[bytes]) -> None:
        self.pieces, self.size = pieces, sum(map(len, pieces))

    def read(self, first: int, last: int) -> bytes:
        """The bytes from ``first`` to ``last``, both of them included."""
        found, at = [], 0
        for piece in self.pieces:
            found.append(piece[max(0, first - at) : max(0, last + 1 - at)])
            at += len(piece)
        return b"".join(found)

    def sha256(self) -> str:
        """In hex."""
        whole = hashlib.sha256()
        for piece in self.pieces:
            whole.update(piece)
        return whole.hexdigest()


class Registry:
    """The state, and what was asked. ``tamper`` changes bytes as they are served."""

    def __init__(self) -> None:
        self.url = ""
        self.part_size: Callable[[int], int] = lambda size: max(8 * MIB, -(-size // 10_000 // MIB) * MIB)
        self.versions: dict[tuple[str, str], Json] = {}
        self.aliases: dict[tuple[str, str], str] = {}
        self.uploads: dict[str, Upload] = {}
        self.blobs: dict[str, Blob] = {}
        self.pieces: dict[str, bytes] = {}
        self.signatures: dict[tuple[str, str], Json] = {}
        self.faults: list[Fault] = []
        self.asked: list[str] = []
        self.tamper: Callable[[bytes], bytes] = lambda same: same
        self.scan: Callable[[Json], str] = lambda _: "AVAILABLE"
        self.epoch = 0
        self.busy = 0
        self.batches: list[int] = []
        self.lock = threading.RLock()
        self.held, self.let_go = threading.Event(), threading.Event()

    def expire(self) -> None:
        """No URL that was given out is taken any longer."""
        self.epoch += 1

    def count(self, pattern: str) -> int:
        """How many requests there were of a kind."""
        return sum(re.fullmatch(pattern, one) is not None for one in self.asked)

    def fault(self, request: str) -> int | str | None:
        """What goes wrong with a request."""
        with self.lock:
            for one in self.faults:
                if one.times and re.fullmatch(one.match, request):
                    if one.after:
                        one.after -= 1
                        continue
                    one.times -= 1
                    return one.what
        return None

    # What the routes do

    def answer(self, method: str, segments: list[str], query: dict[str, str], body: Json) -> tuple[int, Json]:
        with self.lock:
            if segments == []:
                return self.register(body) if method == "POST" else (200, self.page(self.packages(query)))
            name = segments[0]
            if len(segments) == 1:
                return 200, self.card(name)
            if segments[1:] == ["versions"]:
                return 200, self.page([self.view(one) for key, one in self.versions.items() if key[0] == name])
            key = (name, self.aliases.get((name, segments[1]), segments[1]))
            if key not in self.versions:
                return problem(404, "version-not-found")
            return self.of_version(method, key, segments[2:], body)

    def of_version(self, method: str, key: tuple[str, str], rest: list[str], body: Json) -> tuple[int, Json]:
        version = self.versions[key]
        match rest:
            case []:
                return 200, self.view(version)
            case ["signature"]:
                found = self.signatures.get(key)
                return (200, found) if found else problem(404, "signature-not-found")
            case ["validate"]:
                outcome = {"rule": "license", "kind": "metadata", "verdict": "failed", "evidence": "none is named"}
                report = {"verdict": "failed", "at": "2026-11-21T14:05:00Z", "by": "ann", "rules": [outcome]}
                return 200, ReportView.model_validate(report).model_dump(mode="json")
            case ["files", segment, "download"]:
                path = segment.replace("~1", "/").replace("~0", "~")
                file = version["files"][path]
                url = f"{self.url}/s3/object/{file['sha256']}?epoch={self.epoch}"
                found = {**file, "url": url, "expires_in": 300, "object_version": "1", "yanked": None}
                return 200, DownloadView.model_validate(found).model_dump(mode="json")
            case ["uploads"]:
                return self.open(version, body)
            case ["uploads", upload_id, *more]:
                upload = self.uploads.get(upload_id)
                return (
                    self.of_upload(version, upload_id, upload, more, body)
                    if upload
                    else problem(404, "upload-not-found")
                )
        return problem(404, "route-not-found")

    def register(self, body: Json) -> tuple[int, Json]:
        NewVersion.model_validate(body)
        key = (body["name"], body["version"])
        files = {one["path"]: {**one, "state": "INITIATED"} for one in body["files"]}
        same = lambda one: {path: (file["size"], file["sha256"]) for path, file in one.items()}  # noqa: E731
        if key in self.versions:
            if same(self.versions[key]["files"]) != same(files):
                return problem(409, "version-exists")
            return 200, self.view(self.versions[key])
        self.versions[key] = {**body, "files": files}
        self.aliases[key[0], "latest"] = key[1]
        return 201, self.view(self.versions[key])

    def open(self, version: Json, body: Json) -> tuple[int, Json]:
        NewUpload.model_validate(body)
        if self.busy:
            self.busy -= 1
            return problem(409, "commit-under-way")
        file = version["files"][body["file"]]
        if (file["size"], file["sha256"]) != (body["size"], body["sha256"]):
            return problem(409, "file-exists")
        seen = {"file": body["file"], "size": file["size"], "sha256": file["sha256"], "state": file["state"]}
        if file["state"] == "AVAILABLE" or file["sha256"] in self.blobs:
            file["state"] = "AVAILABLE"
            return 200, {"present": True, **seen}
        found = next((i for i, one in self.uploads.items() if one.declared is file and one.state == "OPEN"), None)
        upload_id = found or f"{len(self.uploads):032x}"
        self.uploads.setdefault(upload_id, Upload(file))
        size = self.part_size(file["size"])
        parts = max(1, -(-file["size"] // size))
        opened = {"present": False, **seen, "upload_id": upload_id, "part_size": size, "parts": parts}
        return (200 if found else 201), UploadOpened.model_validate(opened).model_dump(mode="json")

    def of_upload(self, version: Json, upload_id: str, upload: Upload, more: list[str], body: Json) -> tuple[int, Json]:
        if not more:
            items = [
                {"number": number, "size": len(data), "etag": etag, "sha256": sha256}
                for number, (data, etag, sha256) in sorted(upload.parts.items())
                if upload.state == "OPEN"
            ]
            return 200, {"state": upload.state, **self.page(items)}
        if upload.state == "ABORTED":
            return problem(409, "upload-ended")
        if more == ["parts"]:
            PartsAsked.model_validate(body)
            upload.sums.update({number: body["checksums"][str(number)] for number in body["numbers"]})
            self.batches.append(len(body["numbers"]))
            items = [
                {
                    "number": number,
                    "size": 0,
                    "url": f"{self.url}/s3/part/{upload_id}/{number}?epoch={self.epoch}",
                    "headers": {"x-amz-checksum-sha256": upload.sums[number]},
                }
                for number in body["numbers"]
            ]
            return 200, PartUrls.model_validate({"items": items, "expires_in": 900}).model_dump(mode="json")
        return self.commit(upload, body)

    def commit(self, upload: Upload, body: Json) -> tuple[int, Json]:
        CommitAsked.model_validate(body)
        if upload.state == "OPEN":
            told = {one["number"]: (one["etag"], one["sha256"]) for one in body["parts"]}
            here = {number: (etag, sha256) for number, (_, etag, sha256) in upload.parts.items()}
            blob = Blob([upload.parts[number][0] for number in sorted(upload.parts)])
            if told != here or blob.size != upload.declared["size"]:
                return problem(422, "parts-wrong")
            upload.state = "COMMITTED"
            upload.declared["state"] = self.scan(upload.declared)
            self.blobs[upload.declared["sha256"]] = blob
            assert blob.sha256() == upload.declared["sha256"]
            upload.parts = {}
        return 200, {"file": upload.declared}

    def packages(self, query: dict[str, str]) -> list[Json]:
        names = sorted({name for name, _ in self.versions})
        return [self.card(name) for name in names if name.startswith(query.get("name", ""))]

    def card(self, name: str) -> Json:
        first = next(one for key, one in self.versions.items() if key[0] == name)
        package = {key: first.get(key) or [] for key in ("allowed_groups", "tags")}
        aliases = [{"alias": alias, "version": to} for (of, alias), to in self.aliases.items() if of == name]
        latest = self.aliases.get((name, "latest"))
        about = {"name": name, "owner": "ann", "description": first.get("description") or "", "latest": latest}
        return {**about, "sensitivity": first.get("sensitivity") or "internal", **package, "aliases": aliases}

    def view(self, version: Json) -> Json:
        files = list(version["files"].values())
        states = {one["state"] for one in files}
        order = ("QUARANTINED", "INITIATED", "SCANNING", "AVAILABLE")
        state = next(one for one in order if one in states)
        about = {"state": state, "reason": "a pickle" if state == "QUARANTINED" else None, "yanked": None}
        return {"metadata": {}, "created_at": "2026-11-21T14:05:00Z", **about, **version, "files": files}

    def page(self, items: list[Json]) -> Json:
        return {"items": items, "cursor": None}


def problem(status: int, slug: str) -> tuple[int, Json]:
    return status, {"type": f"https://weir.dev/problems/{slug}", "title": "Oops", "status": status, "detail": slug}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    registry: Registry

    def do_GET(self) -> None:
        self.serve()

    def do_POST(self) -> None:
        self.serve()

    def do_PUT(self) -> None:
        self.serve()

    def log_message(self, *_: object) -> None:
        """Nothing."""

    def serve(self) -> None:
        place = urlsplit(self.path)
        request = f"{self.command} {place.path}"
        with self.registry.lock:
            self.registry.asked.append(request)
        what = self.registry.fault(request)
        if what == "hold":
            self.registry.held.set()
            self.registry.let_go.wait(60)
        if what in {"drop", "hold"}:
            self.close_connection = True
            return None
        if what == "slow":
            time.sleep(0.2)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        query = {name: values[0] for name, values in parse_qs(place.query).items()}
        if isinstance(what, int):
            return self.send(
                what, b"<Error><Code>Broken</Code><Message>as told</Message></Error>", {"Retry-After": "0"}
            )
        segments = [unquote(one) for one in place.path.strip("/").split("/")]
        if segments[0] == "s3":
            # A presigned URL is all that the storage takes, and all that it is to be told.
            assert "Authorization" not in self.headers
            if query["epoch"] != str(self.registry.epoch):
                return self.refuse(403, "AccessDenied", "Request has expired")
            return (self.part if segments[1] == "part" else self.object)(segments[2:], body, what)
        assert self.headers["Authorization"] == f"Bearer {KEY}"
        status, document = self.registry.answer(self.command, segments[2:], query, json.loads(body or b"{}"))
        if what == "lost":
            self.close_connection = True
            return None
        return self.send(status, json.dumps(document).encode(), {"Content-Type": "application/json"})

    def part(self, segments: list[str], body: bytes, what: object) -> None:
        upload, number = self.registry.uploads[segments[0]], int(segments[1])
        sha256 = base64.b64encode(hashlib.sha256(body).digest()).decode()
        given = self.headers["x-amz-checksum-sha256"]
        if upload.state == "ABORTED":
            return self.refuse(404, "NoSuchUpload", "The upload does not exist")
        if given != upload.sums[number]:
            return self.refuse(403, "SignatureDoesNotMatch", "another checksum was signed")
        if given != sha256:
            return self.refuse(400, "BadDigest", "The SHA256 you specified did not match what we received")
        etag = f'"{sha256[:32]}"'
        with self.registry.lock:
            upload.parts[number] = (self.registry.pieces.setdefault(sha256, body), etag, sha256)
        if what == "lost":
            self.close_connection = True
            return None
        return self.send(200, b"", {"ETag": etag})

    def object(self, segments: list[str], _: bytes, what: object) -> None:
        blob = self.registry.blobs.get(segments[0])
        if blob is None:
            return self.refuse(404, "NoSuchKey", "it is gone")
        found = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers["Range"])
        assert found is not None
        first, last = int(found[1]), min(int(found[2]), blob.size - 1)
        piece = self.registry.tamper(blob.read(first, last))
        about = {"Content-Range": f"bytes {first}-{last}/{blob.size}"}
        if what != "cut":
            return self.send(206, piece, about)
        self.close_connection = True
        return self.send(206, piece, about, sent=len(piece) // 2)

    def refuse(self, status: int, code: str, message: str) -> None:
        self.send(status, f"<Error><Code>{code}</Code><Message>{message}</Message></Error>".encode(), {})

    def send(self, status: int, body: bytes, headers: dict[str, str], sent: int | None = None) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body[:sent])


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that was killed is no news."""


@contextmanager
def served(tls: ssl.SSLContext | None = None) -> Iterator[Registry]:
    """A registry, while it serves; ``url`` is where. Over TLS, where a context is given."""
    registry = Registry()
    handler = type("Handler", (_Handler,), {"registry": registry})
    with _Server(("127.0.0.1", 0), handler) as server:
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        registry.url = f"{'https' if tls else 'http'}://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield registry
        finally:
            registry.let_go.set()
            server.shutdown()
            thread.join()
