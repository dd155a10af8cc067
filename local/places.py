"""Where the local AWS keeps its things: everything under ``.local``, which git ignores and ``make clean`` removes."""

import os
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
STATE = REPOSITORY / ".local"
STACK_FILE = STATE / "stack.json"
STACK_FILE_VARIABLE = "WEIR_STACK_FILE"  # names another stack than the local one to the tests
SERVER_FILE = STATE / "server.json"
LOCK_FILE = STATE / "lock"
LOG_FILE = STATE / "aws.log"
GATEWAY_FILE = STATE / "gateway.json"
GATEWAY_LOG_FILE = STATE / "gateway.log"
GATEWAY_CERTIFICATE_FILE = STATE / "gateway.pem"
GATEWAY_KEY_FILE = STATE / "gateway.key"
BUILD = STATE / "build"
HOME = STATE / "home"
SCRATCH = STATE / "tmp"

REGION = "us-east-1"
# The emulator's root user: the deployer and the tests act as it; functions and state machines act as their roles.
ROOT_KEY = "test"
ROOT_SECRET = "test"  # noqa: S105 - the emulator's own, and it listens on loopback alone


def program(environment: str, name: str) -> str:
    """Path of a program in one of the repository's environments (``.venv`` or ``.tools/<name>``)."""
    folder = "Scripts" if os.name == "nt" else "bin"
    return str(REPOSITORY / environment / folder / name)


def clean_environment(**extra: str) -> dict[str, str]:
    """Environment of a child process: nothing of the person's AWS profiles, proxies or Python settings gets in.

    ``HOME`` is a folder of our own, because the SDKs and SAM read configuration from the home folder.
    """
    HOME.mkdir(parents=True, exist_ok=True)
    SCRATCH.mkdir(parents=True, exist_ok=True)
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL", "SYSTEMROOT") if name in os.environ}
    ours = {
        "HOME": str(HOME),
        "TMPDIR": str(SCRATCH),
        "AWS_ACCESS_KEY_ID": ROOT_KEY,
        "AWS_SECRET_ACCESS_KEY": ROOT_SECRET,
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    return kept | ours | extra
