"""A Redis or Valkey server for the tests of counters: the machine's own, or Debian's, unpacked into ``.tools/redis``.

``python -m local.redis_server`` sees that there is one. Nothing is installed, and no service is started: the packages
are fetched with apt's own client, which checks their signatures, and unpacked beside the other tools.
"""

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from local import places

UNPACKED = places.REPOSITORY / ".tools" / "redis"
PACKAGES = ("redis-tools", "libjemalloc2", "liblzf1")
"""``redis-server`` itself is in Debian's redis-tools; the libraries are those that a machine may lack."""

_SECONDS = 10.0


class NoServer(Exception):
    """There is none, and none could be fetched; the message says what to do."""


def program() -> str | None:
    """The path of a server; None where there is none yet."""
    found = shutil.which("valkey-server") or shutil.which("redis-server")
    unpacked = UNPACKED / "usr" / "bin" / "redis-check-rdb"
    return found or (str(unpacked) if unpacked.exists() else None)


def fetch() -> None:
    """Unpack Debian's server. NoServer where apt can't."""
    if shutil.which("apt-get") is None:
        raise NoServer("Install valkey-server or redis-server: this machine has no apt to fetch one with.")
    with tempfile.TemporaryDirectory() as folder:
        got = subprocess.run(
            ("apt-get", "-q", "download", *PACKAGES), cwd=folder, capture_output=True, text=True, check=False
        )
        if got.returncode:
            raise NoServer(f"Install valkey-server or redis-server; apt could not fetch one:\n{got.stderr.strip()}")
        for package in sorted(Path(folder).glob("*.deb")):
            subprocess.run(("dpkg", "-x", str(package), str(UNPACKED)), check=True)


@contextlib.contextmanager
def running(folder: Path) -> Iterator[str]:
    """A server on a Unix socket in a folder, keeping nothing, for as long as the block lasts; its address."""
    found = program()
    if found is None:
        raise NoServer("No redis-server: make .tools/redis/.ready")
    socket = folder / "redis.sock"
    libraries = [str(one) for one in (UNPACKED / "usr" / "lib").glob("*-linux-*")]
    environ = {**os.environ, "LD_LIBRARY_PATH": ":".join(filter(None, [*libraries, os.environ.get("LD_LIBRARY_PATH")]))}
    settings = ("--port", "0", "--unixsocket", str(socket), "--save", "", "--appendonly", "no", "--dir", str(folder))
    # redis-check-rdb and redis-server are one program, which goes by the name that it is called by
    with subprocess.Popen(
        ("redis-server", *settings), executable=found, env=environ, stdout=subprocess.DEVNULL
    ) as server:
        try:
            until = time.monotonic() + _SECONDS
            while not socket.exists():
                if server.poll() is not None or time.monotonic() > until:
                    raise NoServer(f"{found} did not start.")
                time.sleep(0.01)
            yield f"unix://{socket}"
        finally:
            server.terminate()


def main() -> None:
    """See that there is a server."""
    try:
        if program() is None:
            fetch()
    except NoServer as error:
        sys.exit(str(error))
    UNPACKED.mkdir(parents=True, exist_ok=True)
    (UNPACKED / ".ready").touch()


if __name__ == "__main__":
    main()
