"""The packages table: its keys and access patterns. DynamoDB itself is spoken to by ``runtime.dynamodb``.

| item | pk | sk | read by |
|---|---|---|---|
| package | PKG#name | PKG | name; PACKAGES + name in ``listing`` (by how it begins, too); owner + name in ``owned`` |
| look-alike | LOOKS#skeleton | LOOKS | that no two names look alike |
| version | PKG#name | V#order | name and version; all of a package in SemVer order, backwards |
| manifest | PKG#name | M#order | name and version: its files as they were declared; never changed |
| file | PKG#name | F#order#path | name, version and path; all of a version |
| blob | PKG#name | B#sha256 | that the same bytes are stored once a package |
| gone object | PKG#name | G#sha256#version id | nobody: that it is there forbids to make the object a file |
| scan | PKG#name | S#sha256 | how far the scan of these bytes has come |
| waiting file | PKG#name | W#sha256#order#path | files that wait for that scan; all of a package |
| alias | PKG#name | A#alias | name and alias; all of a package |
| deletion | PKG#name | D#order | that a version is being deleted; DELETIONS + name#version in ``listing`` |
| signature | PKG#name | SIG#order | name and version: a DSSE envelope |
| upload | UPLOAD#id | UPLOAD | id; UPLOADS + expires_at#id in ``listing``, until it has ended |
| word | WORD#word | name | packages whose name, description or tags hold a word |
| tag | TAG#tag | name | packages of a tag |
| public key | SIGNER#id | SIGNER | id; SIGNERS + id in ``listing`` |
| import | IMPORT#id | IMPORT | id |
| imported file | IMPORT#id | FILE#number | id and number; all of an import |
| found object | FOUND#digest of the key | version id | what S3 told of it; UNVERIFIED + key in ``listing`` |
| audit entry | AUDIT#name | time#id | of a package, newest first; AUDIT#yyyy-mm#shard + time#id in ``listing`` |

The index ``listing`` is by ``list`` and ``at``, ``owned`` by ``owner`` and ``at``.
``order`` is the version as text that sorts as SemVer does (``semver.order``). Every item carries ``schema``; what ends
by itself carries ``ttl`` (epoch seconds), and is checked on read, for DynamoDB deletes late.
"""

import re
from hashlib import sha256

from weir.packages import semver
from weir.runtime import aws
from weir.runtime.dynamodb import Table
from weir.runtime.settings import settings

SCHEMA = 1
Key = dict[str, str]

PACKAGES = "PACKAGES"
UPLOADS = "UPLOADS"
SIGNERS = "SIGNERS"
UNVERIFIED = "UNVERIFIED"
DELETIONS = "DELETIONS"

AUDIT_SHARDS = 16
"""Of each month: a partition of an index takes 1,000 writes a second, and every upload and download is an entry."""

VERSIONS = "V#"
FILES = "F#"
BLOBS = "B#"
"""How the sort keys of all versions, files and bytes of a package begin."""


def table() -> Table:
    """The stack's packages table."""
    return Table(aws.client("dynamodb"), settings(needs=("packages_table",)).packages_table)


def partition(name: str) -> str:
    """The partition of all that belongs to a package."""
    return f"PKG#{name}"


def package_key(name: str) -> Key:
    """The key of a package, by its normalized name."""
    return {"pk": partition(name), "sk": "PKG"}


def looks_key(skeleton: str) -> Key:
    """The key by which a name holds all that look like it."""
    return {"pk": f"LOOKS#{skeleton}", "sk": "LOOKS"}


def version_key(name: str, version: str) -> Key:
    """The key of a version: two that SemVer takes for equal (their build metadata apart) have the same."""
    return {"pk": partition(name), "sk": f"{VERSIONS}{semver.order(version)}"}


def manifest_key(name: str, version: str) -> Key:
    """The key of the manifest of a version."""
    return {"pk": partition(name), "sk": f"M#{semver.order(version)}"}


def file_key(name: str, version: str, path: str) -> Key:
    """The key of a file of a version."""
    return {"pk": partition(name), "sk": f"{files_of(version)}{path}"}


def files_of(version: str) -> str:
    """How the sort keys of all files of a version begin."""
    return f"{FILES}{semver.order(version)}#"


def blob_key(name: str, sha256_hex: str) -> Key:
    """The key of some bytes of a package."""
    return {"pk": partition(name), "sk": f"{BLOBS}{sha256_hex}"}


def gone_key(name: str, sha256_hex: str, object_version: str) -> Key:
    """The key of what tells that an object of some bytes is gone, or going."""
    return {"pk": partition(name), "sk": f"G#{sha256_hex}#{object_version}"}


def scan_key(name: str, sha256_hex: str) -> Key:
    """The key of the scan of some bytes of a package."""
    return {"pk": partition(name), "sk": f"S#{sha256_hex}"}


def waiting_key(name: str, sha256_hex: str, version: str, path: str) -> Key:
    """The key by which a file waits for the scan of its bytes."""
    return {"pk": partition(name), "sk": f"{waiting_begin(sha256_hex)}{semver.order(version)}#{path}"}


def waiting_begin(sha256_hex: str) -> str:
    """How the sort keys of all files begin that wait for a scan: of these bytes, or, without any, of the package."""
    return f"W#{sha256_hex}#" if sha256_hex else "W#"


def alias_key(name: str, alias: str) -> Key:
    """The key of an alias of a package."""
    return {"pk": partition(name), "sk": f"A#{alias}"}


def signature_key(name: str, version: str) -> Key:
    """The key of the signature of a version."""
    return {"pk": partition(name), "sk": f"SIG#{semver.order(version)}"}


def deletion_key(name: str, version: str) -> Key:
    """The key of the mark that a version is being deleted."""
    return {"pk": partition(name), "sk": f"D#{semver.order(version)}"}


def upload_key(upload_id: str) -> Key:
    """The key of an upload."""
    return {"pk": f"UPLOAD#{upload_id}", "sk": "UPLOAD"}


def word_key(word: str, name: str) -> Key:
    """The key by which a word finds a package."""
    return {"pk": f"WORD#{word}", "sk": name}


def tag_key(tag: str, name: str) -> Key:
    """The key by which a tag finds a package."""
    return {"pk": f"TAG#{tag}", "sk": name}


def signer_key(key_id: str) -> Key:
    """The key of a registered public key."""
    return {"pk": f"SIGNER#{key_id}", "sk": "SIGNER"}


def import_key(import_id: str) -> Key:
    """The key of an import."""
    return {"pk": f"IMPORT#{import_id}", "sk": "IMPORT"}


def imported_file_key(import_id: str, number: int) -> Key:
    """The key of a file of an import, by its number from 0."""
    return {"pk": f"IMPORT#{import_id}", "sk": f"FILE#{number:06d}"}


def found_key(key: str, object_version: str) -> Key:
    """The key of what S3 told of a version of an object, by a digest: S3's keys may be longer than one here."""
    return {"pk": f"FOUND#{sha256(key.encode()).hexdigest()}", "sk": object_version}


def audit_list(month: str, shard: int) -> str:
    """One of the lists that the audit of a month (``yyyy-mm``) is spread over, by a number below ``AUDIT_SHARDS``."""
    return f"AUDIT#{month}#{shard}"


def blob_object(name: str, sha256_hex: str) -> str:
    """The S3 key of some bytes of a package: what is stored under it follows from what was declared."""
    return f"packages/{name}/{sha256_hex}"


def bytes_of(key: str) -> tuple[str, str] | None:
    """The package and declared SHA-256 that ``blob_object`` made a key of; None where it is no such key."""
    named = _BLOB_OBJECT.fullmatch(key)
    return (named["name"], named["sha256"]) if named else None


_BLOB_OBJECT = re.compile(r"packages/(?P<name>[a-z0-9-]+)/(?P<sha256>[0-9a-f]{64})")
