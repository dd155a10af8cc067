"""Make one Python environment of this repository from its locked requirements.

``python local/bootstrap.py dev`` makes ``.venv``; any other name makes ``.tools/<name>`` from
``requirements/<name>.txt``. Every file is checked against its hash (pip's hash-checking mode), so which index it
came from does not matter. Standard library only, because this runs before anything is installed.
"""

import os
import pathlib
import subprocess
import sys
from collections.abc import Mapping

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


def ensure_developer_environment() -> None:
    """Make ``.venv`` with pip and the pinned uv in it; a broken one is made anew."""
    python = executable(DEVELOPER_ENVIRONMENT, "python")
    probe = (python, "-c", "import pip")
    if not pathlib.Path(python).exists() or subprocess.run(probe, stderr=subprocess.DEVNULL, check=False).returncode:
        run(sys.executable, "-m", "venv", "--clear", str(DEVELOPER_ENVIRONMENT))
    lock = str(REPOSITORY / "requirements" / "uv.txt")
    options = ("--quiet", "--disable-pip-version-check", "--require-hashes", "--no-deps")
    run(python, "-m", "pip", "install", *options, "-r", lock)


def main(name: str) -> None:
    """Make the environment called ``name`` and mark it ready."""
    ensure_developer_environment()
    environ = uv_environment()
    uv = executable(DEVELOPER_ENVIRONMENT, "uv")
    environment = DEVELOPER_ENVIRONMENT if name == "dev" else REPOSITORY / ".tools" / name
    python = executable(environment, "python")
    if environment != DEVELOPER_ENVIRONMENT:
        base = executable(DEVELOPER_ENVIRONMENT, "python")
        run(uv, "venv", "--quiet", "--clear", "--python", base, str(environment), environ=environ)
    lock = str(REPOSITORY / "requirements" / (name + ".txt"))
    # Byte-compiled once here, or every start of every tool pays for it where the files can't be cached.
    options = ("--quiet", "--require-hashes", "--compile-bytecode", "--python", python)
    run(uv, "pip", "sync", *options, lock, environ=environ)
    (environment / ".ready").touch()


if __name__ == "__main__":
    main(sys.argv[1])
