"""Samples about packages, sent one after the other: published, quarantined, imported, deleted.

What stands in them by way of example is replaced by what came to be. The bytes go to S3 as a caller sends them: by the
presigned URL that the function has given out. The hub is a server on the loopback.
"""

import hashlib
import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.contract import stack
from tests.contract.account import Account, client
from tests.contract.samples import EVENTS, send
from tests.unit.packages.stub_hub import StubHub, serving

STATUSES = {
    "packages-register": 201,
    "package-files-open": 201,
    "package-files-abort": 204,
    "package-files-parts": 200,
    "package-files-show": 200,
    "package-files-commit": 200,
    "package-files-download": 200,
    "packages-list": 200,
    "packages-show": 200,
    "packages-versions": 200,
    "packages-version": 200,
    "packages-change": 200,
    "packages-move-alias": 201,
    "packages-remove-alias": 204,
    "packages-yank": 200,
    "packages-unyank": 200,
    "packages-audit": 200,
    "packages-version-audit": 200,
    "packages-unverified": 200,
    "packages-discard": 204,
    "packages-delete": 204,
    "package-trust-add-key": 201,
    "package-trust-sign": 200,
    "package-trust-signature": 200,
    "package-trust-validate": 200,
    "package-trust-score": 200,
    "package-trust-keys": 200,
    "package-trust-remove-key": 204,
    "package-trust-import": 202,
    "package-trust-import-status": 200,
}
STEPS = (
    *("package-scan-object", "package-scan-again", "package-sweeper-dry-run", "package-sweeper-scheduled"),
    *("package-import-plan", "package-import-copy", "package-import-finish", "package-import-undo"),
)
NAME = "bert-base"
CONTENT = b"test"
"""What the samples upload."""

SHA256 = hashlib.sha256(CONTENT).hexdigest()
HUB = "https://huggingface.co"


class Life:
    """Events of one package, with what is known of it by now."""

    def __init__(self, aws: Account, **known: str) -> None:
        self._aws = aws
        self.known, self.told = known, dict[str, Any]()

    def send(self, *names: str) -> None:
        """Send samples, and learn from what is answered."""
        for name in names:
            self.told[name] = send(self._aws, name, self.known)
            if name == "package-files-open":
                self._learn("package-files-show", "upload_id", self.body(name)["upload_id"])
            elif name == "package-trust-import":
                self._learn("package-trust-import-status", "import_id", self.body(name)["import_id"])

    def body(self, name: str) -> dict[str, Any]:
        """What was answered to a sample."""
        body: dict[str, Any] = json.loads(self.told[name]["body"])
        return body

    def upload(self) -> None:
        """The file from the opening of its upload to the scan of its bytes."""
        self.send("package-files-open", "package-files-parts")
        for part in self.body("package-files-parts")["items"]:
            url = urlsplit(part["url"])
            client("s3").upload_part(
                Bucket=stack.physical("PackagesBucket"),
                Key=self.key,
                UploadId=parse_qs(url.query)["uploadId"][0],
                PartNumber=part["number"],
                Body=CONTENT,
                ChecksumSHA256=part["headers"]["x-amz-checksum-sha256"],
            )
        self.send("package-files-show", "package-files-commit")
        told = json.loads(EVENTS["package-scan-object"]["Records"][0]["body"])["detail"]["object"]
        found = client("s3").head_object(Bucket=stack.physical("PackagesBucket"), Key=self.key)
        self.known[told["version-id"]] = found["VersionId"]
        self.send("package-scan-object", "package-scan-again")

    def stray(self) -> None:
        """An object that somebody has put into the bucket, and that the sweep has found."""
        event, bucket = EVENTS["packages-discard"], stack.physical("PackagesBucket")
        put = client("s3").put_object(Bucket=bucket, Key=event["queryStringParameters"]["key"], Body=CONTENT)
        self.known[event["headers"]["If-Match"].strip('"')] = put["VersionId"]
        send(self._aws, "package-sweeper-scheduled", self.known)

    @property
    def key(self) -> str:
        """Where the bytes are."""
        return f"packages/{self.known.get(NAME, NAME)}/{self.known.get(SHA256, SHA256)}"

    def _learn(self, name: str, parameter: str, real: str) -> None:
        self.known[EVENTS[name]["pathParameters"][parameter]] = real


def published(aws: Account) -> dict[str, Any]:
    """What is answered for a version that is uploaded in a second upload, used and deleted; and for an import."""
    life = Life(aws)
    life.send("packages-register", "package-files-open", "package-files-abort")
    life.upload()
    life.send("package-files-download", "packages-list", "packages-show", "packages-versions", "packages-version")
    life.send("packages-move-alias", "packages-remove-alias", "packages-change", "packages-yank", "packages-unyank")
    life.send("package-trust-add-key", "package-trust-sign", "package-trust-signature", "package-trust-validate")
    life.send("package-trust-score", "package-trust-keys", "package-trust-remove-key")
    told = life.told | imported(aws)
    life.send("package-sweeper-dry-run", "package-sweeper-scheduled", "packages-audit", "packages-version-audit")
    life.stray()
    life.send("packages-unverified", "packages-discard", "packages-delete")
    return told | life.told


def imported(aws: Account) -> dict[str, Any]:
    """What is answered for an import that is done; and, to the step that undoes one, for another."""
    life, key = Life(aws), EVENTS["package-trust-import"]["headers"]["Idempotency-Key"]
    other = Life(aws, **{key: f"another-{key}"})
    with serving(StubHub(files={"config.json": b"{}"})) as hub:
        aws.instead(HUB, hub.url)
        life.send("package-trust-import", "package-import-plan", "package-import-copy", "package-import-finish")
        life.send("package-trust-import-status")
        other.send("package-trust-import", "package-import-undo")
    return life.told | {"package-import-undo": other.told["package-import-undo"]}


def quarantined(aws: Account) -> dict[str, Any]:
    """A version whose bytes are not those that were declared, as it is told once they were scanned."""
    key = EVENTS["packages-register"]["headers"]["Idempotency-Key"]
    declared = hashlib.sha256(b"other bytes").hexdigest()
    life = Life(aws, **{"1.0.0": "1.0.1", SHA256: declared, key: f"another-{key}", "latest": "1.0.1"})
    life.send("packages-register")
    life.upload()
    life.send("packages-version")
    return life.body("packages-version")
