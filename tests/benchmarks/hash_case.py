"""Hash a file as the scan does, in ranges of 8 MiB, putting the state down and taking it up again once a GiB."""

import sys
from pathlib import Path

from weir.packages.hashing import Sha256

CHUNK = 8 * 1024 * 1024
EVERY = 128
"""Chunks between two states: a scan saves one a minute."""


def main(path: Path) -> None:
    """Print the digest."""
    hasher = Sha256()
    with path.open("rb", buffering=0) as file:
        for number, chunk in enumerate(iter(lambda: file.read(CHUNK), b"")):
            if number % EVERY == EVERY - 1:
                hasher = Sha256.from_state(hasher.state())
            hasher.update(chunk)
    print(hasher.hexdigest())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
