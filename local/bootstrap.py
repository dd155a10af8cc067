"""Make one Python environment of this repository from its locked requirements.

``python -m local.bootstrap dev`` makes ``.venv``; any other name makes ``.tools/<name>`` from
``requirements/<name>.txt``. Two at once wait for each other, and the second finds the work done. Every file is checked
against its hash (pip's hash-checking mode), so which index it came from does not matter. Standard library only, because
this runs before anything is installed.
"""

import contextlib
import fcntl
import os
import pathlib
import subprocess
import sys
from collections.abc import Iterator, Mapping

REPOSITORY = pathlib.Path(__file__).resolve().parent.parent
DEVELOPER_ENVIRONMENT = REPOSITORY / ".venv"

# What uv calls the settings that a person may already have made for pip (uv reads none of pip's files).
PIP_TO_UV = {"index-url": "UV_DEFAULT_INDEX", "cert": "SSL_CERT_FILE"}


def executable(environment: pathlib.Path, name: str) -> str:
    """Path of a program inside a virtual environment."""
    return str(environment / "bin" / name)


def uv_settings(pip_config: str, environ: Mapping[str, str]) -> dict[str, str]:
    """Environment variables that make uv follow pip's configuration.

    ``pip_config`` is the output of ``pip config list``: lines of ``section.key='value'``, where section is
    ``global``, ``install`` or ``:env:``. What the environment already says to uv wins.
    """
    settings = {}
    for line in pip_config.splitlines():
        name, separator, value = line.partition("=")
        target = PIP_TO_UV.get(name.rpartition(".")[2])
        if separator and target and target not in environ:
            settings[target] = value.strip().strip("'\"")
    return settings


def uv_environment() -> dict[str, str]:
    """This process's environment, with what pip is configured to do said to uv."""
    command = (executable(DEVELOPER_ENVIRONMENT, "python"), "-m", "pip", "config", "list")
    listing = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    return {**os.environ, **uv_settings(listing, os.environ)}


def run(*command: str, environ: Mapping[str, str] | None = None) -> None:
    """Run a command; a failure ends this program with the command's own message and status."""
    status = subprocess.run(command, env=environ, check=False).returncode
    if status:
        sys.exit(status)


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Hold the clone's set-up lock; the system frees it even if this process is killed."""
    folder = REPOSITORY / ".local"
    folder.mkdir(exist_ok=True)
    with (folder / "setup.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def is_ready(environment: pathlib.Path, *locks: pathlib.Path) -> bool:
    """Whether an environment was made after its locked requirements were last changed."""
    mark = environment / ".ready"
    return mark.exists() and all(mark.stat().st_mtime >= lock.stat().st_mtime for lock in locks)


def make_developer_environment() -> None:
    """Make ``.venv`` with pip and the pinned uv in it; a broken one is made anew."""
    python = executable(DEVELOPER_ENVIRONMENT, "python")
    probe = (python, "-c", "import pip")
    if not pathlib.Path(python).exists() or subprocess.run(probe, stderr=subprocess.DEVNULL, check=False).returncode:
        run(sys.executable, "-m", "venv", "--clear", str(DEVELOPER_ENVIRONMENT))
    lock = str(REPOSITORY / "requirements" / "uv.txt")
    options = ("--quiet", "--disable-pip-version-check", "--require-hashes", "--no-deps")
    run(python, "-m", "pip", "install", *options, "-r", lock)


def make(environment: pathlib.Path, lock: pathlib.Path) -> None:
    """Make an environment hold exactly what its lock says, and mark it ready."""
    if environment == DEVELOPER_ENVIRONMENT:
        make_developer_environment()
    environ = uv_environment()
    uv, python = executable(DEVELOPER_ENVIRONMENT, "uv"), executable(environment, "python")
    if environment != DEVELOPER_ENVIRONMENT:
        base = executable(DEVELOPER_ENVIRONMENT, "python")
        run(uv, "venv", "--quiet", "--clear", "--python", base, str(environment), environ=environ)
    # Byte-compiled once here, or every start of every tool pays for it where the files can't be cached.
    options = ("--quiet", "--require-hashes", "--compile-bytecode", "--python", python)
    run(uv, "pip", "sync", *options, str(lock), environ=environ)
    (environment / ".ready").touch()


def main(name: str) -> None:
    """Make the environment called ``name``, unless that was done meanwhile."""
    environment = DEVELOPER_ENVIRONMENT if name == "dev" else REPOSITORY / ".tools" / name
    locks = [REPOSITORY / "requirements" / f"{each}.txt" for each in (name, "uv")]
    with alone():
        if not is_ready(environment, *locks):
            make(environment, locks[0])


if __name__ == "__main__":
    main(sys.argv[1])
