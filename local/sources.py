"""Fingerprints of what is built and deployed, so that work that would change nothing is not done again."""

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from local import places

DEPLOYED = (
    "template.yaml",
    "build.mk",
    "samconfig.toml",
    "requirements/layer.txt",
    "layers",
    "functions",
    "statemachines",
)
EMULATOR = ("local/shim", "local/server.py", "local/processes.py", "requirements/ministack.txt")


def fingerprint(names: Iterable[str], *also: str, root: Path = places.REPOSITORY) -> str:
    """SHA-256 over names and contents of files and folders under ``root``, and over ``also``; bytecode is left out."""
    digest = hashlib.sha256()
    for path in sorted(file for name in names for file in _files(root / name)):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(root)}\0{len(content)}\0".encode())
        digest.update(content)
    for text in also:
        digest.update(f"{len(text)}\0{text}".encode())
    return digest.hexdigest()


def _files(path: Path) -> Iterator[Path]:
    if path.is_dir():
        yield from (f for f in path.rglob("*") if f.is_file() and "__pycache__" not in f.parts)
    elif path.exists():
        yield path
