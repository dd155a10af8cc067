"""The functions that hash passwords have memory for it: one that is killed over a log-in lets nobody in."""

import os
import subprocess
import sys

import pytest

from tests.contract import stack
from weir.identity import passwords

HASHES = ("AuthFunction", "UsersFunction", "FirstAdminFunction")
PROBE = """
import resource, sys
def peak_kib():
    if sys.platform == "darwin":
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    with open("/proc/self/status") as status:  # for Linux's ru_maxrss begins with that of the process before
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM:"))
import handler
import jwt
from weir.runtime import aws
from weir.identity import passwords
aws.client("dynamodb"), aws.client("secretsmanager")
passwords.hashed("x")
passwords.hashed("a password that is hashed here")
print(peak_kib())
"""
PART = 2 / 3
"""Of a function's memory, which is left to requests, answers and the runtime itself."""


@pytest.mark.parametrize("function", HASHES)
def test_a_function_that_hashes_has_three_times_the_memory_that_it_takes(function: str) -> None:
    # Given a process of the function, with all that a log-in loads
    folder = stack.ROOT / "functions" / stack.folder(function)
    environment = stack.environment(function) | {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.pathsep.join([str(folder), str(stack.ROOT / "layers/weir/python")]),
        "AWS_REGION": stack.REGION,
        "AWS_ACCESS_KEY_ID": "a",
        "AWS_SECRET_ACCESS_KEY": "b",
    }
    # When it has hashed
    done = subprocess.run([sys.executable, "-c", PROBE], env=environment, capture_output=True, text=True, check=False)
    # Then it has taken what argon2 takes, and a third of the function's memory at the most
    assert done.returncode == 0, done.stderr
    peak_kib = int(done.stdout)
    assert peak_kib > passwords.MEMORY_KIB
    assert peak_kib < stack.functions()[function]["MemorySize"] * 1024 * (1 - PART)


def test_a_hash_takes_the_memory_that_owasp_asks_for() -> None:
    # https://cheatsheetseries.owasp.org/cheatsheets/Password_Storage_Cheat_Sheet.html: 19 MiB, 2 passes, 1 lane
    assert (passwords.MEMORY_KIB, passwords.PASSES, passwords.LANES) == (19 * 1024, 2, 1)
