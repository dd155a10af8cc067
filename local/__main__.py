"""``python -m local up|down``: what `make up` and `make down` call.

``up`` does only what is missing: an emulator that runs is reused, artefacts are built when their sources changed, and
the stack is deployed when it is not there or was built from other sources. Two at once wait for each other.
"""

import argparse
import contextlib
import fcntl
import sys
import time
from collections.abc import Iterator

from local import gateway, places, server, sources, stack


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Hold the clone's lock; the system frees it even if this process is killed."""
    places.STATE.mkdir(exist_ok=True)
    with places.LOCK_FILE.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def up() -> None:
    """Have a local AWS with the current template on it."""
    started = time.monotonic()
    version = sources.fingerprint(sources.EMULATOR)
    wanted = sources.fingerprint(sources.DEPLOYED, stack.PYTHON, stack.ARCHITECTURE)
    aws = server.running()
    fresh = aws is None or aws.version != version
    if aws is None or fresh:
        gateway.stop()
        say("Starting the local AWS")
        aws = server.start(version)
    deployed = None if fresh else stack.read(places.STACK_FILE)
    if deployed is None or deployed["sources"] != wanted:
        say("Building and deploying")
        stack.build(wanted)  # while the emulator starts
        server.wait_ready(aws)
        outputs = stack.deploy(aws)
        stack.write(stack.describe(aws, outputs, wanted, stack.admin(aws, outputs)))
    document = stack.read(places.STACK_FILE)
    assert document is not None  # written above, under the lock
    serving = gateway.running()
    if serving is None or serving.version != f"{aws.pid} {wanted}" or serving.url != document.get("gateway_url"):
        serving = gateway.start(aws, document["outputs"]["GatewayFunctionName"], f"{aws.pid} {wanted}")
        stack.write(document | serving.told())
    say(f"Up at {document['api_url']}, models at {serving.url} ({time.monotonic() - started:.1f} s)")


def down() -> None:
    """Stop the local AWS; nothing of it is left running."""
    gateway.stop()  # before what it settles with
    say("Stopped the local AWS" if server.stop() else "No local AWS is running")


def say(text: str) -> None:
    """Tell the person what happens."""
    print(text, flush=True)


def main() -> int:
    """Run one command; a failure is told in one piece, without a stack trace."""
    commands = {"up": up, "down": down}
    parser = argparse.ArgumentParser(prog="python -m local", description=__doc__)
    parser.add_argument("command", choices=commands)
    chosen = commands[parser.parse_args().command]
    try:
        with alone():
            chosen()
    except (server.ServerError, stack.DeployError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
