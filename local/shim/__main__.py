"""Start the local AWS with our patches: ``python -m local.shim``, run in the emulator's own environment."""

import importlib

from local.shim.patching import check_release

PATCHES = (
    "access",
    "functions",
    "workers",
    "gateway",
    "secretsmanager",
    "layers",
    "emf",
    "environments",
    "objects",
    "streams",
    "reshard",
    "quotas",
    "phases",
    "executions",
    "branches",
    "roles",
)


def main() -> None:
    """Patch, then serve until stopped."""
    check_release()
    from ministack.app import main as serve

    for name in PATCHES:
        importlib.import_module(f"local.shim.{name}")
    serve()


if __name__ == "__main__":
    main()
