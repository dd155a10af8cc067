"""The scanner against real unpicklers: what they import and call, it has seen. Imports are recorded, not made."""

import io
import pickle
from contextlib import suppress
from typing import Any

from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tests.unit.packages import evil
from tests.unit.packages.evil import Bytes
from weir.packages.allowed_globals import ALLOWED
from weir.packages.pickle_machine import Steps, follow
from weir.packages.reading import Held
from weir.packages.scanners import scan

NAMES = ("os", "system", "posix", "builtins", "eval", "collections", "OrderedDict", "no name")

OPCODES = st.sampled_from(
    [
        *(evil.text(one) for one in NAMES),
        *(f"S'{one}'\n".encode() for one in NAMES[:4]),
        *(f"V{one}\n".encode() for one in NAMES[:4]),
        *(f"U{chr(len(one))}{one}".encode() for one in NAMES[:4]),
        *(f"c{module}\n{name}\n".encode() for module, name in [("os", "system"), ("collections", "OrderedDict")]),
        *(b"h%c" % number for number in range(4)),
        *(b"q%c" % number for number in range(4)),
        *(b"p%d\n" % number for number in range(3)),
        *(b"g%d\n" % number for number in range(3)),
        *(b"p+1\n", b"g 1\n", b"p02\n", b"g0_2\n", b"p1\0\n"),
        *(bytes([one]) for one in b"NK0()]}.RbtudleasoR21\x85\x86\x87\x93\x93\x93\x94\x94\x81\x92\x8f\x90\x91\x88"),
        *(b"ios\nsystem\n", b"K\x01", b"\x80\x02", b"\x95" + bytes(8), b"C\x02os", b"I1\n", b"\x82\x01", b"\xff"),
    ]
)


class _Stand:
    """What stands for a global: called, built and changed without doing anything."""

    def __new__(cls, *_: Any, **__: Any) -> "_Stand":
        return object.__new__(cls)

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def __setstate__(self, _: Any) -> None:
        pass

    def __setitem__(self, *_: Any) -> None:
        pass

    def append(self, *_: Any) -> None:
        pass

    extend = update = append


class _InC(pickle.Unpickler):
    imported: set[tuple[str, str]]

    def find_class(self, module: str, name: str) -> Any:
        self.imported.add((module, name))
        return _Stand


class _InPython(pickle._Unpickler):  # type: ignore[misc,name-defined,unused-ignore]
    imported: set[tuple[str, str]]

    def find_class(self, module: str, name: str) -> Any:
        self.imported.add((module, name))
        return _Stand


def imports(kind: type[Any], program: bytes) -> set[tuple[str, str]]:
    """What an unpickler imports, pickle after pickle, until it breaks."""
    found: set[tuple[str, str]] = set()
    file = io.BytesIO(program)
    with suppress(Exception):  # a broken program: what it did before is what counts
        while file.tell() < len(program):
            unpickler = kind(file)
            unpickler.imported = found
            unpickler.load()
    return found


def calls(kind: type[Any], program: bytes) -> bool:
    """Whether an unpickler calls what it has imported and may not."""
    called: list[tuple[str, str]] = []

    class Calling(kind):  # type: ignore[misc]
        def find_class(self, module: str, name: str) -> Any:
            class Called(_Stand):
                def __new__(cls, *_: Any, **__: Any) -> "_Stand":
                    called.append((module, name))
                    return object.__new__(cls)

            return Called

    with suppress(Exception):
        Calling(io.BytesIO(program)).load()
    return not ALLOWED.issuperset(called)


@hypothesis_settings(max_examples=600, deadline=None)
@given(st.lists(OPCODES, max_size=40), st.booleans())
def test_no_unpickler_imports_what_the_scanner_has_not_seen(parts: list[bytes], whole: bool) -> None:
    # Given any program of opcodes
    program = b"\x80\x04" + b"".join(parts) + (b"." if whole else b"")

    # When two unpicklers run it, with nothing to import
    imported = imports(_InC, program) | imports(_InPython, program)

    # Then each global that is not allowed is among what was found, or one was whose name could not be told
    seen = follow(Held(program), Steps())
    told = "\n".join(one.evidence for one in seen.findings)
    for module, name in imported - ALLOWED:
        assert f"{module} {name} " in told or any(one.rule == "global-unresolved" for one in seen.findings)
    if imported - ALLOWED:
        assert scan(Bytes(program), "model.pkl").verdict == "dangerous"


@hypothesis_settings(max_examples=600, deadline=None)
@given(st.lists(OPCODES, max_size=8), st.lists(OPCODES, max_size=8))
def test_no_unpickler_calls_what_the_scanner_takes_for_text(before: list[bytes], after: list[bytes]) -> None:
    # Given a program of the oldest protocols, which nothing at its beginning tells, that would call a global
    program = b"".join(before) + b"cos\nsystem\n" + b"".join(after) + b"(S'id'\ntR."

    # When an unpickler comes to call it, whatever breaks afterwards / Then the scanner has not passed it over
    if calls(_InC, program) or calls(_InPython, program):
        assert scan(Bytes(program), "pytorch_model.bin").verdict == "dangerous"


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.complex_numbers(),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(st.text() | st.integers(), inner)
        | st.tuples(inner, inner)
        | st.frozensets(st.text())
    ),
    max_leaves=20,
)


@hypothesis_settings(deadline=None)
@given(PLAIN, st.sampled_from(range(pickle.HIGHEST_PROTOCOL + 1)))
def test_what_pickle_writes_for_plain_values_is_clean(value: Any, protocol: int) -> None:
    assert scan(Bytes(pickle.dumps(value, protocol)), "model.pkl").verdict == "clean"
